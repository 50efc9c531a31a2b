"""Executes a plan. Each step saves its intent, makes one provider call, reads back and saves the result.

Decides nothing: the plan has the actions and their order. Prints nothing. A failed step blocks only the steps
that depend on it.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from graphlib import TopologicalSorter
from queue import SimpleQueue
from typing import TypeVar

from tenacity import RetryCallState

from providers.errors import ExistsError, GoneError, PermanentError, ProviderError
from providers.json_value import JSON
from providers.protocol import ListedKind, LiveObject, Progress, Reference, ResourceKind
from providers.retries import is_rate_limited, is_transient, problem_of, retrying
from reconciler.core.diff import Change, ChangeClass, Resolution, compare, effective_fields
from reconciler.core.events import Emit, Outcome, Status, StepFinished, StepProgress, StepRetried, StepStarted
from reconciler.core.graph import Graph
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.recovery import creates
from reconciler.core.remote import parent_of
from reconciler.core.values import MISSING, Address, NoValue
from state.snapshot import Intent, RecordedResource, Snapshot, Verb
from state.state_writer import StateWriter

T = TypeVar("T")

_STILL_THERE = "the deletion was answered with success, but the object is still there"


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """The outcome of every step, in the plan's order."""

    outcomes: tuple[Outcome, ...]

    def of(self, status: Status) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.status is status)

    @property
    def succeeded(self) -> bool:
        return all(outcome.status is Status.DONE for outcome in self.outcomes)


class Executor:
    """One execution of one plan. Call it once.

    Args:
        plan: the plan to execute.
        desired: the graph that the plan was made from; has the fields to write.
        found: the live objects that the plan was made from.
        kinds: the kinds of the plan's resources.
        writer: saves state; each change is durable before the execution continues.
        emit: receives the events, from several threads.
        stop: when set, no further step starts.
        parallel: most steps at once.
        now: returns the time as ISO 8601 text, for intents.
        run: id of this run, for intents.
    """

    def __init__(
        self,
        plan: Plan,
        desired: Graph,
        found: Mapping[Address, LiveObject],
        kinds: Mapping[str, ResourceKind],
        writer: StateWriter,
        *,
        emit: Emit,
        stop: threading.Event,
        parallel: int,
        now: Callable[[], str],
        run: str,
    ) -> None:
        self._plan = plan
        self._desired = desired
        self._lives = dict(found)
        self._kinds = kinds
        self._writer = writer
        self._emit = emit
        self._stop = stop
        self._parallel = parallel
        self._now = now
        self._run = run
        self._unanswered: set[Address] = set()  # resources with a write that was sent and not answered

    def __call__(self) -> ExecutionResult:
        """Run every step that can run. Raises only for a bug in reconciler, or if state cannot be saved."""
        steps = {step.address: step for step in self._plan.steps}
        order = TopologicalSorter({step.address: step.depends_on for step in self._plan.steps})
        order.prepare()
        outcomes: dict[Address, Outcome] = {}
        running: dict[Future[Outcome], int] = {}  # start order; futures that end together are reported in it
        ended: SimpleQueue[Future[Outcome]] = SimpleQueue()

        def finish(outcome: Outcome) -> None:
            outcomes[outcome.step.address] = outcome
            order.done(outcome.step.address)
            self._emit(StepFinished(outcome))

        with ThreadPoolExecutor(max_workers=self._parallel, thread_name_prefix="apply") as pool:
            try:
                while order.is_active():
                    for address in order.get_ready():
                        outcome = self._outcome_without_running(steps[address], outcomes)
                        if outcome is not None:
                            finish(outcome)
                        else:
                            future = pool.submit(self._run_step, steps[address])
                            running[future] = len(outcomes) + len(running)
                            future.add_done_callback(ended.put)
                    if running:
                        for future in sorted(_wait_for_any(ended), key=running.__getitem__):
                            del running[future]
                            finish(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # running steps may finish; no other starts
                raise
        result = ExecutionResult(tuple(outcomes[step.address] for step in self._plan.steps))
        if result.succeeded:
            self._record_kept_values()
        return result

    def _outcome_without_running(self, step: Step, outcomes: Mapping[Address, Outcome]) -> Outcome | None:
        """The outcome of a step that does not run: noop, blocked or interrupted. None if it must run."""
        unfinished = [d for d in step.depends_on if outcomes[d].status is not Status.DONE]
        failed = [d for d in unfinished if outcomes[d].status is not Status.SKIPPED]
        if failed:
            return Outcome(step, Status.BLOCKED, blocked_by=outcomes[failed[0]].blocked_by or failed[0])
        if unfinished or (self._stop.is_set() and step.action is not Action.NOOP):
            return Outcome(step, Status.SKIPPED)
        if step.action is Action.NOOP:
            return Outcome(step, Status.DONE, live=self._lives.get(step.address))
        return None

    def _run_step(self, step: Step) -> Outcome:
        if self._stop.is_set():
            return Outcome(step, Status.SKIPPED)  # interrupted while it waited for a thread
        started = time.monotonic()
        self._emit(StepStarted(step))
        try:
            live = self._perform(step)
        except ProviderError as problem:
            outcome = Outcome(step, Status.FAILED, error=problem)
        else:
            if live is not None:
                self._lives[step.address] = live
            outcome = Outcome(step, Status.DONE, live=live)
        return replace(outcome, seconds=time.monotonic() - started)

    def _perform(self, step: Step) -> LiveObject | None:
        match step.action:
            case Action.FORGET:
                self._forget(step)
                return None
            case Action.DELETE:
                self._delete(step)
                return None
            case Action.CREATE:
                return self._clear_owned_lists(step, self._create(step))
            case Action.REPLACE:
                self._delete_for_replace(step)
                return self._clear_owned_lists(step, self._create(step))
            case _ if step.writes:
                return self._update(step)
            case _:
                return self._adopt(step)

    def _adopt(self, step: Step) -> LiveObject:
        live = self._lives[step.address]
        self._save(step, live, self._fields(step))
        return live

    def _create(self, step: Step) -> LiveObject:
        kind = self._kinds[step.address.kind]
        managed = self._fields(step)
        fields = {**_carried_fields(step, managed), **managed}
        self._save_intents(self._create_intent(step))
        unsettled: ProviderError | None = None

        def create() -> LiveObject:
            nonlocal unsettled
            if unsettled is None:
                try:
                    return kind.create(
                        step.address.name, fields, parent=self._parent(step), report=self._report(step)
                    )
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
            return live

        return self._write(step, fields, create)

    def _clear_owned_lists(self, step: Step, live: LiveObject) -> LiveObject:
        """Delete the children of a new object in lists that the files own; platforms may add default ones."""
        resource = self._desired.get(step.address)
        for name in resource.owns if resource else ():
            kind = self._kinds[name]
            assert isinstance(kind, ListedKind), f"{name} is owned, but cannot be listed"
            children = self._attempt(step, partial(kind.siblings, live))
            for child in children:
                with suppress(GoneError):
                    self._attempt(step, partial(kind.delete, child, parent=live))
            if children and self._attempt(step, partial(kind.siblings, live)):
                raise PermanentError(_STILL_THERE)
        return live

    def _look_up(self, step: Step, fields: Mapping[str, JSON], unsettled: ProviderError) -> LiveObject | None:
        """The object of a create without a clear answer; None if it was not created, so may be repeated."""
        live = self._read(step, fields)
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

    def _update(self, step: Step) -> LiveObject:
        kind, live = self._kinds[step.address.kind], self._lives[step.address]
        fields = self._fields(step)
        names = {change.field for change in step.changes if change.write}
        changed = {name: value for name, value in fields.items() if name in names}
        kept = {change.field for change in _kept_by_theirs(step)}  # not sent; recorded after the last step
        sent = {name: value for name, value in fields.items() if name not in kept}
        if not self._create_intent_stays(step):
            self._save_intents(self._intent(step, "update", live.id, sent))
        return self._write(
            step,
            fields,
            lambda: kind.update(live, changed, fields, parent=self._parent(step), report=self._report(step)),
        )

    def _forget(self, step: Step) -> None:
        address = str(step.address)
        self._writer.update(lambda s: s.without_intent(address).without_resource(address))

    def _delete(self, step: Step) -> None:
        self._save_intents(self._intent(step, "delete", self._lives[step.address].id, {}))
        self._send_delete(step)
        self._forget(step)

    def _delete_for_replace(self, step: Step) -> None:
        """Delete the old object. State keeps an intent for it and each child until they are created again."""
        intents = [self._replace_intent(other) for other in (step, *self._recreated_children(step))]
        self._save_intents(*intents)
        self._send_delete(step, *intents)

        def change(snapshot: Snapshot) -> Snapshot:
            for intent in intents:
                snapshot = snapshot.without_resource(intent.address).with_intent(replace(intent, id=None))
            return snapshot

        self._writer.update(change)

    def _send_delete(self, step: Step, *intents: Intent) -> None:
        kind, live = self._kinds[step.address.kind], self._lives[step.address]

        def delete() -> None:
            try:
                kind.delete(live, parent=self._parent(step))
            except GoneError:
                pass  # deleted outside, or by our own first attempt

        self._send(step, delete, *intents)
        found = self._attempt(step, lambda: self._read(step, {}))
        if found is not None and found.id == live.id:
            addresses = {str(step.address), *(intent.address for intent in intents)}
            self._writer.update(partial(_close_intents, addresses=addresses))
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

    def _write(self, step: Step, fields: Mapping[str, JSON], write: Callable[[], LiveObject]) -> LiveObject:
        """Write, read back and save. Raises PermanentError if the live values are not the values sent."""
        response = self._send(step, write)
        live = self._attempt(step, lambda: self._read(step, fields, response))
        if live is None:
            raise PermanentError("the write succeeded, but reading back did not find the object")
        live = replace(live, outputs={**response.outputs, **live.outputs})
        rejected = _rejected_fields(fields, live, self._kinds[step.address.kind])
        before = self._writer.snapshot.resources.get(str(step.address))
        kept = {name: value for name, value in before.inputs.items() if name in rejected} if before else {}
        written = {name: value for name, value in fields.items() if name not in rejected}
        self._save(step, live, {**kept, **written})
        if rejected:
            raise PermanentError(
                "the write succeeded, but these fields do not have the values sent: "
                + "; ".join(f"{name}: sent {fields[name]!r}, has {live.fields[name]!r}" for name in rejected)
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
            return self._attempt(step, send)
        except ProviderError:
            if step.address not in self._unanswered and not self._create_intent_stays(step):
                addresses = {str(step.address), *(intent.address for intent in intents)}
                self._writer.update(partial(_close_intents, addresses=addresses))
            raise

    def _attempt(self, step: Step, call: Callable[[], T]) -> T:
        """Make a provider call; retry after transient errors."""

        def announce(state: RetryCallState) -> None:
            problem = problem_of(state)
            is_announced = is_rate_limited(problem)  # by the rate limiter
            if isinstance(problem, ProviderError) and state.next_action and not is_announced:
                self._emit(StepRetried(step.address, problem, state.next_action.sleep))

        def may_retry(problem: BaseException) -> bool:
            return is_transient(problem) and not self._stop.is_set()

        return retrying(sleep=self._sleep, before_sleep=announce, may_retry=may_retry)(call)

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _read(
        self, step: Step, fields: Mapping[str, JSON], written: LiveObject | None = None
    ) -> LiveObject | None:
        id, outputs = (written.id, written.outputs) if written else (None, {})
        reference = Reference(step.address.name, id, self._parent(step), fields, outputs)
        return self._kinds[step.address.kind].read(reference)

    def _parent(self, step: Step) -> LiveObject | None:
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
        kept = {**open_intent.kept, **_copied_fields(step, managed)}
        return replace(self._intent(step, "replace", None, managed), kept=kept)

    def _replace_intent(self, step: Step) -> Intent:
        managed = self._fields(step)
        intent = self._intent(step, "replace", self._lives[step.address].id, managed)
        return replace(intent, kept=_copied_fields(step, managed))

    def _save_intents(self, *intents: Intent) -> None:
        self._unanswered -= {Address.parse(intent.address) for intent in intents}

        def change(snapshot: Snapshot) -> Snapshot:
            for intent in intents:
                snapshot = snapshot.with_intent(intent)
            return snapshot

        self._writer.update(change)

    def _save(self, step: Step, live: LiveObject, inputs: Mapping[str, JSON]) -> None:
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

        def change(snapshot: Snapshot) -> Snapshot:
            snapshot = snapshot if intent_stays else snapshot.without_intent(address)
            return snapshot.with_resource(recorded)

        self._writer.update(change)

    def _create_intent_stays(self, step: Step) -> bool:
        """Whether an open create intent has values kept by `--theirs`; it stays open until the last step."""
        intent = self._writer.snapshot.intents.get(str(step.address))
        return intent is not None and creates(intent) and _keeps_by_theirs(step)

    def _record_kept_values(self) -> None:
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


def _wait_for_any(ended: SimpleQueue[T]) -> list[T]:
    """Wait for an item, and return it with all others in the queue."""
    items = [ended.get()]
    while not ended.empty():
        items.append(ended.get())
    return items


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


def _rejected_fields(fields: Mapping[str, JSON], live: LiveObject, kind: ResourceKind) -> list[str]:
    differing: Sequence[str] = [
        change.field
        for change in compare(fields, fields, live.fields, kind.facts.rules)
        if change.cls is ChangeClass.DRIFT
    ]
    return sorted(set(differing))
