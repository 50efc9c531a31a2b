"""A pipeline that was never applied is one row with one command in each report for people."""

import html
import io
import re
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action
from reconciler.core.values import MISSING, Address
from reconciler.drift.findings import Finding, Report, StackReport
from reconciler.views.reports.html import drift_html
from reconciler.views.reports.markdown import drift_markdown
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from tests.reports.conftest import KNOWN, NASTY, finding, report, stack_report
from tests.reports.test_markdown import ALLOWED, Rendered


def on_a_terminal(found: Report) -> str:
    out = io.StringIO()
    print_report(found, console(out))
    return out.getvalue()


def as_page(found: Report) -> str:
    """The page without its drawings, which have every resource."""
    return html.unescape(re.sub(r"<svg.*?</svg>", "", drift_html(found), flags=re.DOTALL))


FORMS = [on_a_terminal, drift_markdown, as_page]
Form = Callable[[Report], str]


def missing(pipeline: str, *address: str) -> Finding:
    return finding(
        pipeline=pipeline,
        address=Address.of(*address),
        cls=ChangeClass.PENDING,
        path="",
        recorded=MISSING,
        live=MISSING,
        place="",
    )


def never_applied(pipeline: str, inputs: int = 5) -> StackReport:
    found = [
        missing(pipeline, "image", "reg.io", pipeline),
        missing(pipeline, "processing", pipeline),
        *(missing(pipeline, "input", pipeline, f"input_{number}") for number in range(inputs)),
    ]
    known = stack_report(*found, pipeline=pipeline)
    created = tuple(replace(step, action=Action.CREATE) for step in known.plan.steps)
    return replace(known, plan=replace(known.plan, steps=created), last_apply=None)


@pytest.mark.parametrize("form", FORMS)
def test_it_is_one_row_with_one_command(form: Form) -> None:
    text = form(report(never_applied("new"), stack_report(finding())))
    assert text.count("never applied: 1 image, 1 processing and 5 inputs to create") in (1, 2)  # row, command
    commands = re.findall(r"reconciler apply new\b[^\n<`|]*", text)
    assert [command.strip() for command in commands] == [
        "reconciler apply new --organization my-org --env STAGING"
    ]
    assert "reconciler adopt new" not in text
    assert "default_cpu" in text  # the other pipeline has its own row


@pytest.mark.parametrize("form", FORMS)
def test_another_kind_of_finding_is_never_hidden_in_it(form: Form) -> None:
    new = never_applied("new")
    for other in (
        replace(new, findings=(*new.findings, finding(pipeline="new"))),
        replace(new, findings=(replace(new.findings[0], acknowledged=KNOWN), *new.findings[1:])),
        replace(new, last_apply=stack_report().last_apply),
    ):
        assert "never applied:" not in form(report(other))


def test_hostile_names_stay_text() -> None:
    found = report(never_applied(NASTY, inputs=1))
    assert "<script>hacked" not in drift_html(found)
    assert "<img src=x" not in drift_html(found)
    tags = {tag.removeprefix("/") for tag in Rendered.of(drift_markdown(found)).tags}
    assert tags <= ALLOWED


def test_the_counts_are_those_of_the_findings() -> None:
    found = report(never_applied("new"), never_applied("newer"))
    assert found.counts["pending"] == 14
    for form in FORMS:
        assert "14 pending" in form(found).replace("<b>14</b>pending", "14 pending")
