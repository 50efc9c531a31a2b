"""Walking the plan: per step save the intent, one provider call, read back, save the result, wake others.

Decides nothing: what is done and in what order is the plan's. Never prints. A step that fails blocks what
depends on it, and nothing else.
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

from tenacity import RetryCallState, Retrying, retry_if_exception

from providers.errors import ExistsError, GoneError, PermanentError, ProviderError, TransientError
from providers.protocol import ListedKind, LiveObject, Progress, Reference, ResourceKind
from reconciler.core.diff import Change, ChangeClass, Resolution, compare, effective_fields
from reconciler.core.events import Emit, Outcome, Status, StepFinished, StepProgress, StepRetried, StepStarted
from reconciler.core.graph import Graph
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.recovery import creates
from reconciler.core.remote import parent_of
from reconciler.core.values import JSON, MISSING, Address, NoValue
from state.snapshot import Intent, RecordedResource, Snapshot, Verb
from state.state_writer import StateWriter

T = TypeVar("T")

ATTEMPTS = 4
FIRST_DELAY = 0.5  # seconds; doubles with each attempt
LONGEST_DELAY = 30.0  # seconds; also the most that a Retry-After is waited for


@dataclass(frozen=True, slots=True)
class ExecutionResult:
    """How every step ended, in the plan's order."""

    outcomes: tuple[Outcome, ...]

    def of(self, status: Status) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.status is status)

    @property
    def succeeded(self) -> bool:
        return all(outcome.status is Status.DONE for outcome in self.outcomes)


class Executor:
    """One run of one plan.

    Args:
        plan: walked as it is.
        desired: the graph that the plan was made from; gives the fields to write.
        found: the live objects that the plan was made from.
        kinds: who can create, update and delete.
        recorder: keeps the record; every change of it is durable before the walk goes on.
        emit: told everything that happens, from several threads.
        stop: set it to start no further step.
        parallel: how many steps may run at once.
        now: the time as ISO-8601 text, for the record.
        run: an identity of this run, for the record.
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
        self._recorder = writer
        self._emit = emit
        self._stop = stop
        self._parallel = parallel
        self._now = now
        self._run = run
        self._unclear: set[Address] = set()  # of these, some write was sent and never answered

    def __call__(self) -> ExecutionResult:
        """Run every step that can run. Raises only what is a bug of ours, or a record that cannot be kept."""
        steps = {step.address: step for step in self._plan.steps}
        order = TopologicalSorter({step.address: step.depends_on for step in self._plan.steps})
        order.prepare()
        outcomes: dict[Address, Outcome] = {}
        running: dict[Future[Outcome], int] = {}  # as started, which is how those that end together are told
        ended: SimpleQueue[Future[Outcome]] = SimpleQueue()

        def finish(outcome: Outcome) -> None:
            outcomes[outcome.step.address] = outcome
            order.done(outcome.step.address)
            self._emit(StepFinished(outcome))

        with ThreadPoolExecutor(max_workers=self._parallel, thread_name_prefix="apply") as pool:
            try:
                while order.is_active():
                    for address in order.get_ready():
                        held = self._held_back(steps[address], outcomes)
                        if held is not None:
                            finish(held)
                        else:
                            future = pool.submit(self._run_step, steps[address])
                            running[future] = len(outcomes) + len(running)
                            future.add_done_callback(ended.put)
                    if running:
                        for future in sorted(_wait_for_any(ended), key=running.__getitem__):
                            del running[future]
                            finish(future.result())
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # what runs may finish, nothing else starts
                raise
        result = ExecutionResult(tuple(outcomes[step.address] for step in self._plan.steps))
        if result.succeeded:
            self._record_kept()
        return result

    def _held_back(self, step: Step, outcomes: Mapping[Address, Outcome]) -> Outcome | None:
        """The outcome of a step that is not run: nothing to do, blocked, or interrupted."""
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
            return Outcome(step, Status.SKIPPED)  # it was ready, and waited for a thread
        started = time.monotonic()
        self._emit(StepStarted(step))
        try:
            live = self._do(step)
        except ProviderError as problem:
            outcome = Outcome(step, Status.FAILED, error=problem)
        else:
            if live is not None:
                self._lives[step.address] = live
            outcome = Outcome(step, Status.DONE, live=live)
        return replace(outcome, seconds=time.monotonic() - started)

    def _do(self, step: Step) -> LiveObject | None:
        match step.action:
            case Action.FORGET:
                self._forget(step)
                return None
            case Action.DELETE:
                self._delete(step)
                return None
            case Action.CREATE:
                return self._cleared(step, self._create(step))
            case Action.REPLACE:
                self._delete_to_make_again(step)
                return self._cleared(step, self._create(step))
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
        self._intend(self._creation(step))
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
                        self._unclear.add(step.address)
                    unsettled = problem
            live = self._look_up(step, fields, unsettled)
            if live is None:
                nothing_made, unsettled = unsettled, None  # so it may be sent again
                raise nothing_made
            return live

        return self._write(step, fields, create)

    def _cleared(self, step: Step, live: LiveObject) -> LiveObject:
        """A new object may come with children nobody declared; a list that the files own starts empty."""
        resource = self._desired.get(step.address)
        for name in resource.owns if resource else ():
            kind = self._kinds[name]
            assert isinstance(kind, ListedKind), f"{name} is owned, but cannot be listed"
            for child in self._attempt(step, partial(kind.siblings, live)):
                with suppress(GoneError):
                    self._attempt(step, partial(kind.delete, child, parent=live))
        return live

    def _look_up(self, step: Step, fields: Mapping[str, JSON], unsettled: ProviderError) -> LiveObject | None:
        """A create without a clear answer is settled by a look-up by name, never by repeating it blindly."""
        live = self._read(step, fields)
        if live is None:
            return None
        rules = self._kinds[step.address.kind].facts.rules
        differing = [
            c.path for c in compare(fields, None, live.fields, rules) if c.cls is ChangeClass.UNRECORDED
        ]
        if differing:
            raise PermanentError(
                f"an object of that name appeared meanwhile, and its {', '.join(differing)} differ",
                hint="plan again to see both sides",
            ) from unsettled
        return live

    def _update(self, step: Step) -> LiveObject:
        kind, live = self._kinds[step.address.kind], self._lives[step.address]
        fields = self._fields(step)
        names = {change.field for change in step.changes if change.write}
        changed = {name: value for name, value in fields.items() if name in names}
        kept = {change.field for change in _kept_by_theirs(step)}  # not sent, and recorded in the end only
        sent = {name: value for name, value in fields.items() if name not in kept}
        if not self._holds_kept(step):
            self._intend(self._intent(step, "update", live.id, sent))
        return self._write(
            step,
            fields,
            lambda: kind.update(live, changed, fields, parent=self._parent(step), report=self._report(step)),
        )

    def _forget(self, step: Step) -> None:
        address = str(step.address)
        self._recorder.update(lambda s: s.without_intent(address).without_resource(address))

    def _delete(self, step: Step) -> None:
        self._intend(self._intent(step, "delete", self._lives[step.address].id, {}))
        self._send_delete(step)
        self._forget(step)

    def _delete_to_make_again(self, step: Step) -> None:
        """What is to be made again is in the record before anything is deleted, and until it is made."""
        intents = [self._replacement(one) for one in (step, *self._lost_with(step))]
        self._intend(*intents)
        self._send_delete(step, *intents)

        def change(snapshot: Snapshot) -> Snapshot:
            for intent in intents:
                snapshot = snapshot.without_resource(intent.address).with_intent(replace(intent, id=None))
            return snapshot

        self._recorder.update(change)

    def _send_delete(self, step: Step, *intents: Intent) -> None:
        kind, live = self._kinds[step.address.kind], self._lives[step.address]

        def delete() -> None:
            try:
                kind.delete(live, parent=self._parent(step))
            except GoneError:
                pass  # somebody was faster, or our own first try got through

        self._send(step, delete, *intents)

    def _lost_with(self, step: Step) -> list[Step]:
        """The steps that make again what lives in this one's object, and so is deleted with it."""
        lost = {step.address}
        steps = []
        for one in self._plan.steps:  # parents come first
            if one.action is Action.CREATE and one.id is not None and self._parent_of(one) in lost:
                lost.add(one.address)
                steps.append(one)
        return steps

    def _write(self, step: Step, fields: Mapping[str, JSON], write: Callable[[], LiveObject]) -> LiveObject:
        """Write, read back, and record what was taken; what was not taken is a failure of the step."""
        written = self._send(step, write)
        live = self._attempt(step, lambda: self._read(step, fields, written))
        if live is None:
            raise PermanentError("it was written, but cannot be found when read back")
        live = replace(live, outputs={**written.outputs, **live.outputs})
        refused = _rejected_fields(fields, live, self._kinds[step.address.kind])
        before = self._recorder.snapshot.resources.get(str(step.address))
        kept = {name: value for name, value in before.inputs.items() if name in refused} if before else {}
        taken = {name: value for name, value in fields.items() if name not in refused}
        self._save(step, live, {**kept, **taken})
        if refused:
            raise PermanentError(
                "the write was answered with success, but did not take "
                + "; ".join(f"{name}: sent {fields[name]!r}, has {live.fields[name]!r}" for name in refused)
            )
        return live

    def _send(self, step: Step, write: Callable[[], T], *intents: Intent) -> T:
        """Attempt a write; its intent is closed when no attempt can have been carried out.

        So are these others, which wait for the same write. What is deleted already and was to be made again
        still is, and its intent stays.
        """

        def once() -> T:
            try:
                return write()
            except ProviderError as problem:
                if problem.outcome_unknown:
                    self._unclear.add(step.address)
                raise

        try:
            return self._attempt(step, once)
        except ProviderError:
            if step.address not in self._unclear and not self._holds_kept(step):
                addresses = {str(step.address), *(intent.address for intent in intents)}
                self._recorder.update(partial(_closed, addresses=addresses))
            raise

    def _attempt(self, step: Step, call: Callable[[], T]) -> T:
        """Call it again while the trouble is transient, for a bounded time."""

        def delay(state: RetryCallState) -> float:
            problem = state.outcome.exception() if state.outcome else None
            asked = problem.retry_after if isinstance(problem, TransientError) else None
            if isinstance(problem, TransientError) and problem.waits:
                return asked or 0.0  # the pace holds the next try back as long as it takes
            return min(
                asked if asked is not None else FIRST_DELAY * 2 ** (state.attempt_number - 1), LONGEST_DELAY
            )

        def announce(state: RetryCallState) -> None:
            problem = state.outcome.exception() if state.outcome else None
            told = isinstance(problem, TransientError) and problem.waits  # by the pace
            if isinstance(problem, ProviderError) and state.next_action and not told:
                self._emit(StepRetried(step.address, problem, state.next_action.sleep))

        def is_passing(problem: BaseException) -> bool:
            again = isinstance(problem, TransientError) and problem.waits is not False
            return again and not self._stop.is_set()

        def is_enough(state: RetryCallState) -> bool:
            problem = state.outcome.exception() if state.outcome else None
            waits = isinstance(problem, TransientError) and problem.waits
            return not waits and state.attempt_number >= ATTEMPTS

        return Retrying(
            retry=retry_if_exception(is_passing),
            wait=delay,
            stop=is_enough,
            before_sleep=announce,
            sleep=self._sleep,
            reraise=True,
        )(call)

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

    def _creation(self, step: Step) -> Intent:
        """A create, or the second half of a replace, which keeps what the old object had."""
        managed = self._fields(step)
        open = self._recorder.snapshot.intents.get(str(step.address))
        if open is None or open.verb != "replace":
            return self._intent(step, "create", None, managed)
        kept = {**open.kept, **_copied_fields(step, managed)}
        return replace(self._intent(step, "replace", None, managed), kept=kept)

    def _replacement(self, step: Step) -> Intent:
        managed = self._fields(step)
        intent = self._intent(step, "replace", self._lives[step.address].id, managed)
        return replace(intent, kept=_copied_fields(step, managed))

    def _intend(self, *intents: Intent) -> None:
        self._unclear -= {Address.parse(intent.address) for intent in intents}

        def change(snapshot: Snapshot) -> Snapshot:
            for intent in intents:
                snapshot = snapshot.with_intent(intent)
            return snapshot

        self._recorder.update(change)

    def _save(self, step: Step, live: LiveObject, inputs: Mapping[str, JSON]) -> None:
        address = str(step.address)
        resource = self._desired.get(step.address)
        depends_on = tuple(str(d) for d in resource.depends_on) if resource else ()
        unknown = {
            c.path for c in step.changes if c.live is MISSING and c.recorded is MISSING and not c.write
        }
        managed = (resource.fields.keys() if resource else inputs.keys()) - unknown
        inputs = self._with_kept_values(inputs, step, lambda change: change.recorded)
        record = RecordedResource(
            address,
            step.address.kind,
            live.id,
            {name: value for name, value in inputs.items() if name in managed},
            live.outputs,
            depends_on,
        )

        holds_kept = self._holds_kept(step)

        def change(snapshot: Snapshot) -> Snapshot:
            snapshot = snapshot if holds_kept else snapshot.without_intent(address)
            return snapshot.with_resource(record)

        self._recorder.update(change)

    def _holds_kept(self, step: Step) -> bool:
        """Whether an open creation holds what `--theirs` keeps: it stays open until every step is done."""
        intent = self._recorder.snapshot.intents.get(str(step.address))
        return intent is not None and creates(intent) and _keeps_by_theirs(step)

    def _record_kept(self) -> None:
        """Record what `--theirs` keeps, once every step is done.

        Until then it stays the conflict that it is: the same command again would take it for a change of the
        files alone, and overwrite it.
        """

        def change(snapshot: Snapshot) -> Snapshot:
            for step in self._plan.steps:
                record = snapshot.resources.get(str(step.address))
                if _keeps_by_theirs(step):
                    snapshot = snapshot.without_intent(str(step.address))
                if record is not None and _kept_by_theirs(step):
                    inputs = self._with_kept_values(record.inputs, step, lambda change: change.live)
                    snapshot = snapshot.with_resource(replace(record, inputs=inputs))
            return snapshot

        self._recorder.update(change)

    def _with_kept_values(
        self, inputs: Mapping[str, JSON], step: Step, value: Callable[[Change], JSON | NoValue]
    ) -> Mapping[str, JSON]:
        """These fields, with such a value for each that `--theirs` keeps."""
        kept = [change._replace(live=value(change)) for change in _kept_by_theirs(step)]
        return effective_fields(inputs, kept, self._kinds[step.address.kind].facts.rules) if kept else inputs


def _keeps_by_theirs(step: Step) -> bool:
    return any(change.resolution is Resolution.THEIRS for change in step.changes)


def _kept_by_theirs(step: Step) -> list[Change]:
    """The conflicts in which live is kept. Where nothing is recorded there is nothing to wait with."""
    return [c for c in step.changes if c.resolution is Resolution.THEIRS and c.recorded is not MISSING]


def _closed(snapshot: Snapshot, addresses: Collection[str]) -> Snapshot:
    """Without these intents, but for a replace that has deleted its object and must make it again."""
    for address in addresses:
        intent = snapshot.intents.get(address)
        if intent is not None and not (intent.verb == "replace" and intent.id is None):
            snapshot = snapshot.without_intent(address)
    return snapshot


def _wait_for_any(ended: SimpleQueue[T]) -> list[T]:
    """Waits for one, and takes along all that are there by then."""
    taken = [ended.get()]
    while not ended.empty():
        taken.append(ended.get())
    return taken


def _carried_fields(step: Step, managed: Mapping[str, JSON]) -> dict[str, JSON]:
    """What a create sends beside the managed fields: the plan has it as changes of fields of their own."""
    return {c.path: c.desired for c in step.changes if c.path and c.write and c.field not in managed}


def _copied_fields(step: Step, managed: Mapping[str, JSON]) -> dict[str, JSON]:
    """What a new object gets because the old one has it: once that is deleted, it is nowhere else."""
    resolved = {c.field for c in step.changes if c.resolution in (Resolution.THEIRS, Resolution.IGNORED)}
    return {**_carried_fields(step, managed), **{name: managed[name] for name in resolved if name in managed}}


def _rejected_fields(fields: Mapping[str, JSON], live: LiveObject, kind: ResourceKind) -> list[str]:
    differing: Sequence[str] = [
        change.field
        for change in compare(fields, fields, live.fields, kind.facts.rules)
        if change.cls is ChangeClass.DRIFT
    ]
    return sorted(set(differing))
