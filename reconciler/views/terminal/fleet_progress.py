"""Shows a run over many pipelines: a live table on a terminal, a line for each finished pipeline in a log."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from providers.threads import start
from providers.waits import SILENCE, Backoff, Exchange, Hashing, Repeat, Silence
from reconciler.core.events import Event, Notice, PipelineEvent, StepRetried
from reconciler.core.plan import with_folder
from reconciler.core.runs import (
    PipelineFinished,
    PipelineRun,
    PipelineStarted,
    RunEnded,
    RunEvent,
    RunResult,
    RunStarted,
    WaveStarted,
)
from reconciler.views.counting import duration
from reconciler.views.phrases import run_name
from reconciler.views.run_problems import reasons
from reconciler.views.terminal.console import Console, is_quiet
from reconciler.views.terminal.delays import Announcements, Delay, exchange_text
from reconciler.views.terminal.fleet_table import FleetRun, heart_beat, table
from reconciler.views.terminal.recap import RESULT_STYLES
from reconciler.views.terminal.text import Text

if TYPE_CHECKING:
    from rich.live import Live

_TICK = 0.25  # seconds
_WORD = len("applied ")
_SILENT = (RunResult.UNCHANGED, RunResult.NOT_STARTED)
_GOOD = (*_SILENT, RunResult.APPLIED)
"""Results without a line: nothing happened. The totals and the recap have them."""


class FleetTable:
    """Renders the events of a run on stderr. Thread-safe.

    A context manager, which removes the table at the end.

    Args:
        clock: returns seconds, for intervals and the time that a pipeline takes.
        interrupted: whether the user interrupted the run. The table then says that running steps finish.
    """

    def __init__(
        self,
        err: Console,
        clock: Callable[[], float] = time.monotonic,
        interrupted: Callable[[], bool] = lambda: False,
    ) -> None:
        self._err = err
        self._clock = clock
        self._run = FleetRun(clock, interrupted)
        self._announcements = Announcements(err.print, clock)
        # One lock for the state and for all output: rich moves the cursor by the height of the last frame, so
        # a line and a frame of two threads must not mix. Therefore Live has no thread of its own, either.
        self._lock = threading.RLock()
        self._live: Live | None = None
        self._quiet = is_quiet()
        if err.is_interactive and not self._quiet:  # a dumb terminal cannot move its cursor
            self._live = self._new_table()
        self._lines: list[Text] = []
        self._printed_at = clock()
        self._ended = threading.Event()
        self._ticker = threading.Thread(target=self._tick_regularly, name="fleet-table", daemon=True)

    def _new_table(self) -> "Live":
        from rich.console import Group
        from rich.live import Live

        from reconciler.views.terminal.rich_console import rich_of

        screen = rich_of(self._err)
        return Live(
            console=screen,
            transient=True,
            auto_refresh=False,
            vertical_overflow="crop",
            get_renderable=lambda: Group(*table(self._run, *screen.size)),
        )

    def __enter__(self) -> Self:
        with suppress(OSError):  # then it shows only what happens
            start(self._ticker)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.pause()
        if self._ticker.ident is not None:
            self._ticker.join()

    @property
    def is_live(self) -> bool:
        """Whether there is a table. Any other output would spoil it, also that of a signal handler."""
        return self._live is not None

    def pause(self) -> None:
        """Print what is left to print and remove the table, for other output. Any event shows it again."""
        with self._lock:
            self._flush()
            if self._live is not None:
                self._live.stop()

    def __call__(self, event: RunEvent) -> None:
        with self._lock:
            self._follow(event)

    def _follow(self, event: RunEvent) -> None:
        self._run.follow(event)
        match event:
            case RunEnded():
                self.pause()
                return
            case PipelineEvent(folder, inner):
                self._announce(inner, f"{self._run.name(str(folder))}: ")
            case PipelineFinished(run) if run.result not in (_GOOD if self._quiet else _SILENT):
                self._print(self._line(run))
            case RunStarted() | WaveStarted() | PipelineStarted() | PipelineFinished():
                pass
            case _:
                self._announce(event, "")
        if self._live is not None and not self._ended.is_set():
            self._live.start(refresh=True)

    def tick(self) -> None:
        """Draw the table, with new lines above it. A log gets a line after `SILENCE` seconds without one."""
        with self._lock:
            if self._live is None:
                if self._clock() - self._printed_at >= SILENCE and not self._quiet:
                    self._print(Text(heart_beat(self._run), "dim"))
            elif self._live.is_started:
                with self._live.console:  # one write for both, so that nothing flickers
                    self._flush()
                    self._live.refresh()

    def _tick_regularly(self) -> None:
        while not self._ended.wait(_TICK):
            self.tick()

    def _print(self, line: Text) -> None:
        """Print a line: at once in a log, with the next tick on a terminal, as each print draws the table."""
        self._lines.append(line)
        if self._live is None:
            self._flush()

    def _flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._printed_at = self._clock()
            self._err.print(*lines, sep="\n")

    def _announce(self, event: Event, about: str) -> None:
        """Print what must stay on the screen, or in the log, after the name of the pipeline."""
        match event:
            case Notice(text):
                self._print(Text(f"{about}{text}", "yellow"))
            case StepRetried(address, problem, delay):
                text = f"{about}{address}: {problem.message}; again in {delay:.1f} s"
                self._print(Text(text, "yellow"))
            case Backoff() | Silence() | Repeat() | Hashing() if self._quiet:
                pass
            case Backoff() | Silence() | Repeat() if self._live is None:
                self._announcements.delay(Delay.of(event))
            case Hashing() if self._live is None:
                self._announcements.hashing(event)
            case Exchange():
                self._print(Text(f"{about}{exchange_text(event)}", "dim"))
            case _:
                pass

    def _line(self, run: PipelineRun) -> Text:
        """`applied  clip/training  1.0.1  3.2 s`; in a log also its number and its stack."""
        line = Text()
        if self._live is None:
            total = self._run.total
            line.append(f"[{self._run.done:>{len(str(total))}}/{total}] ", "dim")
        style, stack, name = RESULT_STYLES[run.result], run.stack, run_name(run)
        if self._live is None and stack:
            name = with_folder(stack.name, stack.name, stack.folder)
        line.append(f"{run.result.value:<{_WORD}} ", style).append(name, "bold")
        if run.version:
            line.append(f"  {run.version}")
        line.append(f"  {duration(run.seconds)}", "dim")
        if found := reasons(run):
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            what = "  ".join(filter(None, (found[0].address, found[0].place, found[0].summary)))
            line.append(f"  {what}{more}", style)
        return line
