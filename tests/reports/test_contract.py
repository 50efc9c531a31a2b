"""Every output of plans and runs says which changes of inputs break jobs, and equal ones of a fleet once."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from reconciler.core.contract import NamedContract
from reconciler.core.plan import Plan
from reconciler.engine.contract import ContractReport
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.schema import Config
from reconciler.views.reports.contract_json import contract_document
from reconciler.views.reports.html import plan_html, run_html
from reconciler.views.reports.plan_json import plan_from_document, plan_text, plans_text
from reconciler.views.reports.plan_markdown import plan_markdown
from reconciler.views.reports.run_json import run_text
from reconciler.views.reports.run_junit import run_junit
from reconciler.views.reports.run_markdown import run_markdown
from reconciler.views.terminal.console import console
from reconciler.views.terminal.contract import print_contract
from reconciler.views.terminal.fleet_plan import print_fleet_plan
from reconciler.views.terminal.plans import print_plan
from tests.reports.conftest import NASTY
from tests.reports.runs import outcomes, pipeline, plan, report

REASON = "new required input, so a job without it is refused"
MANY = [plan(name) for name in ("a", "b", "c")]
RUN = report(*(pipeline(one.stack.name, plan=one, outcomes=outcomes(one)) for one in MANY))


def one_in_a_terminal(found: Plan) -> str:
    stream = io.StringIO()
    print_plan(found, console(stream))
    return stream.getvalue()


def fleet_in_a_terminal(found: list[Plan]) -> str:
    stream, err = io.StringIO(), io.StringIO()
    print_fleet_plan(found, {}, console(stream), console(err))
    return stream.getvalue()


OUTPUTS: dict[str, Callable[[], str]] = {
    "terminal": lambda: one_in_a_terminal(MANY[0]),
    "terminal, fleet": lambda: fleet_in_a_terminal(MANY),
    "Markdown": lambda: plan_markdown(MANY[:1], []),
    "Markdown, fleet": lambda: plan_markdown(MANY, []),
    "JSON": lambda: plan_text(MANY[0]),
    "JSON, fleet": lambda: plans_text(MANY, []),
    "HTML": lambda: plan_html(MANY[:1], []),
    "HTML, fleet": lambda: plan_html(MANY, []),
    "run, JSON": lambda: run_text(RUN),
    "run, JUnit": lambda: run_junit(RUN),
    "run, Markdown": lambda: run_markdown(RUN),
    "run, HTML": lambda: run_html(RUN),
}


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS.keys())
def test_every_output_has_each_change_with_its_effect(output: Callable[[], str]) -> None:
    text = output()

    assert REASON in text and "new optional input" in text
    assert text.index("breaking") < text.index("compatible")


@pytest.mark.parametrize(
    "output",
    [fleet_in_a_terminal, lambda plans: plan_markdown(plans, []), lambda _: run_markdown(RUN)],
    ids=["terminal", "Markdown", "run, Markdown"],
)
def test_the_same_change_of_several_pipelines_is_one_row(output: Callable[[list[Plan]], str]) -> None:
    (row,) = [line for line in output(MANY).splitlines() if REASON in line]

    assert all(f"pipelines/{name}" in row for name in "abc")


def test_another_change_of_the_same_input_is_another_row() -> None:
    other = replace(MANY[1], contract=(replace(MANY[1].contract[1], input="mask"),))

    text = fleet_in_a_terminal([MANY[0], other])

    assert [line.split()[:2] for line in text.splitlines() if " mask " in line] == [
        ["breaking", "mask"],
        ["compatible", "mask"],
    ]


def test_a_saved_plan_keeps_the_changes() -> None:
    read = plan_from_document(json.loads(plan_text(MANY[0])))

    assert read.contract == MANY[0].contract
    assert len(read.breaking) == 1


def test_a_plan_saved_before_has_none() -> None:
    document = json.loads(plan_text(MANY[0]))
    del document["contract"]

    assert plan_from_document(document).contract == ()


def test_nothing_is_said_without_a_change() -> None:
    quiet = [replace(one, contract=()) for one in MANY]

    for text in (one_in_a_terminal(quiet[0]), fleet_in_a_terminal(quiet), plan_markdown(quiet, [])):
        assert "ontract" not in text


def test_the_report_on_two_versions_is_one_line_for_each_change() -> None:
    before = NamedContract({"mask": {"input_type": "TEXT", "required": False}}, "1.0.0", "state", "4")
    after = NamedContract(
        {"mask": {"input_type": "TEXT", "required": True}}, "", "image", f"sha256:{'0' * 64}"
    )
    folder = Path("app")
    loaded = load(folder)
    made = Pipeline(folder, "app", cast("Config", None), loaded, None, None)
    stream = io.StringIO()

    print_contract(ContractReport(made, before, after), console(stream))

    assert stream.getvalue().splitlines() == [
        "app  1.0.0 (serial 4) -> an unknown version (image sha256:000000000000)",
        "  breaking  mask  required now, so a job without it is refused",
        "Contract: 1 breaking change of its inputs.",
    ]


def test_names_from_a_label_are_text() -> None:
    """Anybody who can push an image writes its labels."""
    found = NamedContract({NASTY: {"input_type": NASTY, "required": NASTY}}, NASTY, "image", NASTY)
    folder = Path("app")
    made = Pipeline(folder, "app", cast("Config", None), load(folder), None, None)
    stream = io.StringIO()

    print_contract(ContractReport(made, None, found), console(stream))

    assert "\x1b" not in stream.getvalue() and len(stream.getvalue().splitlines()) == 3
    json.dumps(contract_document(ContractReport(made, found, found)))
