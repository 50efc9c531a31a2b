"""Progress of a run of many pipelines: a bar on a terminal, a line at intervals in a log."""

import io

from rich.console import Console

from providers.waits import SILENCE
from reconciler.core.events import FleetProgress
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView


def test_a_log_gets_a_line_at_intervals() -> None:
    now, log = 0.0, io.StringIO()
    with ProgressView(console(log), lambda: now) as watch:
        for done in range(1, 1101):
            now += SILENCE / 512  # a power of two, so that nothing is lost when they are added up
            watch(FleetProgress(done, 1100))

    assert log.getvalue().splitlines() == ["513 of 1,100 pipelines", "1,025 of 1,100 pipelines"]


def test_a_terminal_gets_a_bar_that_disappears() -> None:
    shown = io.StringIO()
    terminal = Console(
        file=shown, force_terminal=True, force_interactive=True, width=80, legacy_windows=False
    )
    with ProgressView(terminal) as watch:
        watch(FleetProgress(3, 1000))
        watch(FleetProgress(4, 1000))

    printed = shown.getvalue()
    assert "4/1000" in printed
    assert printed.endswith(("\x1b[2K", "\x1b[?25h", "\x1b[2K\n"))
