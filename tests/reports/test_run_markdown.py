"""The report of a run as Markdown: one comment, whatever happened to how many pipelines."""

import re

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from reconciler.core.diagnostics import error
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.reports.markdown_parts import COMMENT
from reconciler.views.reports.run_markdown import run_markdown
from tests.reports.conftest import NASTY
from tests.reports.runs import every_result, outcomes, pipeline, report, reports, unreadable
from tests.reports.test_markdown import Rendered


def large(names: int = 300) -> RunReport:
    """A run of many pipelines with long names, of which every one that could fail does so on its own."""
    runs = []
    for number in range(names):
        name = f"{'long-' * 8}{number}"
        run = pipeline(name, RunResult.FAILED)
        assert run.plan is not None
        message = f"422: {'word ' * 40}{number}x"
        failed = outcomes(run.plan, status=run.outcomes[1].status, message=message)
        runs.append(replace(run, outcomes=failed))
    return report(*runs)


def test_the_comment_has_totals_then_failures_with_reason_and_command() -> None:
    text = run_markdown(
        report(pipeline("a"), pipeline("b", RunResult.FAILED), pipeline("c", RunResult.FAILED))
    )
    lines = text.splitlines()
    assert lines[:2] == ["<!-- reconciler:apply -->", "## Apply: 2 failed, 1 applied"]
    assert lines[3] == (
        "3 pipelines in 2 min 5 s, from 2025-03-03 08:00 UTC. "
        "The digest of the plan is <code>0123456789abcdef</code>."
    )
    page = Rendered.of(text)
    assert page.rows[1] == [
        "failed",
        "my-org@STAGING/b (pipelines/b)my-org@STAGING/c (pipelines/c)",
        "processing/b updating failed: 422: no such image. Try another one.",
    ]
    assert "```sh\nreconciler apply b c --organization my-org --env STAGING\n```" in text
    assert ["my-org@STAGING/a (pipelines/a)", "1.0.1", "sha256:0123456789ab"] in page.rows
    assert ["update processing", "docker_tag", "1.0.0", "1.0.1", "pipelines/a"] in page.rows


@pytest.mark.parametrize("limit", [500, 5_000, COMMENT])
def test_300_pipelines_that_fail_differently_fit_and_the_rest_is_counted(limit: int) -> None:
    text = run_markdown(large(), limit)
    assert len(text.encode()) <= limit
    assert "## Apply: 300 failed" in text
    shown = len(re.findall(r"^\| \*\*failed\*\*", text, re.MULTILINE))
    assert f"_{300 - shown:,} reasons not shown here._" in text
    assert shown >= (50 if limit == COMMENT else 0)


def test_300_pipelines_that_fail_alike_are_one_row_and_one_command_names_each_once() -> None:
    text = run_markdown(report(*(pipeline(f"p{number}", RunResult.FAILED) for number in range(300))))
    assert text.count("| **failed** |") == 1
    assert "and 280 more" in text
    named = [
        word for line in text.splitlines() if line.startswith("reconciler apply") for word in line.split()
    ]
    assert [name for name in named if re.fullmatch("p[0-9]+", name)] == [
        f"p{number}" for number in range(300)
    ]


def test_300_applied_pipelines_fit() -> None:
    text = run_markdown(report(*(pipeline(f"team/p{number}") for number in range(300))))
    assert len(text.encode()) <= COMMENT
    assert text.count("sha256:") == 300
    assert len([row for row in Rendered.of(text).rows if row[0] == "update processing"]) == 1


def test_no_text_adds_markup_or_mentions_anybody() -> None:
    page = Rendered.of(run_markdown(every_result()))
    assert {"script", "img", "a", "em"}.isdisjoint(page.tags)
    assert page.tags.count("h2") == 1
    assert "@team" not in page.prose


def test_every_problem_of_a_pipeline_counts() -> None:
    problems = [error(f"problem {number}", NASTY) for number in range(8)]
    text = run_markdown(report(unreadable("a", *problems)))
    assert all(f"problem {number}." in text for number in range(5))
    assert "and 3 more" in text


@settings(max_examples=50)
@given(reports())
def test_every_report_fits_and_renders(found: RunReport) -> None:
    for limit in (300, 3_000, COMMENT):
        text = run_markdown(found, limit)
        assert len(text.encode("utf-8", "backslashreplace")) <= limit
    page = Rendered.of(text.encode("utf-8", "backslashreplace").decode())
    assert page.tags.count("h2") == 1
    assert page.tags.count("table") == page.tags.count("/table")
