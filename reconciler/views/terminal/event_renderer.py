"""Renders the engine's events: bars on a terminal, plain lines in a log."""

import threading
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from providers import protocol
from providers.waits import (
    LONGEST_SILENCE,
    SILENCE,
    SLOW,
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
from reconciler.views.safe import one_line
from reconciler.views.terminal.console import STYLES
from reconciler.views.terminal.delays import Announcements, Delay, exchange_text, hashing_text
from reconciler.views.terminal.progress_bars import Key, ProgressBars

_NAMED = 3  # servers that a line names


class EventRenderer:
    """Renders events on stderr. Thread-safe.

    Args:
        clock: returns seconds, for rates and intervals.
    """

    def __init__(self, err: Console, clock: Callable[[], float]) -> None:
        self._err = err
        self._live = err.is_interactive  # a dumb terminal cannot move its cursor
        self._bars = ProgressBars(err, clock)
        self._shown_at = clock()  # the last line, or a change of what is live
        self._waiting: TaskID | None = None  # the note of `tick`
        self._counted = ""
        self._log = _Log(self._print, clock)
        self._notes = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _Countdown(clock),
            console=err,
            transient=True,
        )
        self._clock = clock
        self._announcements = Announcements(self._print, clock)
        self._delays: dict[str, TaskID] = {}
        self._pipelines = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=err,
            transient=True,
        )
        # One for all: rich loses count of several whose ends are not nested as their starts were.
        self._area = Live(console=err, transient=True, refresh_per_second=10, get_renderable=self._renderable)
        self._bars.show_in(self._area)
        self._notes.live = self._pipelines.live = self._area
        self._lock = threading.RLock()

    def pause(self) -> None:
        """Remove all bars, to print or to prompt. The next event shows them again."""
        if self._live:
            with self._lock:
                self._bars.stop()
                self._stop_notes()
                self._area.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if self._live:
                self._shown_at = self._clock()
            self._render(event)

    def tick(self, since: float) -> None:
        """Show what the run waits for, if nothing was shown for too long.

        Args:
            since: the time since when there could be something to show.
        """
        with self._lock:
            silent = self._clock() - max(since, self._shown_at)
            if not self._live:
                if silent >= LONGEST_SILENCE:
                    self._print(Text(self._activity(), "dim"))
                return
            if self._waiting is not None:
                self._notes.update(self._waiting, description=one_line(self._activity()))
            elif silent >= SLOW and not self._area.is_started:
                self._waiting = self._notes.add_task(one_line(self._activity()), total=None)
                self._show()

    def _show(self) -> None:
        """Show what is live, if there is anything."""
        if self._notes.tasks or self._pipelines.tasks or not self._bars.is_empty:
            self._area.start(refresh=True)
        else:
            self._area.stop()

    def _renderable(self) -> RenderableType:
        parts = [one.get_renderable() for one in (self._pipelines, self._notes) if one.tasks]
        return Group(*parts, *(() if self._bars.is_empty else (self._bars,)))

    def _activity(self) -> str:
        """What the run does, as far as it is known."""
        servers = pending_servers()
        more = f" and {len(servers) - _NAMED} more" if len(servers) > _NAMED else ""
        waiting = f"waiting for {', '.join(servers[:_NAMED])}{more}" if servers else ""
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
                self._stop_notes()
                self._log.start(step)
            case StepProgress(address, progress):
                self._stop_notes()
                (self._bars if self._live else self._log).show(address, progress)
            case StepRetried(address, problem, delay):
                self._print(Text(f"{address}: {problem.message}; again in {delay:.1f} s", "yellow"))
            case StepFinished(outcome):
                self._outcome(outcome)

    def _print(self, line: Text) -> None:
        """Print a line, above what is live."""
        self._shown_at = self._clock()
        # Rich computes how far up the line begins before it prints it. Its refresh thread must draw nothing
        # in between: else lines above are erased.
        with self._area._lock:
            self._err.print(line)

    def _note(self, text: str) -> None:
        """Show the present activity until the next event. Only on a terminal."""
        if not self._live:
            return
        self._bars.stop()
        self._stop_notes()
        self._notes.add_task(one_line(text), total=None)
        self._show()

    def _hashing(self, event: Hashing) -> None:
        """Show the progress of hashing a large folder: a line on a terminal, occasional lines in a log."""
        if self._live and not self._pipelines.task_ids:
            self._note(hashing_text(event))
        else:
            self._announcements.hashing(event)

    def _delay(self, delay: Delay) -> None:
        """Show that the run waits for a server: a countdown on a terminal, occasional lines in a log."""
        if self._live and not self._pipelines.task_ids:
            self._bars.stop()
            self._end_delay(delay.server)
            if self._waiting is not None:
                self._notes.remove_task(self._waiting)
                self._waiting = None
            self._delays[delay.server] = self._notes.add_task(
                f"{delay.server}: {delay.reason}", total=None, delay=delay, since=self._clock()
            )
            self._show()
        else:
            self._announcements.delay(delay)

    def _end_delay(self, server: str) -> None:
        if server in self._delays:
            self._notes.remove_task(self._delays.pop(server))
            self._show()

    def _count(self, done: int, total: int) -> None:
        """Show the number of finished pipelines: a bar on a terminal, occasional lines in a log."""
        if not self._live:
            self._counted = f"{done:,} of {total:,} pipelines"
            self._log.count(self._counted)
            return
        if not self._pipelines.task_ids:
            self._stop_notes()
            self._pipelines.add_task("pipelines", total=total)
        self._pipelines.update(self._pipelines.task_ids[0], completed=done, total=total)
        self._show()

    def _stop_notes(self) -> None:
        if not self._live:
            return
        for task in self._notes.task_ids:
            self._notes.remove_task(task)
        self._delays.clear()
        self._waiting = None
        self._shown_at = self._clock()
        self._show()

    def _outcome(self, outcome: Outcome) -> None:
        step = outcome.step
        self._bars.end(step.address)
        if self._live:
            self._show()
        if outcome.status is not Status.DONE or step.action is Action.NOOP:
            return
        self._print(
            Text.assemble(
                (f"{step.action.symbol} {step.action.done} ", STYLES[step.action]),
                str(step.address),
                (f"  {outcome.seconds:.1f} s", "dim"),
            )
        )


class _Countdown(ProgressColumn):
    """The outlook of a delay, with the seconds left; empty for other notes."""

    max_refresh = 0.2

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock

    def render(self, task: Task) -> Text:
        delay: Delay | None = task.fields.get("delay")
        passed = self._clock() - task.fields.get("since", 0.0)
        return Text(delay.outlook_after(passed) if delay else "", "dim")


class _Log:
    """Lines for a log: each step of a build, each finished part, and progress in between."""

    def __init__(self, print_line: Callable[[Text], object], clock: Callable[[], float]) -> None:
        self._print = print_line
        self._clock = clock
        self._started: dict[Address, Step] = {}
        self._printed: set[tuple[Address, str]] = set()
        self._last_line_at: dict[Address, float] = {}
        self._start_of_part: dict[Key, tuple[float, int]] = {}
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
