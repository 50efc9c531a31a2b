"""Text of servers and files stays visible text in every position of every output.

The payload replaces every text of a report, a plan, a state and so on, one at a time. Each output is checked
as a terminal, a workflow, a browser or a parser reads it.
"""

import dataclasses
import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree as ET

import click
import pytest
from msgspec import Struct
from msgspec.structs import asdict, replace
from rich.console import Console

from providers.docker.builders.build_errors import plain_text
from providers.docker.verdicts import ImageVerdict
from providers.errors import ProviderError, RefusedError
from providers.protocol import Progress
from providers.reasons import Reason, Refusal, WayOut
from providers.sandbox import Address as SandboxAddress
from providers.sandbox import Sandbox, Settings
from providers.text import one_line, visible
from reconciler.cli import run
from reconciler.cli.prompts import Question, confirm
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.events import (
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
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.reasons import ReasonCode, Way
from reconciler.core.recorded_runs import RecordedRun, RunOutcome
from reconciler.core.runs import (
    PipelineFinished,
    PipelineRun,
    PipelineStarted,
    RunReport,
    RunResult,
    RunStarted,
)
from reconciler.core.stale import StaleField, StaleStep
from reconciler.core.values import MISSING, Address
from reconciler.drift.findings import DriftState, LastApply, Report
from reconciler.drift.status import Row
from reconciler.engine.executor import ExecutionResult
from reconciler.views.reports.document_parts import unstated
from reconciler.views.reports.drawing import Drawing, Node
from reconciler.views.reports.drift_json import report_text, report_to_document
from reconciler.views.reports.github import annotations
from reconciler.views.reports.graph_text import dot, mermaid
from reconciler.views.reports.graphs import of_plan, of_report
from reconciler.views.reports.html import drift_html, plan_html, run_html
from reconciler.views.reports.junit import junit_text
from reconciler.views.reports.markdown import drift_markdown
from reconciler.views.reports.plan_json import plan_text, plan_to_document, plans_text
from reconciler.views.reports.plan_markdown import plan_markdown
from reconciler.views.reports.run_events import EventWriter
from reconciler.views.reports.run_github import output_lines, run_annotations
from reconciler.views.reports.run_json import run_from_document, run_text, run_to_document
from reconciler.views.reports.run_junit import run_junit
from reconciler.views.reports.run_markdown import run_markdown
from reconciler.views.reports.svg import svg
from reconciler.views.safe import LONGEST_LINE, json_text, safe_for_workflows, without_workflow_commands
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from reconciler.views.terminal.fleet_plan import print_fleet_plan
from reconciler.views.terminal.fleet_progress import FleetTable
from reconciler.views.terminal.fleet_table import FleetRun, table
from reconciler.views.terminal.history import (
    change_lines,
    history_document,
    run_lines,
    save_lines,
    state_lines,
)
from reconciler.views.terminal.messages import print_diagnostics, print_outcomes, print_sandbox
from reconciler.views.terminal.overview import overview_document, overview_lines
from reconciler.views.terminal.plans import print_plan, print_refusals, print_stale
from reconciler.views.terminal.progress import ProgressView
from reconciler.views.terminal.recap import print_recap
from reconciler.views.terminal.rich_console import RichConsole
from state.changes import changes
from state.lock_info import LockInfo
from state.snapshot import Intent, RecordedResource, Snapshot
from state.stores.base import HistoryEntry
from tests.conftest import Cli, Ended, copy_example, stack_of
from tests.picsellia.odd_host import odd_host
from tests.reports.conftest import STACK, everything
from tests.reports.runs import every_result
from tests.reports.test_run_events import OTHERS, events_of

CATEGORIES = {"Cc", "Cf", "Cs", "Zl", "Zp"}
HIDDEN = [
    chr(code)
    for code in range(sys.maxunicode + 1)
    if unicodedata.category(chr(code)) in CATEGORIES and chr(code) not in "\n\t"
]
FORGED = "forged: everything is in sync"
SAMPLE = (
    "\x00\x07\x08\x0b\x0c\r\x1b\x7f\x85\x9b\xad\u061c\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\U000e0041"
)
PAYLOAD = (
    f"a/\n{FORGED}\r{FORGED}\u2028{FORGED}\x85{FORGED}\n::error::{FORGED}\n \u3000::error::{FORGED}\n"
    f"##[error]{FORGED} ::error:: \x1b[2J\x1b]0;t\x07 \x9b31m {SAMPLE} "
    "<script>hacked</script><img src=x onerror=hacked>"
    f"]]> --> \"q\" 'q' \\ ``` | %0A{FORGED} #### @team #7 &amp; \ud800 \uffff"
)
BEGINNINGS = (
    "::error::begins",
    "##[error]begins",
    " \u2003::error::begins",
    "\n::error::begins",
    "\u202e::error::begins",
)


def spoiled(value: Any, payload: str) -> Iterator[Any]:
    """Copies of the value, each with the payload in place of one text."""
    if isinstance(value, Enum | int | float | datetime | Stack) or value is None:
        return  # a stack has one name everywhere: see `all_spoiled`
    if isinstance(value, str):
        yield payload
    elif isinstance(value, Path):
        yield Path(payload.replace("\0", ""))
    elif isinstance(value, ProviderError):
        yield ProviderError(payload, hint=value.hint, way_out=value.way_out)
        yield ProviderError(value.message, hint=payload, way_out=value.way_out)
    elif isinstance(value, Reason | WayOut):  # the keys of its details are fixed
        for name, detail in value.details.items():
            for other in spoiled(detail, payload):
                yield replace(value, details={**value.details, name: other})
        if isinstance(value, WayOut):
            yield replace(value, command=payload)
    elif given := attributes(value):
        for name, one in given.items():
            yield from (changed(value, {name: other}) for other in spoiled(one, payload))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            rest = {name: one for name, one in value.items() if name != key}
            yield from ({**rest, name: item} for name in spoiled(key, payload))
            yield from ({**value, key: other} for other in spoiled(item, payload))
    elif isinstance(value, tuple) and hasattr(value, "_replace"):
        for name in value._fields:
            yield from (value._replace(**{name: other}) for other in spoiled(getattr(value, name), payload))
    elif isinstance(value, tuple | list):
        for index, item in enumerate(value):
            for other in spoiled(item, payload):
                yield type(value)([*value[:index], other, *value[index + 1 :]])


def all_spoiled(value: Any, payload: str) -> Any:
    """The value with the payload in place of all texts. Names of resources stay consistent."""
    if isinstance(value, Enum | Address):
        return value
    if isinstance(value, Diagnostic):
        return changed(
            value, {"summary": payload, "detail": payload, "file": Path(payload.replace("\0", ""))}
        )
    if isinstance(value, str):
        return payload
    if isinstance(value, Path):
        return Path(payload.replace("\0", ""))
    if isinstance(value, ProviderError):
        return ProviderError(payload, hint=payload, way_out=all_spoiled(value.way_out, payload))
    if isinstance(value, Reason | WayOut):
        details = {name: all_spoiled(detail, payload) for name, detail in value.details.items()}
        spoilt = replace(value, details=details)
        return replace(spoilt, command=payload) if isinstance(spoilt, WayOut) else spoilt
    if given := attributes(value):
        return changed(value, {name: all_spoiled(one, payload) for name, one in given.items()})
    if isinstance(value, Mapping):
        return {all_spoiled(key, payload): all_spoiled(item, payload) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_replace"):
        return value._replace(**{name: all_spoiled(getattr(value, name), payload) for name in value._fields})
    if isinstance(value, tuple | list):
        return type(value)([all_spoiled(item, payload) for item in value])
    return value


def attributes(value: Any) -> dict[str, Any]:
    """Those of a struct or of an instance of a dataclass, by name; empty for other values."""
    if isinstance(value, Struct):
        return asdict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    return {}


def changed(value: Any, new: Mapping[str, Any]) -> Any:
    """A copy of a struct or of an instance of a dataclass with these attributes."""
    return replace(value, **new) if isinstance(value, Struct) else dataclasses.replace(value, **new)


def bad_characters(text: str) -> set[str]:
    return {character for character in text if unicodedata.category(character) in CATEGORIES} - {"\n"}


def check_text(text: str) -> None:
    """Check an output as a terminal and a workflow read it."""
    assert bad_characters(text) == set(), ascii(text)
    for line in text.split("\n"):
        assert not line.startswith(FORGED), ascii(text)
        assert not line.lstrip().startswith("::"), ascii(text)
        assert "##[" not in line, ascii(text)


def check_log(text: str) -> None:
    """Check a log, ignoring the program's own colours."""
    check_text(re.sub(r"\x1b\[[0-9;]*m", "", text))


class _Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, int] = {}
        self.handlers: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[tag] = self.found.get(tag, 0) + 1
        self.handlers += [name for name, _ in attrs if name.startswith("on")]


def check_page(page: str) -> None:
    check_text(page)
    elements = _Elements(page)
    assert elements.found.get("script") == 1
    assert "img" not in elements.found
    assert elements.handlers == []


def check_xml(text: str) -> None:
    check_text(text)
    root = ET.fromstring(text)
    assert not [element for element in root.iter() if element.tag.rpartition("}")[2] in ("script", "img")]


def check_json(document: Any, text: str) -> None:
    check_text(text)
    assert json.loads(text) == document


def check_markdown(text: str) -> None:
    check_text(re.sub("(?<=[@#])\u200b", "-", text))


def check_graph(text: str) -> None:
    check_text(text)
    assert len(text.split("\n")) < 200


def check_annotations(lines: list[str]) -> None:
    for line in lines:
        assert "\n" not in line
        command, message = (
            re.fullmatch(r"::(?:error|warning|notice) [^:]*::(.*)", line),
            line.rpartition("::")[2],
        )
        assert command is not None, line
        read = message.replace("%0D", "\r").replace("%0A", "\n").replace("%3A", ":").replace("%25", "%")
        assert bad_characters(read) == set()
        assert not any(shown.startswith((FORGED, "::")) for shown in read.split("\n")[1:]), read


def printed(show: Callable[[Console], object]) -> str:
    """The output for a log, and for a terminal with colours."""
    stream = io.StringIO()
    show(console(stream))
    with patch.dict(os.environ, FORCE_COLOR="1"):
        show(console(stream))
    return stream.getvalue()


def lines(found: Any) -> str:
    return printed(lambda out: [out.print(line) for line in found])


PROCESSING = Address.of("processing", "app")
CHANGES = tuple(
    Change(
        "default_parameters.x",
        cls,
        "files",
        "record",
        ["live", {"k": "v"}],
        unstated("reason"),
        write=True,
        place="a.toml:3",
    )
    for cls in ChangeClass
)
PLAN = Plan(
    STACK,
    "lineage",
    3,
    (
        Step(
            Address.of("image", "reg.io", "app"),
            Action.CREATE,
            Reason(ImageVerdict.SOURCE_CHANGED, {"differing": ["a.py changed"], "more": 1}),
        ),
        Step(
            PROCESSING,
            Action.UPDATE,
            unstated("changed outside"),
            CHANGES,
            (Address.of("image", "reg.io", "app"),),
            id="1",
        ),
        Step(
            Address.of("input", "app", "x"),
            Action.REPLACE,
            Reason(ReasonCode.IMMUTABLE, {"fields": ["type"]}),
            (Change("", ChangeClass.CONFLICT, "a", "b", MISSING, unstated("reason"), write=True),),
            (PROCESSING,),
            refusal=Refusal(
                unstated("not allowed"),
                (
                    WayOut(Way.ALLOW_REPLACE, "reconciler apply --replace x"),
                    WayOut(Way.UNSTATED, details={"text": "or not"}),
                ),
            ),
        ),
    ),
    (error("summary", "detail", address="processing/app", file=Path("a.toml"), line=3),),
)
OUTCOMES = tuple(
    Outcome(
        PLAN.steps[1],
        status,
        error=RefusedError("message", hint="hint") if status is Status.FAILED else None,
        blocked_by=PROCESSING if status is Status.BLOCKED else None,
    )
    for status in Status
)
ENTRY = HistoryEntry(
    3, "lineage", "2025-03-01T12:00:00+00:00", "1", "ada", "laptop", "reconciler", "c0ffee", "7", "r"
)
ROWS = (
    Row(
        "app",
        "team/app",
        "pipelines/app",
        "my-org@PROD",
        "1.0",
        "sha256:1",
        LastApply("2025-03-01T12:00:00+00:00", "ada", "h", "c", ""),
        Reason(DriftState.UNREADABLE, {"problem": "drift"}),
        files_version="1.1",
        running_version="1.1",
        running_digest="sha256:2",
        follows="TEST",
    ),
)
RESOURCE = RecordedResource(
    "processing/app", "processing", "1", {"a": "b", "keyed": {"k": "v"}}, {"o": "p"}, ("image/a",)
)
NOW = datetime(2025, 3, 3, tzinfo=UTC)
RUN = PipelineRun(
    "team/app",
    None,
    RunResult.FAILED,
    1,
    PLAN,
    OUTCOMES,
    (error("summary", "detail", file=Path("a.toml"), line=3),),
    (StaleStep(PROCESSING, (StaleField("path", "said", {"now": "now"}),)),),
    version="1.0.0",
)
RUNS = RunReport("apply", NOW, NOW, "digest", (RUN, replace(RUN, result=RunResult.REFUSED)))


def events(text: str) -> Iterator[Any]:
    step = PLAN.steps[1]
    yield from (Note(text), Notice(text), StepStarted(step))
    yield from (
        StepProgress(PROCESSING, one)
        for one in spoiled(Progress("stage", "item", "text", 1, 2, "steps"), text)
    )
    yield from (
        StepProgress(PROCESSING, one)
        for one in spoiled(Progress("stage", "item", "text", 1, 2, "bytes"), text)
    )
    yield StepProgress(PROCESSING, Progress(text, text, text))
    yield StepRetried(PROCESSING, RefusedError(text, hint=text), 1.0)
    yield StepFinished(OUTCOMES[0])


def check_report(report: Report) -> None:
    check_log(printed(lambda out: print_report(report, out)))
    check_log(printed(lambda out: print_diagnostics((*report.remarks, *report.unchecked), out)))
    check_annotations(annotations(report, Path("/repo"), Path("/repo")))
    check_json(report_to_document(report), safe_for_workflows(report_text(report), "json"))
    check_xml(safe_for_workflows(junit_text(report), "junit"))
    check_page(safe_for_workflows(drift_html(report), "html"))
    check_markdown(safe_for_workflows(drift_markdown(report), "markdown"))
    for stack in report.stacks:
        check_drawing(of_report(stack))


def check_drawing(drawing: Drawing) -> None:
    check_graph(safe_for_workflows(mermaid(drawing), "mermaid"))
    check_graph(safe_for_workflows(dot(drawing), "dot"))
    check_xml(safe_for_workflows(svg(drawing), "svg"))


def check_plan(plan: Plan) -> None:
    problems = list(plan.diagnostics)
    for show in (print_plan, print_refusals):
        check_log(printed(lambda out, show=show: show(plan, out)))  # type: ignore[misc]
    check_log(printed(lambda out: print_diagnostics(problems, out)))
    check_json(plan_to_document(plan), safe_for_workflows(plan_text(plan), "json"))
    check_text(safe_for_workflows(plans_text([plan], problems), "json"))
    check_page(safe_for_workflows(plan_html([plan], problems), "html"))
    check_markdown(safe_for_workflows(plan_markdown([plan], problems), "markdown"))
    check_markdown(safe_for_workflows(plan_markdown([plan, PLAN], problems), "markdown"))
    check_drawing(of_plan(plan))


def check_run(report: RunReport) -> None:
    check_annotations(run_annotations(report, Path("/repo"), Path("/repo")))
    check_json(run_to_document(report), safe_for_workflows(run_text(report), "json"))
    run_from_document(json.loads(run_text(report)))
    check_xml(safe_for_workflows(run_junit(report), "junit"))
    check_page(safe_for_workflows(run_html(report), "html"))
    check_markdown(safe_for_workflows(run_markdown(report), "markdown"))
    outputs = output_lines(report)
    assert bad_characters(outputs) == set()
    names = [line.partition("=")[0] for line in outputs.splitlines()]
    assert names == [line.partition("=")[0] for line in output_lines(every_result()).splitlines()]
    check_events(list(events_of(report)))


def check_events(events: list[Any]) -> None:
    written: list[str] = []
    writer = EventWriter(written.append, clock=iter(range(0, 10**6, 2)).__next__)
    for event in events:
        writer(event)
    assert len(written) == len(events)
    for line in written:
        safe = safe_for_workflows(line, "json")
        check_text(safe)
        assert safe.count("\n") == 1
        assert json.loads(safe) == json.loads(line)


@pytest.fixture(autouse=True)
def workflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check everything as in GitHub Actions, the strictest reader."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")


def test_every_hidden_character_is_escaped_and_no_other() -> None:
    for character in HIDDEN:
        assert visible(character) == one_line(character) == ascii(character)[1:-1], ascii(character)
    assert (visible("a\nb\tc"), one_line("a\nb\tc")) == ("a\nb\tc", "a\\nb\tc")
    ordinary = "naïve – “Zürich” 東京 العربية עברית हिन्दी 🚀 ﷽ é e\u0301 \u00a0\u202f x\\n {}[]<>&'\"`|~^$#@:"
    assert visible(ordinary) == one_line(ordinary) == ordinary
    assert len(HIDDEN) > 2200


SAMPLES = [5, pytest.param(1, marks=pytest.mark.full)]


@pytest.mark.parametrize("one_in", SAMPLES)
def test_every_text_of_a_report_is_text_in_every_output(one_in: int) -> None:
    whole = replace(everything(), stacks=everything().stacks[:1])
    reports = list(spoiled(whole, PAYLOAD))
    assert len(reports) > 60
    for report in reports[::one_in]:
        check_report(report)
    for payload in (PAYLOAD, *BEGINNINGS):
        check_report(all_spoiled(whole, payload))


@pytest.mark.parametrize("one_in", SAMPLES)
def test_every_text_of_a_plan_is_text_in_every_output(one_in: int) -> None:
    plans = list(spoiled(PLAN, PAYLOAD))
    assert len(plans) > 60
    for plan in (*plans[::one_in], *(all_spoiled(PLAN, payload) for payload in (PAYLOAD, *BEGINNINGS))):
        check_plan(plan)


@pytest.mark.parametrize("one_in", SAMPLES)
def test_every_text_of_a_run_is_text_in_every_output(one_in: int) -> None:
    whole = every_result()
    runs = list(spoiled(whole, PAYLOAD))
    assert len(runs) > 200
    for report in runs[:: 5 * one_in]:
        check_run(report)
    for payload in (PAYLOAD, *BEGINNINGS):
        check_run(all_spoiled(whole, payload))
        check_events([event for one in OTHERS for event in spoiled(one, payload)])


@pytest.mark.parametrize("payload", [PAYLOAD, *BEGINNINGS], ids=lambda text: ascii(text)[:30])
def test_every_text_of_other_views_is_text(payload: str) -> None:
    for outcomes in spoiled(OUTCOMES, payload):
        check_log(printed(lambda out, them=outcomes: print_outcomes(ExecutionResult(them).outcomes, out)))  # type: ignore[misc]
    failed = Outcome(PLAN.steps[1], Status.FAILED, error=RefusedError(payload, hint=payload))
    check_log(printed(lambda out: print_outcomes([failed], out)))
    check_drawing(Drawing(payload, (Node(payload, "bad", (payload, payload), payload),), ()))
    for stale_steps in spoiled(StaleStep(PROCESSING, (StaleField("path", "said", {"now": "now"}),)), payload):
        check_log(printed(lambda out, it=stale_steps: print_stale([it], out)))  # type: ignore[misc]
    for rows in spoiled(ROWS, payload):
        if rows[0].applied.at == payload:
            continue  # a time written by the store
        check_log(lines(overview_lines(rows, NOW)))
        check_json(overview_document(rows), safe_for_workflows(json_text(overview_document(rows)), "json"))
    for holder in spoiled(
        LockInfo("ada", "laptop", 1, "reconciler", "2025-03-01T12:00:00+00:00", "id"), payload
    ):
        check_log(printed(lambda out, it=holder: out.print(f"waiting for {it}")))  # type: ignore[misc]
    for settings in spoiled(Settings(), payload):
        check_log(printed(lambda out, it=settings: print_sandbox(SandboxAddress("a", 1), it, out)))  # type: ignore[misc]


@pytest.mark.parametrize("payload", [PAYLOAD, *BEGINNINGS], ids=lambda text: ascii(text)[:30])
def test_every_text_of_state_and_its_history_is_text(payload: str) -> None:
    before = Snapshot.new("my-org@PROD/app", "lineage")
    for resource in spoiled(RESOURCE, payload):
        after = replace(
            before,
            serial=1,
            stack=payload,
            written_at=payload,
            resources={resource.address: resource},
            intents={payload: Intent(payload, "create", None, {}, payload, payload)},
        )
        changed = changes(before, after)
        check_log(lines(state_lines(after)))
        check_log(lines(change_lines(changed)))
        check_log(lines(change_lines(changes(after, before))))
        for entry in spoiled(ENTRY, payload) if resource.address == payload else ():
            run = RecordedRun((entry,), RunOutcome.APPLIED, payload, 3)
            check_log(lines(run_lines([(run, changed)])))
            check_log(lines(save_lines([(entry, changed), (entry, None)])))
            document = history_document(payload, [(entry, changed)], [run])
            check_json(json.loads(json.dumps(document)), safe_for_workflows(json_text(document), "json"))


@pytest.mark.parametrize("payload", [PAYLOAD, *BEGINNINGS], ids=lambda text: ascii(text)[:30])
def test_every_text_of_an_event_is_text(payload: str) -> None:
    stream = io.StringIO()
    with ProgressView(console(stream)) as watch:
        for event in events(payload):
            watch(event)
    check_log(stream.getvalue())


@pytest.mark.parametrize("one_in", SAMPLES)
def test_every_text_of_a_run_over_many_pipelines_is_text(one_in: int) -> None:
    problems = {PAYLOAD: [error(PAYLOAD, PAYLOAD, file=Path("a.toml"))]}
    for plan in (*list(spoiled(PLAN, PAYLOAD))[::one_in], *(all_spoiled(PLAN, it) for it in BEGINNINGS)):
        check_log(printed(lambda out, it=plan: print_fleet_plan([it, it], problems, out, out)))  # type: ignore[misc]
    for report in (*list(spoiled(RUNS, PAYLOAD))[::one_in], *(all_spoiled(RUNS, it) for it in BEGINNINGS)):
        check_log(printed(lambda out, it=report: print_recap(it, out, out)))  # type: ignore[misc]


@pytest.mark.parametrize("payload", [PAYLOAD, *BEGINNINGS], ids=lambda text: ascii(text)[:30])
def test_every_text_of_the_live_table_is_text(payload: str) -> None:
    log, run = io.StringIO(), FleetRun(lambda: 0.0)
    paper = RichConsole(io.StringIO())
    with FleetTable(console(log)) as view:
        for follow in (view, run.follow):
            follow(RunStarted("apply", [["a"], [payload]], {"a": PLAN}, "digest"))
            follow(PipelineStarted("a"))
            follow(PipelineStarted(payload))
        for event in events(payload):
            for folder in ("a", payload):
                view(PipelineEvent(folder, event))
                run.follow(PipelineEvent(folder, event))
            with paper.capture() as capture:
                paper.print(*table(run, *paper.size), sep="\n")
            check_log(capture.get())
            assert len(capture.get().splitlines()) == 4
        for finished in spoiled(RUN, payload):
            view(PipelineFinished(finished))
    check_log(log.getvalue())


def test_bars_show_text_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.views.terminal.progress_bars import ProgressBars

    out = RichConsole(io.StringIO())
    bars = ProgressBars(out, lambda: 0.0)
    monkeypatch.setattr(bars._progress, "start", lambda: None)
    for one in spoiled(Progress("stage", "item", "text", 1, 2, "steps"), PAYLOAD):
        bars.show(PROCESSING, one)
    with out.capture() as capture:
        out.print(bars)
    shown = capture.get()
    check_log(shown)
    assert not any(line.strip().startswith(FORGED) for line in shown.split("\n"))


def test_build_output_is_text_in_logs_and_errors() -> None:
    assert bad_characters(plain_text(PAYLOAD)) == set()


@pytest.mark.parametrize(
    "argument", [PAYLOAD.replace("\0", ""), *BEGINNINGS], ids=lambda text: ascii(text)[:30]
)
def test_quoted_arguments_are_text(argument: str, capsys: pytest.CaptureFixture[str], cli: Cli) -> None:
    for before, after in (
        *(((), ()), (("plan",), ()), (("plan", "--env"), ()), (("bump",), ("x",)), (("bump", "patch"), ())),
        *((("drift", "--shard"), ()), (("apply", "--target"), ()), (("show",), ()), (("state", "show"), ())),
        *((("adopt", "x"), ()), (("sandbox", "--switch"), ()), (("plan", "--bump"), ())),
    ):
        arguments = (*before, argument, *after)
        capsys.readouterr()
        assert run(arguments) != 0
        ended = capsys.readouterr()
        check_log(ended.out + ended.err)


def test_a_question_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text) or True)
    confirm(Question.ACCEPT, version=PAYLOAD)
    assert asked[0].count("\n") == 1
    assert bad_characters(asked[0]) == set()


def test_commands_are_found_where_the_runner_finds_them() -> None:
    """https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs"""
    for text in ("::error::x", "  ::error::x", "\u3000::a::", "x\n::error::x", "a ##[error]x", "####[x"):
        safe = without_workflow_commands(text)
        assert not re.search(r"(?m)^\s*::", safe)
        assert "##[" not in safe
    for text in ("a ::error::x", "a::b", "# [x]", "#[x]", "### x", "x:", ":", ""):
        assert without_workflow_commands(text) == text


def check_ended(ended: Ended, check: Callable[[str], None] = check_log) -> None:
    """Only annotations are workflow commands in the output, and each is one line."""
    ours = re.compile(r"::(error|warning|notice) (file=|title=)")
    mine = [line for line in ended.err.split("\n") if ours.match(line)]
    check_annotations(mine)
    check("\n".join(line for line in f"{ended.out}\n{ended.err}".split("\n") if line not in mine))


COMMANDS = (
    ("drift", "--json", "-"),
    ("drift", "--junit", "-"),
    ("drift", "--html", "-"),
    ("drift", "--markdown", "-"),
    ("drift",),
    ("plan",),
    ("plan", "--json"),
    ("plan", "--markdown", "-"),
    ("plan", "--html", "-"),
    ("adopt",),
    ("status",),
    ("status", "--json"),
    ("image",),
    ("image", "--json"),
    ("apply",),
)


def test_a_parameters_name_is_text_in_every_command(cli: Cli, sandbox: Sandbox) -> None:
    """A parameter has a name that attacks a terminal, a workflow and a page."""
    name = "dataset_cleanup"
    copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", name).code == 0
    hostile = PAYLOAD.replace("\ud800", "").replace("\uffff", "")
    parameters = {hostile: hostile, **{text: text for text in BEGINNINGS}}
    for command in COMMANDS:
        sandbox.platform.edit_processing(name, default_parameters=parameters, description=hostile)
        ended = cli(command[0], name, *command[1:])
        check_ended(ended, check_markdown if "--markdown" in command else check_log)
    for command in (("history",), ("history", "--json"), ("show",), ("show", "--json")):
        ended = cli("state", command[0], stack_of(name), *command[1:])
        assert ended.code == 0
        check_log(ended.out + ended.err)


def test_a_name_of_ten_million_characters_fills_no_log(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "dataset_cleanup"
    copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", name).code == 0
    sandbox.platform.edit_processing(name, default_parameters={"a" * 10_000_000: 1})
    for in_workflow in (True, False):
        if not in_workflow:
            monkeypatch.delenv("GITHUB_ACTIONS")
        for command in ("plan", "drift", "status", "apply"):
            ended = cli(command, name)
            assert ended.code in (0, 1, 10, 11, 12)
            assert len(ended.out + ended.err) < 30 * LONGEST_LINE, command
            lines_printed = (ended.out + ended.err).split("\n")
            assert max(map(len, lines_printed)) < 5 * LONGEST_LINE, command  # an annotation has several


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 409, 422, 423, 500])
def test_platform_responses_are_text(
    status: int, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "dataset_cleanup"
    copy_example(name, cli.folder, sandbox.registry)
    content = json.dumps(
        {"message": PAYLOAD, "detail": [PAYLOAD], "items": [{"name": PAYLOAD, "id": PAYLOAD}]}
    )
    for signs_in in (True, False):
        with odd_host(status, content.encode(), {"Location": "http://127.0.0.1:1/x"}, signs_in=signs_in) as (
            url,
            _,
        ):
            monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", url)
            for command in (("plan",), ("apply", "--yes"), ("drift", "--junit", "-")):
                ended = cli(command[0], name, *command[1:])
                assert ended.code in (0, 1, 10, 11, 12, 13)
                check_ended(ended)


def test_file_contents_are_text(cli: Cli, sandbox: Sandbox) -> None:
    """Names and keys of config.toml, names of environments and files, classes."""
    name = "dataset_cleanup"
    folder = copy_example(name, cli.folder, sandbox.registry)
    config = (folder / "config.toml").read_text()
    typed = json.dumps(PAYLOAD.replace("\ud800", "")).replace("\\u0085", "\\u0085")
    (folder / (PAYLOAD.replace("/", "").replace("\0", "")[:80])).touch()
    for before, after in (
        ('name = "dataset_cleanup"', f"name = {typed}"),
        ("description = ", f"description = {typed} #"),
        ("type = ", f"type = {typed} #"),
        ("version = ", f"version = {typed} #"),
        ("[metadata]", f"[metadata]\n{typed} = 1"),
        ("[metadata]", f"[metadata.{typed}]"),
        ("image_name = ", f"image_name = {typed} #"),
        ("image_tag = ", f"image_tag = {typed} #"),
        ("cpu = ", f"cpu = {typed} #"),
        ("inputs_class = ", f"inputs_class = {typed} #"),
        ("parameters_class = ", f"parameters_class = {typed} #"),
        ("base = ", f"base = {typed} #"),
        ("[docker]", "[docker]\n\x1b[31m\u202e"),
    ):
        assert before in config
        (folder / "config.toml").write_text(config.replace(before, after, 1))
        for command in (
            ("validate",),
            ("plan",),
            ("graph",),
            ("graph", "--format", "svg"),
            ("drift", "--json", "-"),
        ):
            ended = cli(command[0], name, *command[1:])
            check_ended(ended)


def test_a_patch_with_workflow_commands_is_not_printed_in_a_workflow(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A patch cannot be escaped: each byte matters."""
    name = "dataset_cleanup"
    folder = copy_example(name, cli.folder, sandbox.registry)
    source = folder / "utils" / "parameters.py"
    line = next(line for line in source.read_text().splitlines() if "data_tag" in line)
    source.write_text(source.read_text().replace(line, f"        # ##[error]{FORGED}\n{line}"))
    assert cli("apply", name).code == 0
    live = sandbox.platform.processing(name)
    assert live is not None
    changed = {**live["default_parameters"], "data_tag": "other"}
    sandbox.platform.edit_processing(name, default_parameters=changed)
    ended = cli("adopt", name)
    check_ended(ended)
    assert ended.code == 1
    assert "the patch is not printed" in ended.err
    assert "> adopt.patch" in ended.err
    monkeypatch.delenv("GITHUB_ACTIONS")
    printed = cli("adopt", name)
    assert printed.code == 0
    assert f"##[error]{FORGED}" in printed.out


def test_documents_and_lines_are_printed_in_one_place_each() -> None:
    """Any other print would need the same protection. The child process for classes prints to a pipe."""
    rooms = Path(__file__).parents[2] / "reconciler"
    printing = re.compile(r"stdout\.write|stderr\.write|click\.(?:echo|secho)|(?<!def )(?<![.\w])print\(")
    found = {
        str(path.relative_to(rooms))
        for room in ("cli", "views")
        for path in (rooms / room).rglob("*.py")
        if printing.search(path.read_text())
    }
    # The second says "interrupted", and the third prints help.
    assert found == {"cli/documents.py", "cli/__init__.py", "cli/mistyped.py"}
