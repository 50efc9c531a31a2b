"""Executes a plan: the order of its steps, its threads, and the outcome of each step.

`steps` has the work of a step. Steps in one list of a provider, such as the inputs of a processing, run in
batches: the intents of a batch share a save, so do its results, and the list is read back once for all.
Decides nothing: the plan has the actions and their order. Prints nothing. A failed step blocks only the steps
that depend on it.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial, reduce
from graphlib import TopologicalSorter
from itertools import count
from queue import SimpleQueue
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from providers.errors import ProviderError
from providers.protocol import ListedKind, LiveObject, ResourceKind, is_a
from providers.threads import Pool
from reconciler.core.events import Emit, Outcome, Status, StepFinished, StepStarted
from reconciler.core.graph import Graph
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.values import Address
from reconciler.engine.steps import Announce, Call, ReadBack, Request, Save, Steps, Work
from state.snapshot import Intent, Snapshot
from state.state_writer import StateWriter

T = TypeVar("T")

_BATCH = 128
"""Steps of one list that share a save and a listing. The listings of 2,000 inputs add a tenth to their
requests; with a larger batch, the first results come later, and a killed run leaves more writes open."""
_PART = 8
"""A batch may have an eighth of what is in its list already: the listings of any number of writes are few."""


class ExecutionResult(Struct, frozen=True):
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
        parallel: most writes at once.
        now: returns the time as ISO 8601 text, for intents.
        run: id of this run, for intents.
        holder: the other stack that claims the object with this id of a kind; "" without one.
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
        holder: Callable[[Address, str], str],
    ) -> None:
        self._plan = plan
        self._kinds = kinds
        self._writer = writer
        self._emit = emit
        self._stop = stop
        self._parallel = parallel
        self._lives = dict(found)
        self._steps = Steps(
            plan,
            desired,
            self._lives,
            kinds,
            writer,
            emit=emit,
            stop=stop,
            now=now,
            run=run,
            holder=holder,
        )

    def __call__(self) -> ExecutionResult:
        """Run every step that can run. Raises only for a bug in reconciler, or if state cannot be saved."""
        steps = {step.address: step for step in self._plan.steps}
        order = TopologicalSorter({step.address: step.depends_on for step in self._plan.steps})
        order.prepare()
        outcomes: dict[Address, Outcome] = {}
        running: dict[Future[list[Outcome]], int] = {}  # start order; what ends together is reported in it
        started = count()
        ended: SimpleQueue[Future[list[Outcome]]] = SimpleQueue()

        def finish(outcome: Outcome) -> None:
            outcomes[outcome.step.address] = outcome
            order.done(outcome.step.address)
            self._emit(StepFinished(outcome))

        with (
            Pool(max_workers=self._parallel, thread_name_prefix="apply") as pool,
            Pool(max_workers=self._parallel, thread_name_prefix="batch") as batches,
        ):

            def call_each(call: Callable[[_Running], T], runs: Sequence[_Running]) -> list[T]:
                futures = [pool.submit(call, run) for run in runs]
                return [future.result() for future in futures]

            def start(batch: Sequence[Step]) -> None:
                if len(batch) == 1:
                    future = pool.submit(self._run, batch, _one_by_one)
                else:
                    future = batches.submit(self._run, batch, call_each)
                running[future] = next(started)
                future.add_done_callback(ended.put)

            try:
                while order.is_active():
                    ready = []
                    for address in order.get_ready():
                        outcome = self._outcome_without_running(steps[address], outcomes)
                        if outcome is not None:
                            finish(outcome)
                        else:
                            ready.append(steps[address])
                    for batch in self._batches(ready):
                        start(batch)
                    if running:
                        for future in sorted(_wait_for_any(ended), key=running.__getitem__):
                            del running[future]
                            for outcome in future.result():
                                finish(outcome)
            except BaseException:
                for executor in (batches, pool):  # running calls may finish; no other starts
                    executor.shutdown(wait=False, cancel_futures=True)
                raise
        result = ExecutionResult(tuple(outcomes[step.address] for step in self._plan.steps))
        if result.succeeded:
            self._steps.record_kept_values()
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

    def _batches(self, steps: Sequence[Step]) -> Iterator[Sequence[Step]]:
        """Steps that run together: those in one list, which is read once for all of them. Others are alone.

        A batch grows with what is in the list before it. Equal ones would read a long list too often.
        """
        lists: dict[tuple[str, Sequence[str]], list[Step]] = {}
        for step in steps:
            kind, name = step.address
            lists.setdefault((kind, name[:-1] if self._kinds[kind].facts.listed_by else name), []).append(
                step
            )
        for members in lists.values():
            start = 0
            while start < len(members):
                end = start + max(_BATCH, start // _PART)
                yield members[start:end]
                start = end

    def _run(self, steps: Sequence[Step], call_each: "_CallEach") -> list[Outcome]:
        """Run these steps side by side: what several of them need at the same time is done once for all.

        Args:
            call_each: calls a function with each of some steps, and returns the results in their order.
        """
        if self._stop.is_set():  # interrupted while they waited for a thread
            return [Outcome(step, Status.SKIPPED) for step in steps]
        runs = [_Running(step, self._steps.work(step), self._emit) for step in steps]
        while waiting := [run for run in runs if run.request is not None]:
            if saving := [run for run in waiting if isinstance(run.request, Announce | Save)]:
                self._save(saving)
            elif calling := [run for run in waiting if isinstance(run.request, Call)]:
                for go_on in call_each(self._call, calling):
                    go_on()
            else:
                self._read_back(waiting)
        for run in runs:
            if run.outcome.live is not None:
                self._lives[run.step.address] = run.outcome.live
        return [run.outcome for run in runs]

    def _save(self, runs: Sequence["_Running"]) -> None:
        changes = []
        for run in runs:
            if isinstance(run.request, Announce):
                before = self._writer.snapshot.intents
                run.replaced |= {i.address: before.get(i.address) for i in run.request.intents}
                changes.append(self._steps.announced(run.request.intents))
            elif isinstance(run.request, Save):
                changes.append(run.request.change)
        self._writer.update(lambda snapshot: reduce(lambda after, change: change(after), changes, snapshot))
        for run in runs:
            run.resume(None)

    def _call(self, run: "_Running") -> Callable[[], None]:
        """Make the call of a step, unless the run was stopped before its first. Returns how it goes on."""
        assert isinstance(run.request, Call)
        if not run.has_started:
            if self._stop.is_set():
                return run.skip
            run.start()
        try:
            answer = run.request.make()
        except ProviderError as problem:
            return partial(run.fail, problem)
        return partial(run.resume, answer)

    def _read_back(self, runs: Sequence["_Running"]) -> None:
        """Read the objects of these steps: in one listing for several, which are in one list."""
        first = runs[0].step
        try:
            if len(runs) == 1:
                found = {first.address: self._steps.attempt(first, partial(self._read, runs[0]))}
            else:
                children = self._steps.attempt(first, partial(self._siblings, first))
                found = {Address(first.address.kind, child.name): child for child in children}
        except ProviderError as problem:
            for run in runs:
                run.fail(problem)
        else:
            for run in runs:
                run.resume(found.get(run.step.address))

    def _read(self, run: "_Running") -> LiveObject | None:
        assert isinstance(run.request, ReadBack)
        return self._steps.read(run.step, run.request.fields, run.request.written)

    def _siblings(self, step: Step) -> Sequence[LiveObject]:
        kind, parent = self._kinds[step.address.kind], self._steps.parent(step)
        assert is_a(kind, ListedKind), f"{step.address} is in a list that cannot be read"
        assert parent is not None, f"the parent of {step.address} was written to"
        return kind.siblings(parent)


class _Running:
    """A step in progress.

    Attributes:
        request: what it needs to go on; None when it has ended.
        outcome: how it ended; final when `request` is None.
        replaced: the intents that its own ones replaced, by address; None where there was none.
    """

    def __init__(self, step: Step, work: Work, emit: Emit) -> None:
        self.step = step
        self.request: Request | None = None
        self.outcome = Outcome(step, Status.DONE)
        self.replaced: dict[str, Intent | None] = {}
        self._work = work
        self._emit = emit
        self._started: float | None = None
        self.resume(None)

    @property
    def has_started(self) -> bool:
        """Whether its first call was made, or it needs none and has ended."""
        return self._started is not None

    def start(self) -> None:
        """Announce that the step starts."""
        self._started = time.monotonic()
        self._emit(StepStarted(self.step))

    def resume(self, answer: object) -> None:
        """Let the step go on with the answer to its request."""
        self._advance(lambda: self._work.send(answer))

    def fail(self, problem: ProviderError) -> None:
        """Let the step go on after its request failed."""
        self._advance(lambda: self._work.throw(problem))

    def skip(self) -> None:
        """End the step before its first call: its intents are withdrawn."""
        self._work = _withdraw(self._work, self.replaced)
        self.outcome = Outcome(self.step, Status.SKIPPED)
        self.resume(None)

    def _advance(self, advance: Callable[[], Request]) -> None:
        outcome = self.outcome
        try:
            self.request = advance()
            return
        except StopIteration as end:
            outcome = replace(outcome, live=end.value)
        except ProviderError as problem:
            outcome = replace(outcome, status=Status.FAILED, error=problem)
        self.request = None
        if self._started is None and outcome.status is not Status.SKIPPED:
            self.start()
        seconds = 0.0 if self._started is None else time.monotonic() - self._started
        self.outcome = replace(outcome, seconds=seconds)


_CallEach = Callable[
    [Callable[[_Running], Callable[[], None]], Sequence[_Running]], Iterable[Callable[[], None]]
]


def _one_by_one(call: Callable[[_Running], T], runs: Iterable[_Running]) -> Iterator[T]:
    return map(call, runs)


def _withdraw(work: Work, replaced: Mapping[str, Intent | None]) -> Work:
    """Ends a step that has sent nothing: state gets the intents that it had before."""
    work.close()

    def change(snapshot: Snapshot) -> Snapshot:
        for address, intent in replaced.items():
            snapshot = snapshot.without_intent(address) if intent is None else snapshot.with_intent(intent)
        return snapshot

    yield Save(change)
    return None


def _wait_for_any(ended: SimpleQueue[T]) -> list[T]:
    """Wait for an item, and return it with all others in the queue."""
    items = [ended.get()]
    while not ended.empty():
        items.append(ended.get())
    return items
