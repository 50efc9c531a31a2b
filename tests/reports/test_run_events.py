"""The events of a run as lines: valid, complete after a kill, and the same report after they are read."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from providers.errors import TransientError
from providers.protocol import Progress
from providers.waits import Backoff, Hashing, Repeat, Silence, SilenceEnd
from reconciler.cli.outputs import Outputs
from reconciler.core.diagnostics import UserError
from reconciler.core.events import (
    Event,
    FleetProgress,
    Note,
    Notice,
    PipelineEvent,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
)
from reconciler.core.runs import (
    PipelineFinished,
    PipelineStarted,
    RunEnded,
    RunEvent,
    RunReport,
    RunResult,
    RunStarted,
    WaveStarted,
)
from reconciler.core.values import Address
from reconciler.views.reports.run_events import EventWriter, read_events
from reconciler.views.reports.run_json import run_text
from tests.reports.conftest import AT, NASTY
from tests.reports.runs import every_result, pipeline, report, reports
from tests.schemas import valid

ADDRESS = Address.of("image", "reg.io", "app")
OTHERS: tuple[Event, ...] = (
    Note("reading"),
    Notice(NASTY),
    StepProgress(ADDRESS, Progress("push", "layer", NASTY, 1, 2)),
    StepRetried(ADDRESS, TransientError("429"), 0.5),
    Hashing("app", "weights.bin", 10),
    FleetProgress(1, 2),
    Backoff("host", 429, 2.0),
    Silence("host", 10.0, 60.0),
    Repeat("host", 10.0, 2, 3),
    SilenceEnd("host"),
)


def events_of(found: RunReport) -> Iterator[RunEvent]:
    """The events of the run with this report, with one of every kind."""
    started = [run for run in found.runs if run.wave and run.plan]
    yield RunStarted(
        found.command,
        [[run.folder for run in started]],
        {run.folder: run.plan for run in started if run.plan},
        found.digest,
    )
    yield WaveStarted(1, [run.folder for run in started])
    yield from OTHERS
    for run in started:
        if run.result is RunResult.NOT_STARTED:
            continue
        yield PipelineStarted(run.folder)
        for event in OTHERS:
            yield PipelineEvent(run.folder, event)
        for outcome in run.outcomes:
            yield PipelineEvent(run.folder, StepStarted(outcome.step))
            yield PipelineEvent(run.folder, StepFinished(outcome))
        yield PipelineFinished(run)
    yield RunEnded(found)


def written(events: Iterator[RunEvent], *, at: datetime = AT) -> str:
    lines: list[str] = []
    writer = EventWriter(lines.append, now=lambda: at + timedelta(milliseconds=len(lines)))
    for event in events:
        writer(event)
    assert all(line.endswith("\n") and line.count("\n") == 1 for line in lines)
    return "".join(lines)


def test_every_event_is_a_valid_line_with_its_number_and_time() -> None:
    lines = [json.loads(line) for line in written(events_of(every_result())).splitlines()]
    for line in lines:
        valid(line, "events")
    assert [line["number"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[0]["time"] == "2025-03-03T08:00:00.000+00:00"
    assert {"run-started", "pipeline-finished", "step-finished", "run-ended"} < {
        line["event"] for line in lines
    }
    assert len({line["event"] for line in lines}) == 17


@settings(max_examples=30)
@given(reports(most=4))
def test_the_events_of_a_run_give_its_report(
    tmp_path_factory: pytest.TempPathFactory, found: RunReport
) -> None:
    file = tmp_path_factory.mktemp("events") / "events.ndjson"
    file.write_text(written(events_of(found)))
    read, remarks = read_events(file)
    assert run_text(read) == run_text(found)
    assert remarks == ()


def test_every_beginning_of_a_file_is_a_report_that_says_so(tmp_path: Path) -> None:
    found = report(
        pipeline("app"), pipeline("b", RunResult.FAILED), pipeline("c", RunResult.UNCHANGED, wave=0)
    )
    text = written(events_of(found)).encode()
    file = tmp_path / "events.ndjson"
    first = text.index(b"\n") + 1
    results = set()
    ends = [index + 1 for index, byte in enumerate(text) if byte == ord("\n")]
    for length in sorted({*range(first, len(text), 421), *ends, len(text) - 1}):
        file.write_bytes(text[:length])
        read, remarks = read_events(file)
        is_cut = not text[:length].endswith(b"\n") and length < len(text) - 1
        assert [remark.line for remark in remarks] == ([text[:length].count(b"\n") + 1] if is_cut else [])
        if length < len(text) - 1:
            assert read.exit_code == 1
            assert read.problems[-1].summary == "the run did not end"
        results.add(tuple(run.result for run in read.runs))
    assert results == {
        (RunResult.NOT_STARTED, RunResult.NOT_STARTED),
        (RunResult.INTERRUPTED, RunResult.NOT_STARTED),
        (RunResult.APPLIED, RunResult.NOT_STARTED),
        (RunResult.APPLIED, RunResult.INTERRUPTED),
        (RunResult.APPLIED, RunResult.FAILED),
        (RunResult.APPLIED, RunResult.FAILED, RunResult.UNCHANGED),
    }


def test_a_run_that_was_killed_has_the_outcomes_of_the_pipelines_in_hand(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    lines = written(events_of(report(pipeline("app")))).splitlines(keepends=True)
    file.write_text("".join(lines[: -len(["step", "finished", "ended"])]))
    read, _ = read_events(file)
    (run,) = read.runs
    assert run.result is RunResult.INTERRUPTED
    assert [outcome.status.value for outcome in run.outcomes] == ["done", "done"]
    assert (run.plan and run.stack) == pipeline("app").stack
    assert read.command == "apply"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "its version is 2; this reconciler reads version 1"),
        ({"format": "reconciler/run"}, "its format is 'reconciler/run'"),
        ({"number": 7}, "it is event 7, where event 2 belongs"),
        ({"event": "news"}, "'news' is an unknown event"),
        ({"news": 1}, "unknown keys: news"),
        ({"time": "noon"}, "noon"),
    ],
)
def test_a_line_of_another_kind_is_an_error_with_its_place(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    lines = written(events_of(report(pipeline("app")))).splitlines()
    lines[1] = json.dumps({**json.loads(lines[1]), **change})
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(lines) + "\n")
    with pytest.raises(UserError) as problem:
        read_events(file)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.place == f"{file}:2"
    assert message in diagnostic.detail


@pytest.mark.parametrize("text", [b"", b"\n", b"{", b"[]\n", b"\xff\n", b"7", b"null\n{"])
def test_no_content_is_a_traceback(text: bytes, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(text)
    with pytest.raises(UserError):
        read_events(file)
    with pytest.raises(UserError):
        read_events(tmp_path / "missing")


def test_progress_is_written_once_a_second_and_at_its_end() -> None:
    seconds = 0.0
    lines: list[str] = []
    writer = EventWriter(lines.append, clock=lambda: seconds)
    for done in range(41):
        seconds = done / 10
        for item in ("a", "b"):
            writer(PipelineEvent("app", StepProgress(ADDRESS, Progress("push", item, "", done, 40))))
    shown = [(line["item"], line["done"]) for line in map(json.loads, lines)]
    assert shown == [(item, done) for done in (0, 10, 20, 30, 40) for item in ("a", "b")]


def test_a_killed_run_leaves_complete_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    run = subprocess.Popen(
        [sys.executable, "-c", _ENDLESS, str(file)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"written\n"
    run.send_signal(signal.SIGKILL)
    run.wait()
    run.stdout.close()
    lines = file.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 100
    assert all(json.loads(line)["event"] == "notice" for line in lines)
    assert lines[-1].endswith(b"\n")


_ENDLESS = """
import sys
from pathlib import Path
from reconciler.cli.outputs import Outputs
from reconciler.core.events import Notice

with Outputs({"events": Path(sys.argv[1])}).events() as follow:
    number = 0
    while True:
        follow(Notice("x" * 1000))
        number += 1
        if number == 100:
            print("written", flush=True)
"""


def play(outputs: Outputs, found: RunReport) -> None:
    with outputs.events() as follow:
        for event in events_of(found):
            follow(event)  # type: ignore[arg-type]


def test_a_full_disk_ends_the_events_and_not_the_run(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    outputs = Outputs({"events": full})
    play(outputs, report(pipeline("app")))
    (problem,) = outputs.failures
    assert (problem.summary, problem.file) == ("the events output cannot be written", full)


def test_a_file_that_cannot_be_opened_is_an_error_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(UserError) as problem, Outputs({"events": tmp_path / "taken"}).events():
        pytest.fail("the run started")
    assert problem.value.diagnostics[0].summary == "the events output cannot be written"


def test_an_earlier_file_is_replaced_and_a_pipe_is_written(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text("old " * 10_000)
    play(Outputs({"events": file}), report(pipeline("app")))
    assert read_events(file)[0].counts[RunResult.APPLIED] == 1
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe:
        play(Outputs({"events": Path(f"/dev/fd/{writing}")}), report())
        os.close(writing)
        assert [json.loads(line)["number"] for line in pipe][:2] == [1, 2]


def test_a_dash_is_stdout_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Outputs({"events": Path("-")}).events() as follow:
        follow(PipelineStarted("app"))
        assert json.loads(capsys.readouterr().out)["folder"] == "app"


def test_an_output_without_events_takes_them_and_writes_nothing(tmp_path: Path) -> None:
    play(Outputs({"json": tmp_path / "run.json"}), report(pipeline("app")))
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_that_changed_after_its_end_is_written_again(tmp_path: Path) -> None:
    """The end of the run has the last word: its report is the one that the exit code is made from."""
    first = report(pipeline("app"))
    last = replace(first, runs=(replace(first.runs[0], result=RunResult.FAILED, exit_code=1),))
    lines: list[str] = []
    writer: Callable[[Any], None] = EventWriter(lines.append)
    for event in (*list(events_of(first))[:-1], RunEnded(last)):
        writer(event)
    file = tmp_path / "events.ndjson"
    file.write_text("".join(lines))
    assert run_text(read_events(file)[0]) == run_text(last)
