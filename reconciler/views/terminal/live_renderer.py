"""Draws the engine's events on a terminal: bars, notes and countdowns, and lines above them."""

from collections.abc import Callable

from rich.console import Group, RenderableType
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

from providers import protocol
from providers.waits import SLOW, Hashing
from reconciler.core.events import Event, Outcome
from reconciler.core.plan import Step
from reconciler.core.values import Address
from reconciler.views.safe import one_line
from reconciler.views.terminal.console import Console
from reconciler.views.terminal.delays import Delay, hashing_text
from reconciler.views.terminal.event_renderer import EventRenderer
from reconciler.views.terminal.progress_bars import ProgressBars
from reconciler.views.terminal.rich_console import rich_of
from reconciler.views.terminal.text import Text


class LiveRenderer(EventRenderer):
    """Draws events on a terminal that can move its cursor. Thread-safe."""

    def __init__(self, err: Console, clock: Callable[[], float]) -> None:
        super().__init__(err, clock)
        screen = rich_of(err)
        self._bars = ProgressBars(screen, clock)
        self._waiting: TaskID | None = None  # the note of `tick`
        self._notes = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            _Countdown(clock),
            console=screen,
            transient=True,
        )
        self._delays: dict[str, TaskID] = {}
        self._pipelines = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=screen,
            transient=True,
        )
        # One for all: rich loses count of several whose ends are not nested as their starts were.
        self._area = Live(
            console=screen, transient=True, refresh_per_second=10, get_renderable=self._renderable
        )
        self._bars.show_in(self._area)
        self._notes.live = self._pipelines.live = self._area

    def pause(self) -> None:
        with self._lock:
            self._bars.stop()
            self._stop_notes()
            self._area.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._shown_at = self._clock()
            self._render(event)

    def tick(self, since: float) -> None:
        with self._lock:
            if self._waiting is not None:
                self._notes.update(self._waiting, description=one_line(self._activity()))
            elif self._silent_for(since) >= SLOW and not self._area.is_started:
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

    def _print(self, line: Text) -> None:
        """Print a line above what is live."""
        # Rich computes how far up the line begins before it prints it. Its refresh thread must draw nothing
        # in between: else lines above are erased.
        with self._area._lock:
            super()._print(line)

    def _note(self, text: str) -> None:
        self._bars.stop()
        self._stop_notes()
        self._notes.add_task(one_line(text), total=None)
        self._show()

    def _hashing(self, event: Hashing) -> None:
        """A line or, beside the bar of the pipelines, as in a log."""
        if self._pipelines.task_ids:
            super()._hashing(event)
        else:
            self._note(hashing_text(event))

    def _delay(self, delay: Delay) -> None:
        """A countdown or, beside the bar of the pipelines, as in a log."""
        if self._pipelines.task_ids:
            super()._delay(delay)
            return
        self._bars.stop()
        self._end_delay(delay.server)
        if self._waiting is not None:
            self._notes.remove_task(self._waiting)
            self._waiting = None
        self._delays[delay.server] = self._notes.add_task(
            f"{delay.server}: {delay.reason}", total=None, delay=delay, since=self._clock()
        )
        self._show()

    def _end_delay(self, server: str) -> None:
        if server in self._delays:
            self._notes.remove_task(self._delays.pop(server))
            self._show()

    def _count(self, done: int, total: int) -> None:
        if not self._pipelines.task_ids:
            self._stop_notes()
            self._pipelines.add_task("pipelines", total=total)
        self._pipelines.update(self._pipelines.task_ids[0], completed=done, total=total)
        self._show()

    def _stop_notes(self) -> None:
        for task in self._notes.task_ids:
            self._notes.remove_task(task)
        self._delays.clear()
        self._waiting = None
        self._shown_at = self._clock()
        self._show()

    def _start(self, step: Step) -> None:
        self._stop_notes()

    def _progress(self, address: Address, progress: protocol.Progress) -> None:
        self._stop_notes()
        self._bars.show(address, progress)

    def _outcome(self, outcome: Outcome) -> None:
        self._bars.end(outcome.step.address)
        self._show()
        super()._outcome(outcome)


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
