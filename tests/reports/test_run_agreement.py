"""Every output of a run agrees on every pipeline and on every total."""

import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings

from providers.text import one_line, visible
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.reports.html import run_html
from reconciler.views.reports.junit_parts import legal
from reconciler.views.reports.markdown_parts import COMMENT, code
from reconciler.views.reports.run_events import EventWriter, read_events
from reconciler.views.reports.run_github import output_lines
from reconciler.views.reports.run_json import result_name, run_text
from reconciler.views.reports.run_junit import run_junit
from reconciler.views.reports.run_markdown import run_markdown
from tests.reports.runs import pipeline, report, reports
from tests.reports.test_run_events import events_of


def encoded(text: str) -> str:
    """The text as a file has it."""
    return text.encode("utf-8", "backslashreplace").decode()


def counts(text: str) -> dict[str, int]:
    """The counts of a headline: `1 failed, 2 applied`."""
    named = re.findall(r"([0-9,]+) (failed|refused|interrupted|not started|applied|unchanged)", text)
    return {name: int(count.replace(",", "")) for count, name in named}


@dataclass
class Cards(HTMLParser):
    """The state of each card of a page with the name of its pipeline."""

    def __post_init__(self) -> None:
        super().__init__()
        self.cards: list[tuple[str, str]] = []
        self.heading = ""
        self._state: str | None = None
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "details":
            self._state = given["data-state"]
        elif tag == "code" and self._state is not None:
            self.cards.append((self._state, ""))
            self._within = "name"
        elif tag == "h1":
            self._within = "h1"

    def handle_data(self, data: str) -> None:
        if self._within == "name":
            state, name = self.cards[-1]
            self.cards[-1] = (state, name + data)
        elif self._within == "h1":
            self.heading += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "code" and self._within == "name":
            self._state, self._within = None, ""
        elif tag == "h1":
            self._within = ""


def check(found: RunReport, folder: Path) -> None:
    expected = {run.folder: result_name(run.result) for run in found.runs}
    totals = {result_name(result): count for result, count in found.counts.items()}
    headline = {result.value: count for result, count in found.counts.items() if count}

    document = json.loads(run_text(found))
    assert {entry["folder"]: entry["result"] for entry in document["pipelines"]} == expected
    assert document["totals"] == {"pipelines": len(found.runs), **totals}
    assert document["exit_code"] == found.exit_code

    root = ET.fromstring(encoded(run_junit(found)))
    cases = list(root.iter("testcase"))[: len(found.runs)]
    results = [[child for child in case if child.tag != "system-out"] for case in cases]
    kinds = [result[0].get("type") if result else "passed" for result in results]
    assert [case.get("name") for case in cases] == [legal(run.label) for run in found.runs]
    assert kinds == [
        "passed" if run.result in (RunResult.APPLIED, RunResult.UNCHANGED) else result_name(run.result)
        for run in found.runs
    ]

    text = run_markdown(found, COMMENT)
    assert len(text.encode("utf-8", "backslashreplace")) <= COMMENT
    assert counts(text.splitlines()[1]) == headline
    if "not shown here" not in text and len(found.runs) <= 20:
        assert all(code(run.label) in text for run in found.runs)

    cards = Cards()
    cards.feed(encoded(run_html(found)))
    assert sorted(cards.cards) == sorted(
        (run.result.value, encoded(visible(run.label))) for run in found.runs
    )
    assert counts(cards.heading) == headline

    outputs = dict(line.split("=", 1) for line in output_lines(found).splitlines())
    assert {name: int(outputs[name]) for name in totals} == totals
    assert (int(outputs["pipelines"]), int(outputs["exit_code"])) == (len(found.runs), found.exit_code)
    assert json.loads(outputs["versions"]) == found.versions
    assert json.loads(outputs["images"]) == found.images

    file = folder / "events.ndjson"
    lines: list[str] = []
    writer = EventWriter(lines.append)
    for event in events_of(found):
        writer(event)
    file.write_text("".join(lines), errors="backslashreplace")
    read, _ = read_events(file)
    assert read.counts == found.counts
    assert [one_line(run.folder) for run in read.runs] == [one_line(run.folder) for run in found.runs]


@settings(max_examples=60)
@given(reports())
def test_every_output_agrees_on_every_pipeline(
    tmp_path_factory: pytest.TempPathFactory, found: RunReport
) -> None:
    check(found, tmp_path_factory.mktemp("run"))


def test_every_output_agrees_on_300_pipelines(tmp_path: Path) -> None:
    results = list(RunResult)
    check(report(*(pipeline(f"p{number}", results[number % 6]) for number in range(300))), tmp_path)
