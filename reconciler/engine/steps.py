"""The work of each step: save its intent, make one provider call, read back, save the result.

Sits below `executor`, which runs the steps and decides which of them share a save or a listing. A step is a
generator: it yields what it needs next (`Announce`, `Call`, `ReadBack`, `Save`), and gets the answer. So the
code of one step reads from top to bottom, whether it runs alone or with two thousand others. Decides nothing:
the plan has the actions.
"""

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from providers.errors import ExistsError, GoneError, PermanentError, ProviderError
from providers.hiding import HIDDEN, is_hidden
from providers.json_value import JSON
from providers.protocol import Exclusive, ListedKind, LiveObject, Progress, Reference, ResourceKind, is_a
from providers.retries import is_rate_limited, is_transient, problem_of, retrying
from reconciler.core.diff import Change, ChangeClass, Resolution, compare, effective_fields
from reconciler.core.events import Emit, StepProgress, StepRetried
from reconciler.core.graph import Graph
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.recovery import creates
from reconciler.core.remote import parent_of
from reconciler.core.values import MISSING, Address, NoValue
from state.snapshot import Intent, RecordedResource, Snapshot, Verb
from state.state_writer import StateWriter

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

_STILL_THERE = "the deletion was answered with success, but the object is still there"


class Announce(Struct, frozen=True):
    """Save these intents. The step continues once they are durable."""

    intents: tuple[Intent, ...]


class Save(Struct, frozen=True):
    """Change the state. The step continues once the change is durable."""

    change: Callable[[Snapshot], Snapshot]


class Call(Struct, frozen=True):
    """Make this provider call, whose answer the step gets."""

    make: Callable[[], object]


class ReadBack(Struct, frozen=True):
    """Read the object of the step, which gets it, or None. The read begins after this request.

    Attributes:
        fields: the fields that were sent.
        written: the answer to the write; None after a deletion.
    """

    fields: Mapping[str, JSON]
    written: LiveObject | None = None


Request: TypeAlias = Announce | Save | Call | ReadBack
Work: TypeAlias = Generator[Request, Any, LiveObject | None]
"""A step in progress. Its value is the live object, None after a deletion; it raises ProviderError."""
Written: TypeAlias = Generator[Request, Any, LiveObject]
Part: TypeAlias = Generator[Request, Any, None]


class Steps:
    """Makes the work of each step of one plan. Arguments as for `executor.Executor`."""

    def __init__(
        self,
        plan: Plan,
        desired: Graph,
        lives: dict[Address, LiveObject],
        kinds: Mapping[str, ResourceKind],
        writer: StateWriter,
        *,
        emit: Emit,
        stop: threading.Event,
        now: Callable[[], str],
        run: str,
        holder: Callable[[Address, str], str],
    ) -> None:
        self._plan = plan
        self._desired = desired
        self._lives = lives
        self._kinds = kinds
        self._writer = writer
        self._emit = emit
        self._stop = stop
        self._now = now
        self._run = run
        self._holder = holder
        self._owners = {_identity(address, live): address for address, live in lives.items()}
        self._unanswered: set[Address] = set()  # resources with a write that was sent and not answered

    def work(self, step: Step) -> Work:
        """The work of a step that the plan has something to do for."""
        match step.action:
            case Action.FORGET:
                yield self._forget(step)
                return None
            case Action.DELETE:
                yield Announce((self._intent(step, "delete", self._lives[step.address].id, {}),))
                yield from self._send_delete(step)
                yield self._forget(step)
                return None
            case Action.CREATE:
                return (yield from self._create(step))
            case Action.REPLACE:
                yield from self._delete_for_replace(step)
                return (yield from self._create(step))
            case _ if step.writes:
                return (yield from self._update(step))
            case _:
                live = self._lives[step.address]
                yield self._record(step, live, self._fields(step))
                return live

    def _create(self, step: Step) -> Written:
        kind = self._kinds[step.address.kind]
        managed = self._fields(step)
        fields = {**_carried_fields(step, managed), **managed}
        yield Announce((self._create_intent(step),))
        unsettled: ProviderError | None = None

        def create() -> LiveObject:
            nonlocal unsettled
            if unsettled is None:
                try:
                    made = kind.create(
                        step.address.name, fields, parent=self.parent(step), report=self._report(step)
                    )
                    return self._checked_new(step, made)
                except ProviderError as problem:
                    if kind.facts.repeatable or not (
                        problem.outcome_unknown or isinstance(problem, ExistsError)
                    ):
                        raise
                    if problem.outcome_unknown:
                        self._unanswered.add(step.address)
                    unsettled = problem
            live = self._look_up(step, fields, unsettled)
            if live is None:
                failure, unsettled = unsettled, None  # not created, so the next attempt sends it again
                raise failure
            return self._checked_new(step, live)

        live = yield from self._write(step, fields, create)
        yield from self._clear_owned_lists(step, live)
        return live

    def _checked_new(self, step: Step, live: LiveObject) -> LiveObject:
        """The created object. Raises PermanentError if it is that of another resource.

        Its children would be written to that one, and a later delete would remove it.
        """
        if self._kinds[step.address.kind].facts.exclusive is Exclusive.NAME:
            return live  # an image: its digest is its content, which others may have, too
        owner = self._owners.setdefault(_identity(step.address, live), step.address)
        if owner != step.address:
            raise _other_object_error(str(owner))
        if holder := self._holder(step.address, live.id):
            raise _other_object_error(f"a resource of {holder}")
        return live

    def _clear_owned_lists(self, step: Step, live: LiveObject) -> Part:
        """Delete the children of a new object in lists that the files own; platforms may add default ones."""
        resource = self._desired.get(step.address)
        if resource is not None and resource.owns:
            yield Call(partial(self._delete_children, step, live, resource.owns))

    def _delete_children(self, step: Step, live: LiveObject, kinds: Collection[str]) -> None:
        for name in kinds:
            kind = self._kinds[name]
            assert is_a(kind, ListedKind), f"{name} is owned, but cannot be listed"
            children = self.attempt(step, partial(kind.siblings, live))
            for child in children:
                with suppress(GoneError):
                    self.attempt(step, partial(kind.delete, child, parent=live))
            if children and self.attempt(step, partial(kind.siblings, live)):
                raise PermanentError(_STILL_THERE)

    def _look_up(self, step: Step, fields: Mapping[str, JSON], unsettled: ProviderError) -> LiveObject | None:
        """The object of a create without a clear answer; None if it was not created, so may be repeated."""
        live = self.read(step, fields)
        if live is None:
            return None
        rules = self._kinds[step.address.kind].facts.rules
        differing = [
            c.path for c in compare(fields, None, live.fields, rules) if c.cls is ChangeClass.UNRECORDED
        ]
        if differing:
            raise PermanentError(
                f"an object of that name was created meanwhile, and its {', '.join(differing)} differ",
                hint="run plan to see both values",
            ) from unsettled
        return live

    def _update(self, step: Step) -> Written:
        kind, live = self._kinds[step.address.kind], self._lives[step.address]
        fields = self._fields(step)
        names = {change.field for change in step.changes if change.write}
        changed = {name: value for name, value in fields.items() if name in names}
        kept = {change.field for change in _kept_by_theirs(step)}  # not sent; recorded after the last step
        sent = {name: value for name, value in fields.items() if name not in kept}
        if not self._create_intent_stays(step):
            yield Announce((self._intent(step, "update", live.id, sent),))
        return (
            yield from self._write(
                step,
                fields,
                lambda: kind.update(
                    live, changed, fields, parent=self.parent(step), report=self._report(step)
                ),
            )
        )

    def _forget(self, step: Step) -> Save:
        address = str(step.address)
        return Save(lambda s: s.without_intent(address).without_resource(address))

    def _delete_for_replace(self, step: Step) -> Part:
        """Delete the old object. State keeps an intent for it and each child until they are created again."""
        intents = tuple(self._replace_intent(other) for other in (step, *self._recreated_children(step)))
        yield Announce(intents)
        yield from self._send_delete(step, *intents)

        def change(snapshot: Snapshot) -> Snapshot:
            for intent in intents:
                snapshot = snapshot.without_resource(intent.address).with_intent(replace(intent, id=None))
            return snapshot

        yield Save(change)

    def _send_delete(self, step: Step, *intents: Intent) -> Part:
        kind, live = self._kinds[step.address.kind], self._lives[step.address]

        def delete() -> None:
            try:
                kind.delete(live, parent=self.parent(step))
            except GoneError:
                pass  # deleted outside, or by our own first attempt

        yield Call(partial(self._send, step, delete, *intents))
        found: LiveObject | None = yield ReadBack({})
        if found is not None and found.id == live.id:
            addresses = {str(step.address), *(intent.address for intent in intents)}
            yield Save(partial(_close_intents, addresses=addresses))
            raise PermanentError(_STILL_THERE)

    def _recreated_children(self, step: Step) -> list[Step]:
        """The steps that create this object's descendants again, as they are deleted with it."""
        deleted = {step.address}
        children = []
        for other in self._plan.steps:  # parents come first
            if other.action is Action.CREATE and other.id is not None and self._parent_of(other) in deleted:
                deleted.add(other.address)
                children.append(other)
        return children

    def _write(self, step: Step, fields: Mapping[str, JSON], write: Callable[[], LiveObject]) -> Written:
        """Write, read back and save. Raises PermanentError if the live values are not the values sent."""
        response: LiveObject = yield Call(partial(self._send, step, write))
        live: LiveObject | None = yield ReadBack(fields, response)
        if live is None:
            raise PermanentError("the write succeeded, but reading back did not find the object")
        live = replace(live, outputs={**response.outputs, **live.outputs})
        rejected = _rejected_fields(fields, live, self._kinds[step.address.kind])
        before = self._writer.snapshot.resources.get(str(step.address))
        kept = {name: value for name, value in before.inputs.items() if name in rejected} if before else {}
        written = {name: value for name, value in fields.items() if name not in rejected}
        yield self._record(step, live, {**kept, **written})
        if rejected:
            raise PermanentError(
                "the write succeeded, but these fields do not have the values sent: "
                + "; ".join(
                    f"{name}: sent {_shown(fields[name], name)}, has {_shown(live.fields[name], name)}"
                    for name in rejected
                )
            )
        return live

    def _send(self, step: Step, write: Callable[[], T], *intents: Intent) -> T:
        """Attempt a write. On failure, close its intent and `intents`, unless an attempt may have succeeded.

        The intent of a replace stays open once its old object is deleted.
        """

        def send() -> T:
            try:
                return write()
            except ProviderError as problem:
                if problem.outcome_unknown:
                    self._unanswered.add(step.address)
                raise

        try:
            return self.attempt(step, send)
        except ProviderError:
            if step.address not in self._unanswered and not self._create_intent_stays(step):
                addresses = {str(step.address), *(intent.address for intent in intents)}
                self._writer.update(partial(_close_intents, addresses=addresses))
            raise

    def attempt(self, step: Step, call: Callable[[], T]) -> T:
        """Make a provider call; retry after transient errors."""

        def announce(state: "RetryCallState") -> None:
            problem = problem_of(state)
            is_announced = is_rate_limited(problem)  # by the rate limiter
            if isinstance(problem, ProviderError) and state.next_action and not is_announced:
                self._emit(StepRetried(step.address, problem, state.next_action.sleep))

        def may_retry(problem: BaseException) -> bool:
            return is_transient(problem) and not self._stop.is_set()

        return retrying(sleep=self._sleep, before_sleep=announce, may_retry=may_retry)(call)

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def read(
        self, step: Step, fields: Mapping[str, JSON], written: LiveObject | None = None
    ) -> LiveObject | None:
        """The object of a step; see `ReadBack`."""
        id, outputs = (written.id, written.outputs) if written else (None, {})
        reference = Reference(step.address.name, id, self.parent(step), fields, outputs)
        return self._kinds[step.address.kind].read(reference)

    def parent(self, step: Step) -> LiveObject | None:
        """The parent of the step's object, as it is after the steps so far."""
        parent = self._parent_of(step)
        return self._lives.get(parent) if parent else None

    def _parent_of(self, step: Step) -> Address | None:
        return parent_of(step.address, self._kinds[step.address.kind].facts)

    def _fields(self, step: Step) -> dict[str, JSON]:
        resource = self._desired.get(step.address)
        assert resource is not None, f"{step.address} is written but not desired"
        return effective_fields(resource.fields, step.changes, self._kinds[step.address.kind].facts.rules)

    def _report(self, step: Step) -> Callable[[Progress], None]:
        return lambda progress: self._emit(StepProgress(step.address, progress))

    def _intent(self, step: Step, verb: Verb, id: str | None, fields: Mapping[str, JSON]) -> Intent:
        return Intent(str(step.address), verb, id, fields, self._now(), self._run)

    def _create_intent(self, step: Step) -> Intent:
        """The intent of a create, or of the second half of a replace, with kept fields of the old object."""
        managed = self._fields(step)
        open_intent = self._writer.snapshot.intents.get(str(step.address))
        if open_intent is None or open_intent.verb != "replace":
            return self._intent(step, "create", None, managed)
        unmanaged = {name: value for name, value in open_intent.kept.items() if name not in managed}
        kept = {**unmanaged, **_copied_fields(step, managed)}
        return replace(self._intent(step, "replace", None, managed), kept=kept)

    def _replace_intent(self, step: Step) -> Intent:
        managed = self._fields(step)
        intent = self._intent(step, "replace", self._lives[step.address].id, managed)
        return replace(intent, kept=_copied_fields(step, managed))

    def announced(self, intents: Collection[Intent]) -> Callable[[Snapshot], Snapshot]:
        """The change of the state that `Announce` stands for."""
        self._unanswered -= {Address.parse(intent.address) for intent in intents}

        def change(snapshot: Snapshot) -> Snapshot:
            for intent in intents:
                snapshot = snapshot.with_intent(intent)
            return snapshot

        return change

    def _record(self, step: Step, live: LiveObject, inputs: Mapping[str, JSON]) -> Save:
        """Records the live object with these inputs, and closes the step's intent."""
        address = str(step.address)
        resource = self._desired.get(step.address)
        depends_on = tuple(str(d) for d in resource.depends_on) if resource else ()
        unknown = {
            c.path for c in step.changes if c.live is MISSING and c.recorded is MISSING and not c.write
        }
        managed = (resource.fields.keys() if resource else inputs.keys()) - unknown
        inputs = self._with_kept_values(inputs, step, lambda change: change.recorded)
        recorded = RecordedResource(
            address,
            step.address.kind,
            live.id,
            {name: value for name, value in inputs.items() if name in managed},
            live.outputs,
            depends_on,
        )

        intent_stays = self._create_intent_stays(step)
        lost = [str(child) for child, parent in self._plan.lost_with_parent.items() if parent == step.address]

        def change(snapshot: Snapshot) -> Snapshot:
            snapshot = snapshot if intent_stays else snapshot.without_intent(address)
            # Under the new id, they would be recorded as children that were deleted from it.
            snapshot = snapshot.without_resource(*lost) if lost else snapshot
            return snapshot.with_resource(recorded)

        return Save(change)

    def _create_intent_stays(self, step: Step) -> bool:
        """Whether an open create intent has values kept by `--theirs`; it stays open until the last step."""
        intent = self._writer.snapshot.intents.get(str(step.address))
        return intent is not None and creates(intent) and _keeps_by_theirs(step)

    def record_kept_values(self) -> None:
        """Record the values that `--theirs` keeps, after every step succeeded.

        Until then the conflict must stay: if the run fails, the same command would otherwise see a change of
        the files alone, and overwrite the live value.
        """

        def change(snapshot: Snapshot) -> Snapshot:
            for step in self._plan.steps:
                recorded = snapshot.resources.get(str(step.address))
                if _keeps_by_theirs(step):
                    snapshot = snapshot.without_intent(str(step.address))
                if recorded is not None and _kept_by_theirs(step):
                    inputs = self._with_kept_values(recorded.inputs, step, lambda change: change.live)
                    snapshot = snapshot.with_resource(replace(recorded, inputs=inputs))
            return snapshot

        self._writer.update(change)

    def _with_kept_values(
        self, inputs: Mapping[str, JSON], step: Step, value: Callable[[Change], JSON | NoValue]
    ) -> Mapping[str, JSON]:
        """The inputs, with `value` of each change that `--theirs` keeps."""
        kept = [change._replace(live=value(change)) for change in _kept_by_theirs(step)]
        return effective_fields(inputs, kept, self._kinds[step.address.kind].facts.rules) if kept else inputs


def _keeps_by_theirs(step: Step) -> bool:
    return any(change.resolution is Resolution.THEIRS for change in step.changes)


def _kept_by_theirs(step: Step) -> list[Change]:
    """The conflicts in which the live value is kept, except unrecorded fields, which are recorded at once."""
    return [c for c in step.changes if c.resolution is Resolution.THEIRS and c.recorded is not MISSING]


def _close_intents(snapshot: Snapshot, addresses: Collection[str]) -> Snapshot:
    """Remove these intents, except a replace whose old object is deleted and must be created again."""
    for address in addresses:
        intent = snapshot.intents.get(address)
        if intent is not None and not (intent.verb == "replace" and intent.id is None):
            snapshot = snapshot.without_intent(address)
    return snapshot


def _carried_fields(step: Step, managed: Mapping[str, JSON]) -> dict[str, JSON]:
    """The unmanaged fields that a create sends, from the plan's changes."""
    return {
        c.path: c.desired
        for c in step.changes
        if c.path and c.write and c.field not in managed and not isinstance(c.desired, NoValue)
    }


def _copied_fields(step: Step, managed: Mapping[str, JSON]) -> dict[str, JSON]:
    """The values that a new object takes from the old one; after the delete, only the intent has them."""
    resolved = {c.field for c in step.changes if c.resolution in (Resolution.THEIRS, Resolution.IGNORED)}
    return {**_carried_fields(step, managed), **{name: managed[name] for name in resolved if name in managed}}


def _shown(value: JSON, name: str) -> str:
    """The value of a field in an error."""
    return HIDDEN if is_hidden(value, name) else repr(value)


def _rejected_fields(fields: Mapping[str, JSON], live: LiveObject, kind: ResourceKind) -> list[str]:
    differing: Sequence[str] = [
        change.field
        for change in compare(fields, fields, live.fields, kind.facts.rules)
        if change.cls is ChangeClass.DRIFT
    ]
    return sorted(set(differing))


def _identity(address: Address, live: LiveObject) -> tuple[str, tuple[str, ...], str]:
    """What no two objects have in common: an id is one of its kind and parent."""
    return address.kind, address.name[:-1], live.id


def _other_object_error(what: str) -> PermanentError:
    return PermanentError(
        f"the create was answered with the id of {what}",
        hint="nothing was written to that one; tell the administrator of the platform",
        outcome_unknown=True,
    )
