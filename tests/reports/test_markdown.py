"""Markdown as rendered, and within GitHub's limits."""

import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from providers.reasons import Refusal, WayOut
from providers.text import one_line
from reconciler.core.approval import digest
from reconciler.core.diagnostics import error
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import Way
from reconciler.core.runs import RunResult
from reconciler.core.values import Address
from reconciler.drift.findings import Report
from reconciler.views.phrases import coverage
from reconciler.views.reports.document_parts import unstated
from reconciler.views.reports.markdown import drift_markdown
from reconciler.views.reports.markdown_parts import COMMENT
from reconciler.views.reports.plan_markdown import plan_markdown
from tests.reports.conftest import KNOWN, NASTY, STACK, everything, finding, report, stack_report
from tests.reports.runs import pipeline


@dataclass
class Rendered(HTMLParser):
    """The rendered text: elements, text and code."""

    tags: list[str] = field(default_factory=list)
    within: Counter[str] = field(default_factory=Counter)
    rows: list[list[str]] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    prose: str = ""

    @classmethod
    def of(cls, markdown: str) -> "Rendered":
        page = cls()
        page.feed(MarkdownIt("commonmark").enable("table").render(markdown))
        return page

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        self.within[tag] += 1
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
        elif tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self.tags.append(f"/{tag}")
        self.within[tag] -= 1

    def handle_data(self, data: str) -> None:
        if self.within["td"] or self.within["th"]:
            self.rows[-1][-1] += data
        if self.within["code"]:
            self.code[-1] += data
        else:
            self.prose += data


ALLOWED = {
    *("h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "pre", "strong", "em", "br"),
    *("details", "summary", "ul", "li"),
}


def test_the_marker_and_the_counts_come_first() -> None:
    lines = drift_markdown(everything()).splitlines()
    assert lines[0] == "<!-- reconciler:drift -->"
    assert lines[1] == "## Drift: 3 drift, 1 pending, 1 acknowledged"
    assert lines[3] == "1 pipeline in sync. 2 not checked. Checked 2025-03-03 08:00 UTC."


def test_each_finding_is_a_row_worst_first() -> None:
    found = Rendered.of(drift_markdown(everything())).rows
    assert found[0] == ["finding", "severity", "field", "in the files", "live", "age"]
    assert [(row[0], row[1]) for row in found[1:5]] == [
        ("drift", "existence"),
        ("drift", "parameters"),
        ("drift", "resources"),
        ("pending", "resources"),
    ]
    assert found[3][2:] == ["processing/app#default_cpuapp/config.toml:16", "4", "64", "3 days"]
    assert found[-1][0] == "acknowledged"


def test_no_value_is_markup_or_a_mention() -> None:
    page = Rendered.of(drift_markdown(everything()))
    assert {tag.strip("/") for tag in page.tags} <= ALLOWED
    assert {len(row) for row in page.rows} == {6}
    assert any("<script>hacked = 1</script>" in text and "`a` ``` @team" in text for text in page.code)
    assert "@team" not in page.prose
    assert "#7" not in page.prose


def test_no_value_of_a_plan_is_markup() -> None:
    step = Step(
        Address.of("input", "app", NASTY),
        Action.DELETE,
        unstated(NASTY),
        refusal=Refusal(unstated(NASTY), (WayOut(Way.UNSTATED, NASTY, {"text": NASTY}),)),
    )
    page = Rendered.of(plan_markdown([Plan(STACK, "", 0, (step,))], [error(NASTY, NASTY)]))
    assert {tag.strip("/") for tag in page.tags} <= ALLOWED
    assert "@team" not in page.prose
    assert any(text.strip() == one_line(NASTY) for text in page.code)


def test_a_plan_is_found_by_the_marker_of_its_stack() -> None:
    text = plan_markdown([Plan(STACK, "", 0, ())], [])
    assert text.splitlines()[0] == "<!-- reconciler:plan my-org@STAGING/app -->"


def test_several_plans_share_one_marker_and_fit() -> None:
    step = Step(Address.of("input", "app", "x"), Action.DELETE, unstated("gone"))
    plans = [
        Plan(dataclasses.replace(STACK, pipeline=f"app{n}", name=f"app{n}"), "", 0, (step,))
        for n in range(2000)
    ]
    text = plan_markdown(plans, [])
    assert text.splitlines()[0] == "<!-- reconciler:plan -->"
    assert len(text.encode()) <= COMMENT
    assert "plans not shown here." in text
    assert "## Plan: 2,000 to change" in text


def test_300_plans_are_one_row_for_each_change_and_name_every_pipeline() -> None:
    runs = [pipeline(f"p{n}") for n in range(300)]
    runs += [pipeline(f"r{n}", RunResult.REFUSED) for n in range(7)]
    runs += [pipeline(f"q{n}", RunResult.UNCHANGED) for n in range(9)]
    text = plan_markdown([run.plan for run in runs if run.plan], [error("config.toml is not valid")])
    assert len(text.encode()) <= COMMENT
    assert "## Plan: 300 to change, 9 in sync, 7 refused" in text
    page = Rendered.of(text)
    (row,) = [row for row in page.rows if row[:2] == ["update processing", "docker_tag"]]
    assert row[2:4] == ["1.0.0", "1.0.1"]
    assert row[4].startswith("300: pipelines/p0, pipelines/p1, ")
    assert all(f"my-org@STAGING/p{n} (pipelines/p{n})" in page.code for n in range(300))
    command = "reconciler apply r0 r1 r2 r3 r4 r5 r6 --organization my-org --env STAGING"
    assert any(code.startswith(command) for code in page.code)
    assert "config.toml is not valid" in text


def test_the_same_change_in_many_pipelines_is_one_row_with_its_commands() -> None:
    names = [f"app{n}" for n in range(400)]
    text = drift_markdown(report(*(stack_report(finding(pipeline=name), pipeline=name) for name in names)))
    page = Rendered.of(text)
    assert len(page.rows) == 2
    assert page.rows[1][2] == "processing/*#default_cpuin 400 pipelines"
    for name in sorted(names)[:20]:
        assert f"reconciler apply {name} --organization" in text
    assert "380 pipelines more, with the same commands" in text


def test_other_values_are_another_row() -> None:
    two = [finding(pipeline="a"), finding(pipeline="b", live=65)]
    page = Rendered.of(drift_markdown(report(*(stack_report(f, pipeline=f.stack.pipeline) for f in two))))
    assert len(page.rows) == 3


def big(count: int) -> Report:
    return report(
        stack_report(*(finding(path=f"default_parameters.п{n}", live="щ" * 60) for n in range(count)))
    )


@pytest.mark.parametrize("count", [1000, 5000])
def test_a_report_fits_into_a_comment_and_counts_omitted_items(count: int) -> None:
    text = drift_markdown(big(count))
    assert len(text) <= len(text.encode()) <= COMMENT
    page = Rendered.of(text)
    shown = len(page.rows) - 1
    assert 50 < shown < count
    assert f"{count - shown:,} findings not shown here." in text
    assert page.tags.count("details") == page.tags.count("/details") >= 2


def test_a_small_report_is_complete() -> None:
    assert "not shown" not in drift_markdown(everything())


def test_an_acknowledged_finding_has_no_commands() -> None:
    text = drift_markdown(report(stack_report(finding(acknowledged=KNOWN, cls=ChangeClass.DRIFT))))
    assert text.splitlines()[1] == "## Drift: 1 acknowledged"
    assert "reconciler apply" not in text


def test_unchecked_pipelines_are_not_in_sync() -> None:
    text = drift_markdown(report(failed={"broken": (error("no TOML"),)}))
    assert text.splitlines()[1] == "## No drift found, but not everything was checked"
    assert "no TOML" in text


def test_a_shared_problem_is_one_row_with_its_pipelines() -> None:
    away = error("the platform does not answer")
    text = drift_markdown(report(failed=dict.fromkeys([f"app{n}" for n in range(12)], (away,))))
    (line,) = [line for line in text.splitlines() if "does not answer" in line]
    assert "<code>app0</code>, <code>app1</code>" in line
    assert line.endswith("and 2 more")
    assert "12 not checked" in text


def test_pipelines_are_counted_as_not_checked_and_what_else_was_not_is_named() -> None:
    away, denied = error("the state cannot be read"), error("no permission")
    others = {
        "the stacks without a folder": "the stacks without a folder",
        "the unmanaged objects": "the unmanaged objects",
        "the folder a/utils": "1 folder",
        "part 2/3 of org": "1 part",
    }
    failed = dict.fromkeys(("a", "b", "the", "part", "a part 2"), (away, denied))
    found = stack_report(unchecked=(away, denied))
    assert coverage(report(found, failed=failed)) == "0 pipelines in sync. 6 not checked."
    for other, words in others.items():
        text = coverage(report(stack_report(), failed={other: (away, denied)}))
        assert text == f"1 pipeline in sync. Not checked beside pipelines: {words}."
        text = coverage(report(found, failed=failed | {other: (away,)}))
        assert text == f"0 pipelines in sync. 6 not checked. Not checked beside pipelines: {words}."
    every = coverage(report(failed=dict.fromkeys((*others, "the folder b"), (away,))))
    assert every.endswith("the stacks without a folder, the unmanaged objects, 2 folders and 1 part.")


def test_a_plan_has_its_digest_for_a_workflow_and_for_people() -> None:
    plan = Plan(STACK, "lineage", 3, (Step(Address.of("processing", "app"), Action.CREATE, unstated("new")),))
    lines = plan_markdown([plan], []).splitlines()
    assert lines[1] == f"<!-- reconciler:digest {digest([plan])} -->"
    assert lines[4] == f"The digest of the plan is <code>{digest([plan])[:16]}</code>."
