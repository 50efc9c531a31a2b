"""The engine's events while they happen: bars in a terminal, plain lines when nobody is watching."""

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from providers import protocol
from reconciler.events import (
    Counted,
    Event,
    Note,
    Notice,
    Outcome,
    RateLimited,
    Status,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
)
from reconciler.plan import Action, Step
from reconciler.values import Address
from reconciler.views.bars import Bars, Key
from reconciler.views.lines import STYLES, amount, pace
from reconciler.views.safe import one_line

SILENCE = 10.0
"""Seconds after which a log says how far something is that is still under way."""


class Watch:
    """Renders events on stderr. Safe for threads; a context manager, so that no bar outlives its command.

    Args:
        clock: seconds, for rates and signs of life.
    """

    def __init__(self, err: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._err = err
        self._live = err.is_interactive  # a dumb terminal cannot move its cursor
        self._bars = Bars(err, clock)
        self._log = _Log(err, clock)
        self._notes = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _NextTry(clock),
            console=err,
            transient=True,
        )
        self._clock = clock
        self._waited: dict[str, float] = {}
        self._pipelines = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pause()

    def pause(self) -> None:
        """Leave the terminal alone, to print or to ask something; the next event takes it again."""
        if self._live:
            with self._lock:
                self._bars.stop()
                self._stop_notes()
                self._pipelines.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._render(event)

    def _render(self, event: Event) -> None:
        match event:
            case Note(text):
                self._note(text)
            case Notice(text):
                self._err.print(Text(text, "yellow"))
            case RateLimited(server, seconds):
                self._wait(server, seconds)
            case Counted(done, total):
                self._count(done, total)
            case StepStarted(step):
                self._stop_notes()
                self._log.start(step)
            case StepProgress(address, progress):
                (self._bars if self._live else self._log).show(address, progress)
            case StepRetried(address, problem, delay):
                self._err.print(Text(f"{address}: {problem.message}; again in {delay:.1f} s", "yellow"))
            case StepFinished(outcome):
                self._outcome(outcome)

    def _note(self, text: str) -> None:
        """What is being done right now, gone as soon as something else is; nobody reads it in a log."""
        if not self._live:
            return
        self._bars.stop()
        self._stop_notes()
        self._notes.add_task(one_line(text), total=None)
        self._notes.start()

    def _wait(self, server: str, seconds: float) -> None:
        """How long a server makes us wait: counted down, or a line in a log now and then."""
        now = self._clock()
        if self._live and not self._pipelines.task_ids:
            self._bars.stop()
            self._stop_notes()
            self._notes.add_task(f"{server}: rate limited", total=None, until=now + seconds)
            self._notes.start()
        elif now - self._waited.get(server, now - SILENCE) >= SILENCE:
            self._waited[server] = now
            told = f"{server}: rate limited, next try in {max(seconds, 0.1):.{0 if seconds >= 1 else 1}f} s"
            self._err.print(Text(told, "yellow"))

    def _count(self, done: int, total: int) -> None:
        """How many pipelines are done: a bar, or a line in a log now and then."""
        if not self._live:
            self._log.count(done, total)
            return
        if not self._pipelines.task_ids:
            self._stop_notes()
            self._pipelines.add_task("pipelines", total=total)
            self._pipelines.start()
        self._pipelines.update(self._pipelines.task_ids[0], completed=done)

    def _stop_notes(self) -> None:
        if not self._live:
            return
        self._notes.stop()
        for task in self._notes.task_ids:
            self._notes.remove_task(task)

    def _outcome(self, outcome: Outcome) -> None:
        step = outcome.step
        self._bars.end(step.address)
        if outcome.status is not Status.DONE or step.action is Action.NOOP:
            return
        self._err.print(
            Text.assemble(
                (f"{step.action.symbol} {step.action.done} ", STYLES[step.action]),
                str(step.address),
                (f"  {outcome.seconds:.1f} s", "dim"),
            )
        )


class _NextTry(ProgressColumn):
    """How long a task that has an `until` still waits."""

    max_refresh = 0.2

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock

    def render(self, task: Task) -> Text:
        until = task.fields.get("until")
        left = 0.0 if until is None else until - self._clock()
        if until is None:
            return Text("")
        return Text(f"next try in {left:.0f} s" if left >= 1 else "trying again", "dim")


class _Log:
    """Lines for a log: each step of a build, each part as it ends, and signs of life between them."""

    def __init__(self, err: Console, clock: Callable[[], float]) -> None:
        self._err = err
        self._clock = clock
        self._started: dict[Address, Step] = {}
        self._said: set[tuple[Address, str]] = set()
        self._spoke: dict[Address, float] = {}
        self._began: dict[Key, tuple[float, int]] = {}
        self._counted: float | None = None

    def start(self, step: Step) -> None:
        """Said before its first line; a quick step needs none."""
        self._started[step.address] = step

    def show(self, address: Address, progress: protocol.Progress) -> None:
        if progress.done is None or progress.ended or progress.unit == "steps":
            counted = amount(progress.done or 0, progress.total, "steps") if progress.unit == "steps" else ""
            self._say(address, progress.stage, counted, progress.item, progress.text)
            return
        now = self._clock()
        began, before = self._began.setdefault((address, progress.stage, progress.item), (now, progress.done))
        if now - self._spoke.setdefault(address, now) < SILENCE:
            return
        moved = amount(progress.done, progress.total, progress.unit)
        rate = (progress.done - before) / (now - began) if now > began else 0
        if rate > 0:
            moved += ", " + pace(rate, progress.total - progress.done if progress.total else None)
        self._say(address, progress.stage, progress.item, progress.text, moved)

    def count(self, done: int, total: int) -> None:
        """A sign of life."""
        now = self._clock()
        if self._counted is None:
            self._counted = now
        if now - self._counted >= SILENCE:
            self._counted = now
            self._err.print(Text(f"{done:,} of {total:,} pipelines", "dim"))

    def _say(self, address: Address, *parts: str) -> None:
        """One line, and once: an Engine repeats itself."""
        if step := self._started.pop(address, None):
            self._err.print(Text(f"{step.action.doing} {address}"))
        words = " ".join(part for part in parts if part)
        if (address, words) not in self._said:
            self._said.add((address, words))
            self._spoke[address] = self._clock()
            self._err.print(Text(f"  {words}", "dim"))
