"""The live table of a run over 300 pipelines on terminals of any size, and its lines in a log."""

import errno
import io
import re
import sys
import threading
from collections.abc import Iterator

import pytest
from msgspec.structs import replace
from rich.console import Console, Group

from providers.protocol import Progress
from providers.waits import SILENCE, Backoff, Hashing, Repeat, Silence, SilenceEnd
from reconciler.core.diagnostics import error
from reconciler.core.events import Event, Note, Notice, PipelineEvent, StepProgress, StepRetried, StepStarted
from reconciler.core.exit_codes import FAILED
from reconciler.core.runs import (
    PipelineFinished,
    PipelineRun,
    PipelineStarted,
    RunEnded,
    RunResult,
    WaveStarted,
)
from reconciler.core.values import Address
from reconciler.views.terminal.console import console
from reconciler.views.terminal.fleet_progress import FleetTable
from reconciler.views.terminal.fleet_table import FleetRun, table
from reconciler.views.terminal.lost_output import lost, unstoppable
from tests.fleet import runs
from tests.fleet.screen import Screen, screen_of
from tests.waits import until

MB = 1_000_000


class Clock:
    """A clock that tests advance."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def folder(number: int) -> str:
    return runs.stack(number).folder


def push(number: int, layer: str, done: int) -> PipelineEvent:
    address = Address.of("image", "reg.io", f"app_{number:03}")
    return PipelineEvent(
        folder(number), StepProgress(address, Progress("push", layer, "sending", done * MB, 40 * MB))
    )


class TestOnATerminal:
    @pytest.fixture
    def screen(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Screen, Console]]:
        with screen_of(80, 24, monkeypatch) as both:
            yield both

    def test_each_pipeline_in_hand_has_a_row(self, screen: tuple[Screen, Console], clock: Clock) -> None:
        shown, err = screen
        with FleetTable(err, clock) as view:
            view(runs.started([[1], [2, 3, 9]]))
            view(WaveStarted(1, [folder(1)]))
            view(PipelineStarted(folder(1)))
            view(PipelineFinished(runs.run_of(1)))
            view(WaveStarted(2, [folder(2), folder(3), folder(9)]))
            view(PipelineStarted(folder(2)))
            view(PipelineStarted(folder(9)))
            view(PipelineEvent(folder(2), StepStarted(runs.plan_of(2).steps[0])))
            view(push(2, "abc", 10))
            clock.now = 75.0
            view(push(2, "def", 15))
            view(PipelineEvent(folder(9), StepStarted(runs.plan_of(9).steps[0])))
            view.tick()
            top, bar, *rows = shown.lines[1:]
            assert shown.lines[0] == "applied  pipeline_001  1.0.1  3.2 s"
            assert top == "1 of 4 done  2 running  1 waiting  wave 2 of 2  1:15"
            assert set(bar) <= set("━╸╺ ")
            assert rows == [
                "pipeline_002       0/2    push  def sending                25.0/80.0 MB     1:15",
                "clip_009/training  0/1    updating processing                               1:15",
            ]

    def test_a_new_pipeline_takes_the_row_of_a_finished_one(
        self, screen: tuple[Screen, Console], clock: Clock
    ) -> None:
        shown, err = screen
        with FleetTable(err, clock) as view:
            view(runs.started([[1, 2, 3, 4]]))
            for number in (1, 2, 3):
                view(PipelineStarted(folder(number)))
            view(PipelineFinished(runs.run_of(2)))
            view(PipelineStarted(folder(4)))
            view.tick()
            view.tick()
            assert [line.split()[0] for line in shown.lines[-3:]] == [
                "pipeline_001", "pipeline_004", "pipeline_003",
            ]  # fmt: skip

    def test_a_failure_is_a_red_line_at_once_with_its_reason(
        self, screen: tuple[Screen, Console], clock: Clock
    ) -> None:
        shown, err = screen
        with FleetTable(err, clock) as view:
            view(runs.started([[runs.BUILD_FAILS, 56]]))
            for number in (runs.BUILD_FAILS, 56):
                view(PipelineStarted(folder(number)))
            view(PipelineFinished(runs.run_of(runs.BUILD_FAILS)))
            view.tick()
            assert shown.colour("failed") == "red"
            assert " ".join(shown.lines[:2]).endswith("the build failed: RUN pip install: exit code 1")
            assert shown.lines[2].startswith("1 of 2 done  1 failed  1 running")

    def test_waits_for_a_server_count_down_and_end(
        self, screen: tuple[Screen, Console], clock: Clock
    ) -> None:
        shown, err = screen
        waits: list[Event] = [
            Backoff("api.io", 429, 20.0),
            Silence("reg.io", 10.0, 60.0),
            Repeat("b", 60.0, 2, 3),
        ]
        with FleetTable(err, clock) as view:
            view(runs.started([[1, 2]]))
            view(PipelineStarted(folder(1)))
            for event in waits:
                for _ in range(3):  # each request that waits says so
                    view(PipelineEvent(folder(1), event))
            clock.now = 5.0
            view(PipelineStarted(folder(2)))
            view.tick()
            assert shown.lines[2:5] == [
                "api.io: rate limited, next try in 15 s",
                "reg.io: no answer for 10 s, waiting up to 45 s",
                "b: no answer for 60 s, trying again (2 of 3)",
            ]
            clock.now = 30.0
            view(PipelineEvent(folder(1), SilenceEnd("b")))
            view.tick()
            assert shown.lines[2] == "reg.io: no answer for 10 s, waiting up to 20 s"
            assert shown.lines[3].startswith("pipeline_001  ")

    def test_what_has_to_stay_stays_above_the_table(
        self, screen: tuple[Screen, Console], clock: Clock
    ) -> None:
        shown, err = screen
        with FleetTable(err, clock) as view:
            view(runs.started([[1]]))
            view(PipelineStarted(folder(1)))
            view(PipelineEvent(folder(1), Notice("waiting for the lock of ann@laptop")))
            retried = StepRetried(Address.of("processing", "app"), runs.problem(runs.REGISTRY_DOWN), 2.0)
            view(PipelineEvent(folder(1), retried))
            view(PipelineEvent(folder(1), Note("reading live objects")))
            view.tick()
            assert shown.lines[:2] == [
                "pipeline_001: waiting for the lock of ann@laptop",
                "pipeline_001: processing/app: reg.io: the connection was refused; again in 2.0 s",
            ]
            assert "reading live objects" in shown.lines[-1]

    def test_the_table_disappears_at_the_end_and_the_cursor_comes_back(
        self, screen: tuple[Screen, Console]
    ) -> None:
        shown, err = screen
        before = sys.stdout
        with FleetTable(err) as view:
            for event in runs.events():
                view(event)
            view(PipelineStarted(folder(1)))  # too late
        assert not [line for line in shown.lines if not re.match("(applied|failed)  |  ", line)]
        assert shown.has_cursor
        assert sys.stdout is before

    def test_an_interruption_leaves_no_table(self, screen: tuple[Screen, Console]) -> None:
        shown, err = screen
        with pytest.raises(KeyboardInterrupt), FleetTable(err) as view:
            view(runs.started([[1]]))
            view(PipelineStarted(folder(1)))
            raise KeyboardInterrupt
        assert shown.lines == []
        assert shown.has_cursor

    def test_the_table_says_that_running_steps_finish(
        self, screen: tuple[Screen, Console], clock: Clock
    ) -> None:
        shown, err = screen
        stop = threading.Event()
        with FleetTable(err, clock, stop.is_set) as view:
            assert view.is_live
            view(runs.started([[1]]))
            view(PipelineStarted(folder(1)))
            stop.set()
            view.tick()
            assert shown.lines[2] == "interrupted: running steps finish; interrupt again to stop now"

    def test_the_time_goes_on_without_events(self, screen: tuple[Screen, Console], clock: Clock) -> None:
        shown, err = screen
        with FleetTable(err, clock) as view:
            view(runs.started([[1]]))
            view(PipelineStarted(folder(1)))
            clock.now = 42.0
            until(lambda: shown.lines[-1].endswith("0:42"))

    @pytest.mark.parametrize(
        ("columns", "lines"), [(40, 24), (80, 24), (160, 50), (60, 10), (41, 3), (120, 2)]
    )
    def test_a_run_fits_every_terminal(
        self, columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every finished pipeline is seen once, and nothing of a table is left above."""
        with screen_of(columns, lines, monkeypatch) as (shown, err), FleetTable(err) as view:
            for event in runs.events(at_once=32):
                view(event)
        finished = [line for line in shown.scrolled if re.match("(applied|failed)  ", line)]
        assert len(finished) == 277
        assert not [line for line in shown.scrolled if re.search("running|━|^pipeline_|^clip_", line)]


@pytest.mark.parametrize("columns", [40, 71, 72, 80, 109, 110, 160])
@pytest.mark.parametrize("lines", [2, 5, 10, 24, 50])
def test_no_line_of_the_table_is_too_long_and_there_are_never_too_many(columns: int, lines: int) -> None:
    clock = Clock()
    run = FleetRun(clock)
    name = "集" * 70
    waves = [list(range(40)), list(range(60, 200))]
    run.follow(runs.started(waves))
    run.follow(WaveStarted(2, []))
    for number in range(32):
        run.follow(PipelineStarted(folder(number)))
        run.follow(PipelineEvent(folder(number), StepStarted(runs.plan_of(number).steps[0])))
    for number in range(16):
        run.follow(push(number, "0123456789ab" * 4, number))
        run.follow(PipelineEvent(folder(number), Hashing(name, name, 10**12)))
    for number in range(16, 24):
        run.follow(PipelineEvent(folder(number), Note(f"{name}\n{name}\x1b[2J")))
    for server in range(4):
        run.follow(PipelineEvent(folder(0), Silence(f"{name}{server}", 10.0, 60.0)))
    clock.now = 36_000.0
    paper = Console(width=columns, height=lines, file=io.StringIO())
    shown = paper.render_lines(Group(*table(run, columns, lines)), pad=False)
    assert all(sum(segment.cell_length for segment in line) <= columns for line in shown)
    assert len(shown) < lines
    assert "".join(segment.text for segment in shown[0]).startswith("0 of 180 done  32 running")
    if lines > 5:
        text = "".join(segment.text for segment in shown[-1])
        rows = [line for line in shown if "".join(s.text for s in line).startswith(("pipeline_", "clip_"))]
        assert text == f"and {32 - len(rows)} more" or len(rows) == 32


class TestInALog:
    @pytest.fixture
    def log(self) -> io.StringIO:
        return io.StringIO()

    def test_each_finished_pipeline_is_one_line(self, log: io.StringIO) -> None:
        with FleetTable(console(log)) as view:
            for event in runs.events():
                view(event)
        lines = log.getvalue().splitlines()
        assert len(lines) == 277
        assert lines[0] == "[  1/277] applied  pipeline_000  1.0.0  3.2 s"
        assert "applied  picsellia/training-279 (clip_279/training)  1.0.0  3.2 s" in lines[-3]
        assert [line[10:] for line in lines if "failed" in line] == [
            "failed   pipeline_050  1.0.1  3.2 s  processing/pipeline_050  updating failed: "
            "the platform refuses it (422): default_cpu must be at most 16",
            "failed   pipeline_052  1.0.1  3.2 s  image/reg.io/app_052  updating failed: "
            "reg.io: the connection was refused",
            "failed   pipeline_053  1.0.1  3.2 s  image/reg.io/app_053  updating failed: "
            "the build failed: RUN pip install: exit code 1",
            "failed   pipeline_055  3.2 s  the worker process that was applying it was killed",
        ]

    def test_a_failure_with_several_reasons_shows_the_first_and_counts_the_others(
        self, log: io.StringIO
    ) -> None:
        problems = tuple(error(f"reason {number}") for number in (1, 2, 3))
        run = PipelineRun("a", None, RunResult.FAILED, FAILED, diagnostics=problems)
        with FleetTable(console(log)) as view:
            view(PipelineFinished(run))
        assert log.getvalue().endswith("failed   a  0.0 s  reason 1, and 2 more\n")

    def test_what_did_not_happen_has_no_line(self, log: io.StringIO) -> None:
        with FleetTable(console(log)) as view:
            view(runs.started([[1, 2]]))
            for result in (RunResult.UNCHANGED, RunResult.NOT_STARTED):
                view(PipelineFinished(replace(runs.run_of(1), result=result)))
        assert log.getvalue() == ""

    def test_a_silent_log_says_what_runs(self, log: io.StringIO, clock: Clock) -> None:
        view = FleetTable(console(log), clock)
        view(runs.started([list(range(60, 70))]))
        for number in range(60, 66):
            view(PipelineStarted(folder(number)))
        view(push(61, "abc", 10))
        for second in range(100):
            clock.now = float(second)
            view.tick()
        lines = log.getvalue().splitlines()
        assert lines[0] == (
            "0 of 10 done  6 running  4 waiting  0:10: pipeline_060 (starting), "
            "pipeline_061 (push 10.0/40.0 MB), pipeline_062 (starting), pipeline_063 (starting) and 2 more"
        ).replace("  ", ", ")
        assert len(lines) == 99 // SILENCE

    def test_the_heart_beats_without_events(self, log: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SILENCE", "_TICK"):
            monkeypatch.setattr(f"reconciler.views.terminal.fleet_progress.{name}", 0.01)
        with FleetTable(console(log)) as view:
            view(runs.started([[1]]))
            view(PipelineStarted(folder(1)))
            until(lambda: log.getvalue().count("1 running") > 2)
        assert "fleet-table" not in {thread.name for thread in threading.enumerate()}

    def test_waits_for_a_server_are_said_at_intervals(self, log: io.StringIO, clock: Clock) -> None:
        view = FleetTable(console(log), clock)
        for second in range(12):
            clock.now = float(second)
            view(PipelineEvent(folder(1), Backoff("api.io", 429, 2.0)))
            view(PipelineEvent(folder(second), Hashing("app", "weights.pt", 5 * MB)))
        waiting = "api.io: rate limited, next try in 2 s"
        hashing = "hashing app: 5.0 MB so far, at weights.pt"
        assert log.getvalue().splitlines() == [waiting, hashing, waiting, hashing]

    def test_a_dumb_terminal_gets_the_lines_of_a_log(self, monkeypatch: pytest.MonkeyPatch) -> None:
        with screen_of(80, 24, monkeypatch) as (shown, _):
            monkeypatch.setenv("TERM", "dumb")
            with FleetTable(console(shown)) as view:
                view(runs.started([[1, 2]]))
                view(PipelineStarted(folder(1)))
                view(PipelineFinished(runs.run_of(1)))
        assert shown.lines == ["[1/2] applied  pipeline_001  1.0.1  3.2 s"]

    def test_the_end_prints_nothing(self, log: io.StringIO) -> None:
        with FleetTable(console(log)) as view:
            view(RunEnded(runs.report()))
        assert log.getvalue() == ""


class Broken(io.StringIO):
    """A log whose reader ends after some lines."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self._left = lines

    def write(self, text: str) -> int:
        if self._left == 0:
            raise BrokenPipeError(errno.EPIPE, "Broken pipe")
        self._left -= 1
        return super().write(text)


def test_a_pipe_that_breaks_ends_no_run(clock: Clock) -> None:
    log, followed = Broken(3), 0
    with unstoppable(), FleetTable(console(log), clock) as view:
        for event in runs.events():
            view(event)
            followed += isinstance(event, PipelineFinished)
        clock.now = 2 * SILENCE
        view.tick()
    assert followed > 3
    assert len(log.getvalue().splitlines()) == 3
    assert isinstance(lost.take(), BrokenPipeError)
    assert "fleet-table" not in {thread.name for thread in threading.enumerate()}


def test_a_terminal_that_is_gone_ends_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.stdout
    with screen_of(80, 24, monkeypatch) as (shown, err), unstoppable(), FleetTable(err) as view:
        view(runs.started([[1]]))

        def gone(_: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(shown, "write", gone)
        view.tick()
        view(PipelineStarted(folder(1)))
    assert sys.stdout is before
    assert "Input/output error" in str(lost.take())
