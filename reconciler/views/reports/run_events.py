"""The events of a run as NDJSON, a line for each, and the report of the run from these lines.

Each line is written at once. So the lines of a run that was killed are complete, except perhaps the last one.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import asdict, replace

from providers.json_value import JSON
from providers.regular_files import read_regular
from providers.waits import Backoff, Exchange, Hashing, Repeat, Silence, SilenceEnd
from reconciler.core.diagnostics import Diagnostic, UserError, error, warning
from reconciler.core.events import (
    Event,
    FleetProgress,
    Note,
    Notice,
    Outcome,
    PipelineEvent,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
)
from reconciler.core.exit_codes import FAILED, INTERRUPTED
from reconciler.core.runs import (
    PipelineFinished,
    PipelineRun,
    PipelineStarted,
    RunEnded,
    RunEvent,
    RunReport,
    RunResult,
    RunStarted,
    WaveStarted,
)
from reconciler.views.reports.document_parts import (
    UNUSABLE,
    Document,
    cause_of,
    expect,
    only_keys,
    time_from_document,
)
from reconciler.views.reports.run_json import (
    MOST_BYTES,
    OUTCOME_KEYS,
    head_from_document,
    head_to_document,
    outcome_from_document,
    outcome_to_document,
    pipeline_from_document,
    pipeline_to_document,
)
from reconciler.views.safe import json_line

FORMAT, VERSION = "reconciler/events", 1
INTERVAL = 1.0
"""Seconds between two lines about the progress of one item, except for its end."""

_LINE_KEYS = frozenset(["format", "version", "number", "time", "event"])
_PLAIN: Mapping[type, str] = {
    Note: "note",
    Notice: "notice",
    FleetProgress: "fleet-progress",
    Backoff: "backoff",
    Silence: "silence",
    Repeat: "repeat",
    SilenceEnd: "silence-end",
    Exchange: "request",
}
"""Events whose values are written as they are, with their names in the file."""
_KEYS = {
    "run-started": frozenset(["command", "digest", "waves", "pipelines"]),
    "wave-started": frozenset(["wave", "folders"]),
    "pipeline-started": frozenset(["folder"]),
    "pipeline-finished": frozenset(["pipeline"]),
    "run-ended": frozenset(["run", "folders", "pipelines"]),
    "step-started": frozenset(["folder", "address", "action"]),
    "step-progress": frozenset(["folder", "address", "stage", "item", "text", "done", "total", "unit"]),
    "step-retried": frozenset(["folder", "address", "message", "delay"]),
    "step-finished": frozenset(["folder", "address"]) | OUTCOME_KEYS,
    "note": frozenset(["folder", "text"]),
    "notice": frozenset(["folder", "text"]),
    "hashing": frozenset(["folder", "source", "path", "size"]),
    "fleet-progress": frozenset(["folder", "done", "total"]),
    "backoff": frozenset(["folder", "server", "status", "seconds"]),
    "silence": frozenset(["folder", "server", "seconds", "limit"]),
    "repeat": frozenset(["folder", "server", "seconds", "attempt", "attempts"]),
    "silence-end": frozenset(["folder", "server"]),
    "request": frozenset(["folder", "method", "url", "status", "seconds"]),
}
"""Name of an event -> the keys of its line, apart from those that every line has."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class EventWriter:
    """Writes each event of a run as one line. Called from one thread at a time.

    Args:
        write: writes one line, with its line feed, at once.
        folder: files below it are named relative to it.
        now: returns the time in UTC.
        clock: returns seconds, for the interval of progress.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        folder: Path | None = None,
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write = write
        self._folder = folder
        self._now = now
        self._clock = clock
        self._number = 0
        self._command = ""
        self._finished: dict[str, PipelineRun] = {}
        self._progress: dict[tuple[object, ...], float] = {}

    def __call__(self, event: RunEvent) -> None:
        match event:
            case RunStarted():
                self._command = event.command
                self._line("run-started", **self._run_started(event))
            case WaveStarted():
                self._line("wave-started", wave=event.number, folders=list(event.folders))
            case PipelineStarted():
                self._line("pipeline-started", folder=event.folder)
            case PipelineFinished():
                self._finished[event.run.folder] = event.run
                self._line("pipeline-finished", pipeline=self._entry(event.run))
            case RunEnded():
                self._line("run-ended", **self._run_ended(event.report))
            case PipelineEvent():
                self._pipeline_event(str(event.folder), event.event)
            case _:
                self._pipeline_event(None, event)

    def _pipeline_event(self, folder: str | None, event: Event) -> None:
        match event:
            case StepStarted(step):
                self._line("step-started", folder=folder, address=str(step.address), action=step.action.word)
            case StepProgress(address, progress):
                if self._is_due(folder, event):
                    self._line("step-progress", folder=folder, address=str(address), **asdict(progress))
            case StepRetried(address, problem, delay):
                message = problem.message
                self._line("step-retried", folder=folder, address=str(address), message=message, delay=delay)
            case StepFinished(outcome):
                ended = outcome_to_document(outcome)
                self._line("step-finished", folder=folder, address=str(outcome.step.address), **ended)
            case Hashing(source, path, size):
                self._line("hashing", folder=folder, source=source, path=path, size=size)
            case _:
                self._line(_PLAIN[type(event)], folder=folder, **asdict(event))

    def _is_due(self, folder: str | None, event: StepProgress) -> bool:
        """Whether to write this progress: the first of an item, its end, and one in an interval between."""
        key = (folder, event.address, event.progress.stage, event.progress.item)
        now = self._clock()
        last = self._progress.get(key)
        if last is not None and now - last < INTERVAL and not event.progress.ended:
            return False
        self._progress[key] = now
        return True

    def _run_started(self, event: RunStarted) -> dict[str, JSON]:
        """The start, with the plan of each pipeline, as it would be left if the run ended at once."""
        runs = [
            PipelineRun(folder, plan.stack, RunResult.NOT_STARTED, FAILED, plan)
            for folder, plan in event.plans.items()
        ]
        return {
            "command": event.command,
            "digest": event.digest,
            "waves": [list(wave) for wave in event.waves],
            "pipelines": [self._entry(run) for run in runs],
        }

    def _run_ended(self, report: RunReport) -> dict[str, JSON]:
        """The end, with the pipelines that have no line of their own, and the order of all of them."""
        others = [run for run in report.runs if self._finished.get(run.folder) != run]
        report = report.with_relative_paths(self._folder) if self._folder else report
        return {
            "run": head_to_document(report),
            "folders": [run.folder for run in report.runs],
            "pipelines": [pipeline_to_document(self._relative(run), report) for run in others],
        }

    def _entry(self, run: PipelineRun) -> dict[str, JSON]:
        return pipeline_to_document(self._relative(run), _unfinished(self._command, self._now()))

    def _relative(self, run: PipelineRun) -> PipelineRun:
        return run.with_relative_paths(self._folder) if self._folder else run

    def _line(self, event: str, **values: JSON) -> None:
        self._number += 1
        at = self._now().isoformat(timespec="milliseconds")
        line: dict[str, JSON] = {"format": FORMAT, "version": VERSION, "number": self._number, "time": at}
        self._write(json_line({**line, "event": event, **values}))


def read_events(path: Path) -> tuple[RunReport, tuple[Diagnostic, ...]]:
    """The report of the run whose events are in this file, and remarks about the file.

    Raises:
        UserError: the file cannot be read, or is no complete file of events, except for its end.
    """
    try:
        content = read_regular(path, MOST_BYTES)
    except OSError as problem:
        raise UserError(error("the events cannot be read", f"{problem.strerror}.", file=path)) from None
    replay, remarks = _Replay(), []
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            if line:
                replay.take(number, _checked(number, json.loads(line)))
        except UNUSABLE as problem:
            if number == len(lines) and number > 1:  # no line feed follows
                text = "the last line is incomplete, because the run ended while it was written"
                remarks.append(warning(text, file=path, line=number))
                continue
            detail = f"{cause_of(problem)}. Use a file that `reconciler apply --events FILE` wrote."
            raise UserError(error("this is not an event of a run", detail, file=path, line=number)) from None
    if replay.last is None:
        raise UserError(error("the file has no events", "The run ended before the first one.", file=path))
    return replay.report(), tuple(remarks)


def _checked(number: int, document: Document) -> Document:
    """The line of this number. Raises ValueError if it is not one of this version."""
    expect(document, dict, "an event")
    if document.get("format") != FORMAT:
        raise ValueError(f"its format is {document.get('format')!r}, not {FORMAT!r}")
    if document.get("version") != VERSION:
        version = document.get("version")
        raise ValueError(f"its version is {version!r}; this reconciler reads version {VERSION}")
    if document["number"] != number:
        raise ValueError(f"it is event {document['number']!r}, where event {number} belongs")
    if document["event"] not in _KEYS:
        raise ValueError(f"{document['event']!r} is an unknown event")
    only_keys(document, _LINE_KEYS | _KEYS[document["event"]], f"the event {document['event']}")
    return document


class _Replay:
    """Collects the events of a file."""

    def __init__(self) -> None:
        self.last: datetime | None = None
        self._first: datetime | None = None
        self._command = ""
        self._digest = ""
        self._runs: dict[str, PipelineRun] = {}
        self._running: dict[str, list[Outcome]] = {}
        self._ended: RunReport | None = None

    def take(self, number: int, line: Document) -> None:
        self.last = time_from_document(line["time"])
        self._first = self._first or self.last
        match line["event"]:
            case "run-started":
                for key in ("command", "digest"):
                    expect(line[key], str, f"a run: its {key} is {line[key]!r}")
                self._command, self._digest = line["command"], line["digest"]
                self._put(line["pipelines"])
            case "pipeline-started":
                self._running[line["folder"]] = []
            case "step-finished" if line["folder"] in self._running:
                self._step_finished(line)
            case "pipeline-finished":
                self._put([line["pipeline"]])
            case "run-ended":
                self._put(line["pipelines"])
                runs = tuple(self._runs[folder] for folder in line["folders"])
                self._ended = replace(head_from_document(line["run"]), runs=runs)

    def _put(self, entries: list[Any]) -> None:
        for entry in entries:
            run = pipeline_from_document(entry)
            self._runs[run.folder] = run
            self._running.pop(run.folder, None)

    def _step_finished(self, line: Document) -> None:
        run = self._runs.get(line["folder"])
        for step in run.plan.steps if run and run.plan else ():
            if str(step.address) == line["address"]:
                outcome = outcome_from_document(step, {key: line[key] for key in OUTCOME_KEYS})
                self._running[line["folder"]].append(outcome)

    def report(self) -> RunReport:
        """The report of the run, as far as the events tell."""
        if self._ended is not None:
            return self._ended
        assert self._first is not None and self.last is not None
        problem = error(
            "the run did not end",
            f"Its last event is of {self.last:%Y-%m-%d %H:%M:%S} UTC. Pipelines that had started may be half "
            "done: run the same command again.",
            may_pass=True,
        )
        return replace(
            _unfinished(self._command, self._first),
            ended=self.last.replace(microsecond=0),
            digest=self._digest,
            runs=tuple(self._cut_off()),
            problems=(problem,),
        )

    def _cut_off(self) -> Iterator[PipelineRun]:
        """The pipelines in the order of their folders; those in hand are interrupted."""
        started = {
            folder: PipelineRun(folder, None, RunResult.NOT_STARTED, FAILED) for folder in self._running
        }
        for folder, run in sorted({**started, **self._runs}.items()):
            outcomes = self._running.get(folder)
            if outcomes is None:
                yield run
            else:
                yield replace(
                    run, result=RunResult.INTERRUPTED, exit_code=INTERRUPTED, outcomes=tuple(outcomes)
                )


def _unfinished(command: str, at: datetime) -> RunReport:
    """A report without pipelines, of a run that has not ended."""
    moment = at.replace(microsecond=0)
    return RunReport(command, moment, moment, "", ())
