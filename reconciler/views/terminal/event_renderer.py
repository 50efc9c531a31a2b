"""Renders the engine's events as plain lines in a log. On a terminal, `live_renderer` draws them."""

import threading
from collections.abc import Callable

from providers import protocol
from providers.text import shown_names
from providers.waits import (
    LONGEST_SILENCE,
    SILENCE,
    Backoff,
    Exchange,
    Hashing,
    Repeat,
    Silence,
    SilenceEnd,
    pending_servers,
)
from reconciler.core.events import (
    Event,
    FleetProgress,
    Note,
    Notice,
    Outcome,
    PipelineEvent,
    Status,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
)
from reconciler.core.plan import Action, Step
from reconciler.core.values import Address
from reconciler.views.counting import amount, pace
from reconciler.views.terminal.console import STYLES, Console
from reconciler.views.terminal.delays import Announcements, Delay, exchange_text
from reconciler.views.terminal.text import Text

_NAMED = 3  # servers that a line names


class EventRenderer:
    """Renders events as lines on stderr. Thread-safe.

    Args:
        clock: returns seconds, for rates and intervals.
    """

    def __init__(self, err: Console, clock: Callable[[], float]) -> None:
        self._err = err
        self._clock = clock
        self._shown_at = clock()  # the last time that something was shown
        self._counted = ""
        self._log = _Log(self._print, clock)
        self._announcements = Announcements(self._print, clock)
        self._lock = threading.RLock()

    def pause(self) -> None:
        """Remove what is drawn, to print or to prompt. The next event shows it again."""

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._render(event)

    def tick(self, since: float) -> None:
        """Show what the run waits for, if nothing was shown for too long.

        Args:
            since: the time since when there could be something to show.
        """
        with self._lock:
            if self._silent_for(since) >= LONGEST_SILENCE:
                self._print(Text(self._activity(), "dim"))

    def _silent_for(self, since: float) -> float:
        return self._clock() - max(since, self._shown_at)

    def _activity(self) -> str:
        """What the run does, as far as it is known."""
        servers = pending_servers()
        waiting = f"waiting for {shown_names(servers, _NAMED)}" if servers else ""
        return "; ".join(filter(None, (self._counted, waiting))) or "still running"

    def _render(self, event: Event) -> None:
        match event:
            case Note(text):
                self._note(text)
            case Notice(text):
                self._print(Text(text, "yellow"))
            case Backoff() | Silence() | Repeat():
                self._delay(Delay.of(event))
            case SilenceEnd(server):
                self._end_delay(server)
            case Exchange():
                self._print(Text(exchange_text(event), "dim"))
            case Hashing():
                self._hashing(event)
            case FleetProgress(done, total):
                self._count(done, total)
            case PipelineEvent(_, inner):
                self._render(inner)
            case StepStarted(step):
                self._start(step)
            case StepProgress(address, progress):
                self._progress(address, progress)
            case StepRetried(address, problem, delay):
                self._print(Text(f"{address}: {problem.message}; again in {delay:.1f} s", "yellow"))
            case StepFinished(outcome):
                self._outcome(outcome)

    def _print(self, line: Text) -> None:
        self._shown_at = self._clock()
        self._err.print(line)

    def _note(self, text: str) -> None:
        """Show the present activity until the next event: not in a log."""

    def _hashing(self, event: Hashing) -> None:
        """Show the progress of hashing a large folder."""
        self._announcements.hashing(event)

    def _delay(self, delay: Delay) -> None:
        """Show that the run waits for a server."""
        self._announcements.delay(delay)

    def _end_delay(self, server: str) -> None:
        """Show that it no longer waits for this server: not in a log."""

    def _count(self, done: int, total: int) -> None:
        """Show the number of finished pipelines."""
        self._counted = f"{done:,} of {total:,} pipelines"
        self._log.count(self._counted)

    def _start(self, step: Step) -> None:
        self._log.start(step)

    def _progress(self, address: Address, progress: protocol.Progress) -> None:
        self._log.show(address, progress)

    def _outcome(self, outcome: Outcome) -> None:
        step = outcome.step
        if outcome.status is not Status.DONE or step.action is Action.NOOP:
            return
        self._print(
            Text.assemble(
                (f"{step.action.symbol} {step.action.done} ", STYLES[step.action]),
                str(step.address),
                (f"  {outcome.seconds:.1f} s", "dim"),
            )
        )


class _Log:
    """Lines for a log: each step of a build, each finished part, and progress in between."""

    def __init__(self, print_line: Callable[[Text], object], clock: Callable[[], float]) -> None:
        self._print = print_line
        self._clock = clock
        self._started: dict[Address, Step] = {}
        self._printed: set[tuple[Address, str]] = set()
        self._last_line_at: dict[Address, float] = {}
        self._start_of_part: dict[tuple[Address, str, str], tuple[float, int]] = {}
        self._last_count_at: float | None = None

    def start(self, step: Step) -> None:
        """Print the step before its first progress line. A step without progress gets no line."""
        self._started[step.address] = step

    def show(self, address: Address, progress: protocol.Progress) -> None:
        if progress.done is None or progress.ended or progress.unit == "steps":
            counted = amount(progress.done or 0, progress.total, "steps") if progress.unit == "steps" else ""
            self._print_once(address, progress.stage, counted, progress.item, progress.text)
            return
        now = self._clock()
        part = (address, progress.stage, progress.item)
        started_at, done_before = self._start_of_part.setdefault(part, (now, progress.done))
        if now - self._last_line_at.setdefault(address, now) < SILENCE:
            return
        line = amount(progress.done, progress.total, progress.unit)
        rate = (progress.done - done_before) / (now - started_at) if now > started_at else 0
        if rate > 0:
            line += ", " + pace(rate, progress.total - progress.done if progress.total else None)
        self._print_once(address, progress.stage, progress.item, progress.text, line)

    def count(self, finished: str) -> None:
        """Print the number of finished pipelines, at most once per interval."""
        now = self._clock()
        if self._last_count_at is None:
            self._last_count_at = now
        if now - self._last_count_at >= SILENCE:
            self._last_count_at = now
            self._print(Text(finished, "dim"))

    def _print_once(self, address: Address, *parts: str) -> None:
        """Print a line unless the same one was printed before: a Docker Engine repeats messages."""
        if step := self._started.pop(address, None):
            self._print(Text(f"{step.action.doing} {address}"))
        words = " ".join(part for part in parts if part)
        if (address, words) not in self._printed:
            self._printed.add((address, words))
            self._last_line_at[address] = self._clock()
            self._print(Text(f"  {words}", "dim"))
