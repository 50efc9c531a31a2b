"""The progress of a long run: bars on a terminal, and a short log with regular lines."""

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console
from rich.live import Live

from providers.protocol import Progress
from reconciler.core.events import Note, Outcome, Status, StepFinished, StepProgress, StepStarted
from reconciler.core.plan import Action, Step
from reconciler.core.values import Address
from reconciler.views.terminal import progress_bars
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView
from reconciler.views.terminal.progress_bars import ProgressBars
from tests.fleet.screen import screen_of
from tests.waits import until

IMAGE = Address.of("image", "reg.io", "app")
OTHER = Address.of("image", "reg.io", "other")
STEP = Step(address=IMAGE, action=Action.CREATE, reason="never-published")
MB = 1_000_000
DRAWN_EVERY = 0.1
"""Seconds; the default of Rich."""


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Terminal:
    """Bars on a terminal of 80 columns, and its contents."""

    def __init__(self, clock: Clock) -> None:
        self.bars = ProgressBars(Console(file=io.StringIO(), force_terminal=True, width=80), clock)

    def show(self, *progress: Progress) -> None:
        for one in progress:
            self.bars.show(IMAGE, one)

    @property
    def lines(self) -> list[str]:
        paper = Console(file=io.StringIO(), width=80)
        with paper.capture() as captured:
            paper.print(self.bars)
        return [line[2:].rstrip() for line in captured.get().splitlines()]  # without the spinner


@pytest.fixture
def terminal(clock: Clock) -> Iterator[Terminal]:
    terminal = Terminal(clock)
    yield terminal
    terminal.bars.stop()


def sent(layer: str, done: int, total: int = 40) -> Progress:
    return Progress("push", layer, "sent" if done == total else "sending", done * MB, total * MB)


class TestBars:
    def test_a_layer_has_its_bytes_its_rate_and_the_time_left(self, terminal: Terminal, clock: Clock) -> None:
        for second in range(4):
            clock.now = second
            terminal.show(sent("abc", 4 * second))
        stage, layer = terminal.lines
        assert stage == "push"
        assert layer.startswith("  abc ━")
        assert layer.endswith(" 12.0/40.0 MB 4.0 MB/s, 0:07 left sending")

    def test_steps_have_no_rate(self, terminal: Terminal, clock: Clock) -> None:
        terminal.show(Progress("build", "", "FROM python", 1, 7, "steps"))
        clock.now = 1
        terminal.show(Progress("build", "", "COPY . /app", 2, 7, "steps"), Progress("build", "", "a word"))
        [build] = terminal.lines
        assert build.endswith(" 2/7  a word")

    def test_a_part_without_a_size_has_no_bar(self, terminal: Terminal, clock: Clock) -> None:
        for second in range(3):
            clock.now = second
            terminal.show(Progress("build", "context", "sending the folder", second * MB))
        assert [" ".join(line.split()) for line in terminal.lines] == [
            "build",
            "context 2.0 MB 1.0 MB/s sending the folder",
        ]

    def test_a_part_without_a_size_ends_when_another_one_starts(self, terminal: Terminal) -> None:
        terminal.show(Progress("build", "context", "sending the folder", MB), sent("abc", 1))
        assert [line.split()[0] for line in terminal.lines] == ["build", "push", "abc"]

    def test_finished_layers_are_counted(self, terminal: Terminal) -> None:
        for number in range(30):
            terminal.show(sent(f"layer{number}", 1), sent(f"layer{number}", 40))
        terminal.show(Progress("push", "there", "already there", 0, 0), sent("last", 1))
        stage, last = terminal.lines
        assert stage.split() == ["push", "31", "done"]
        assert last.split()[0] == "last"

    def test_parts_that_do_not_fit_are_counted(self, terminal: Terminal) -> None:
        terminal.show(*(sent(f"layer{number}", 1) for number in range(30)))
        assert len(terminal.lines) == progress_bars.MOST + 1
        assert terminal.lines[-1] == "and 23 more"

    def test_long_texts_are_truncated_and_numbers_are_not(self, terminal: Terminal) -> None:
        terminal.show(Progress("build", "", "RUN " + "x" * 200, 3, 7, "steps"))
        [build] = terminal.lines
        assert " 3/7 " in build
        assert build.endswith("x…")

    def test_a_finished_step_leaves_no_bar(self, terminal: Terminal) -> None:
        terminal.show(sent("abc", 1))
        terminal.bars.show(OTHER, sent("def", 2))
        terminal.bars.end(IMAGE)
        assert [line.split()[0] for line in terminal.lines] == ["push", "def"]
        terminal.bars.stop()
        assert terminal.lines == []


class TestInATerminal:
    def test_notes_and_bars_alternate_and_only_results_stay(self, clock: Clock) -> None:
        screen = io.StringIO()
        with ProgressView(
            Console(file=screen, force_terminal=True, width=80, color_system=None), clock
        ) as watch:
            for _ in range(2):
                watch(Note("reading"))
                watch(StepStarted(STEP))
                watch(StepProgress(IMAGE, sent("abc", 1)))
                watch(StepFinished(Outcome(STEP, Status.DONE, seconds=3.0)))
        assert screen.getvalue().count("+ created image/reg.io/app  3.0 s\n") == 2

    def test_a_line_erases_nothing_whenever_the_bars_are_drawn(
        self, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Rich draws the bars in a thread of its own, maybe just before a line is printed above them."""
        draw, drawn = Live.process_renderables, threading.Event()

        def slow(live: Live, renderables: list[Any]) -> list[Any]:
            found = draw(live, renderables)
            if threading.current_thread() is threading.main_thread():
                drawn.clear()
                drawn.wait(DRAWN_EVERY * 4)
            else:
                drawn.set()
            return found

        with screen_of(80, 24, monkeypatch) as (screen, err), ProgressView(err, clock) as watch:
            err.print("above")
            watch(StepStarted(STEP))
            watch(StepProgress(IMAGE, sent("abc", 1)))
            until(lambda: any("abc" in line for line in screen.lines))
            monkeypatch.setattr(Live, "process_renderables", slow)
            watch(StepFinished(Outcome(STEP, Status.DONE, seconds=3.0)))
        assert screen.lines == ["above", "+ created image/reg.io/app  3.0 s"]


class TestInALog:
    @pytest.fixture
    def log(self) -> io.StringIO:
        return io.StringIO()

    @pytest.fixture
    def watch(self, log: io.StringIO, clock: Clock) -> ProgressView:
        return ProgressView(console(log), clock)

    def test_each_build_step_and_each_layer_is_one_line(self, watch: ProgressView, log: io.StringIO) -> None:
        watch(StepStarted(STEP))
        for progress in (
            Progress("build", "", "FROM scratch", 1, 2, "steps"),
            Progress("build", "", "COPY . /", 2, 2, "steps"),
            *(sent("abc", done) for done in range(41)),
            sent("abc", 40),
            Progress("tag", "", "latest -> 1.0.0"),
        ):
            watch(StepProgress(IMAGE, progress))
        assert log.getvalue().splitlines() == [
            "creating image/reg.io/app",
            "  build 1/2 FROM scratch",
            "  build 2/2 COPY . /",
            "  push abc sent",
            "  tag latest -> 1.0.0",
        ]

    def test_a_long_part_prints_progress_at_intervals(
        self, watch: ProgressView, log: io.StringIO, clock: Clock
    ) -> None:
        watch(StepStarted(STEP))
        for second in range(25):
            clock.now = second
            watch(StepProgress(IMAGE, sent("abc", second)))
        assert log.getvalue().splitlines() == [
            "creating image/reg.io/app",
            "  push abc sending 10.0/40.0 MB, 1.0 MB/s, 0:30 left",
            "  push abc sending 20.0/40.0 MB, 1.0 MB/s, 0:20 left",
        ]

    def test_a_quick_step_prints_only_its_result(self, watch: ProgressView, log: io.StringIO) -> None:
        with watch:
            watch(Note("reading"))
            watch(StepStarted(STEP))
            watch(StepFinished(Outcome(STEP, Status.DONE, seconds=0.2)))
        assert log.getvalue() == "+ created image/reg.io/app  0.2 s\n"
