"""The summary of many plans: the same change once, refusals with their ways out, errors."""

import io
import re

import pytest
from msgspec.structs import replace

from providers.reasons import Reason
from providers.text import shown_names
from reconciler.core.diagnostics import info
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action, Plan
from reconciler.core.reasons import ReasonCode
from reconciler.views.counting import timer
from reconciler.views.fleet_changes import MOST_VALUES, change_rows
from reconciler.views.fleet_problems import refusals
from reconciler.views.phrases import reason
from reconciler.views.run_problems import MANY
from reconciler.views.terminal.console import console
from reconciler.views.terminal.fleet_plan import print_fleet_plan
from tests.fleet import runs
from tests.fleet.screen import screen_of

WHERE = "--organization my-org --env STAGING"


def printed(plans: list[Plan], problems: dict[str, object] | None = None) -> tuple[list[str], list[str]]:
    """The lines on stdout and on stderr of a log."""
    out, err = io.StringIO(), io.StringIO()
    print_fleet_plan(plans, problems or {}, console(out), console(err))  # type: ignore[arg-type]
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def cpu(number: int, old: int = 4, new: int = 8, cls: ChangeClass = ChangeClass.PENDING) -> Plan:
    reason = {
        ChangeClass.PENDING: Reason(ReasonCode.FILES_CHANGED),
        ChangeClass.DRIFT: Reason(ReasonCode.CHANGED_OUTSIDE),
    }[cls]
    return runs.plan(number, runs.processing(number, runs.field("default_cpu", old, new, cls, reason)))


def has_words(code: ReasonCode) -> bool:
    """Whether the reason can be said without details."""
    try:
        return bool(reason(Reason(code)))
    except KeyError:
        return False


def deleting(number: int, *names: str) -> Plan:
    left = Reason(ReasonCode.UNDECLARED)
    return runs.plan(
        number, *(runs.step("input", ("app", name), Action.DELETE, reason=left) for name in names)
    )


def test_the_same_change_is_one_row() -> None:
    [row] = change_rows([cpu(1), cpu(2), cpu(3)])
    assert (row.action, row.kind, row.path, row.old, row.new) == (
        Action.UPDATE, "processing", "default_cpu", "4", "8",
    )  # fmt: skip
    assert row.stacks == [runs.stack(number) for number in (1, 2, 3)]


@pytest.mark.parametrize("code", [code for code in ReasonCode if has_words(code)])
@pytest.mark.parametrize("cls", [ChangeClass.PENDING, ChangeClass.DRIFT])
def test_every_reason_but_an_edit_of_the_files_is_shown(code: ReasonCode, cls: ChangeClass) -> None:
    """A field that `ignore_changes` keeps must not look like a change that will be made."""
    field = runs.field("description", "by hand", "of the files", cls, Reason(code))
    [row] = change_rows([runs.plan(1, runs.processing(1, field))])
    is_left_out = code is ReasonCode.NEW or (cls, code) == (ChangeClass.PENDING, ReasonCode.FILES_CHANGED)
    assert row.remark == ("" if is_left_out else f"{cls.value}: {reason(field.reason)}")


def test_a_change_from_outside_is_a_row_of_its_own() -> None:
    drifted, changed = change_rows([cpu(1, cls=ChangeClass.DRIFT), cpu(2)])[::-1]
    assert {drifted.remark, changed.remark} == {"drift: changed outside", ""}


def test_values_that_differ_everywhere_share_a_row() -> None:
    plans = [cpu(number, new=number + 100) for number in range(20)] + [cpu(20), cpu(21)]
    shared, different = change_rows(plans)
    assert (shared.new, shared.different, len(shared.resources)) == ("8", 1, 2)
    assert (different.new, different.different, len(different.resources)) == ("", 20, 20)


def test_few_values_have_a_row_each() -> None:
    rows = change_rows([cpu(number, new=number + 100) for number in range(MOST_VALUES)])
    assert [row.new for row in rows] == [str(number + 100) for number in range(MOST_VALUES)]


def test_no_resource_is_left_out_and_none_is_in_two_rows() -> None:
    plans = [plan for plan in runs.plans() if plan.can_apply]
    counted = [(row.path, resource) for row in change_rows(plans) for resource in row.resources]
    expected = [
        (change.path, (plan.stack, step.address))
        for plan in plans
        for step in plan.steps
        for change in step.changes
    ]
    assert sorted(counted, key=str) == sorted(expected, key=str)


def test_what_is_destroyed_comes_first_with_each_name() -> None:
    replaced = runs.step(
        "input", ("app", "z"), Action.REPLACE, runs.field("input_type", "TEXT", "NUMBER"),
        reason=Reason(ReasonCode.IMMUTABLE, {"fields": ["input_type"]}),
    )  # fmt: skip
    out, _ = printed([cpu(1), deleting(2, "x"), deleting(3, "y"), runs.plan(4, replaced)])
    rows = out[out.index("") + 1 :]
    assert [re.sub("  +", "  ", row) for row in rows] == [
        "- input  delete  not declared in the files  input/app/x, input/app/y",
        "± input  replace  input_type cannot be changed in place  input/app/z",
        "± input  replace  input_type  TEXT -> NUMBER  input/app/z",
        "~ processing  update  default_cpu  4 -> 8  pipeline_001",
    ]


def test_totals_come_first() -> None:
    out, _ = printed(runs.plans(), runs.BAD_FILES)
    assert out[:4] == [
        "my-org@STAGING  https://staging.picsellia.com",
        "Plan for 300 pipelines: 277 to change, 19 in sync, 3 refused, 1 with errors.",
        "Resources: 461 to update.",
        "",
    ]


def test_a_summary_of_300_pipelines_fits_a_screen() -> None:
    out, err = printed(runs.plans(), runs.BAD_FILES)
    assert len(out) < 10
    assert len(err) < 24


def test_a_refusal_names_the_way_out_and_an_error_its_place() -> None:
    _, err = printed(runs.plans(), runs.BAD_FILES)
    assert [line for line in err if not line.startswith(" ")] == [
        "",
        "conflict: processing/pipeline_040: 1 field changed in the files and outside",
        "refused: processing/pipeline_041: my-org@STAGING/other has claimed it since 2025-03-01 12:00, "
        "declared at other/config.toml:2",
        "refused: image/reg.io/app_042: 1.0.0 was published by another tool, from unknown source",
        "error: metadata.version cannot be read",
    ]
    assert f"    keep the live values:  reconciler apply pipeline_040 {WHERE} --theirs" in err
    assert "  at broken/config.toml:3" in err


def test_equal_refusals_are_one_with_a_command_for_all() -> None:
    _, err = printed([runs.foreign(number) for number in (1, 9, 2)])
    assert err == [
        "",
        "refused: image: 1.0.0 was published by another tool, from unknown source",
        "  in 3 pipelines: pipeline_001, clip_009/training, pipeline_002",
        "    publish it as a new version:  "
        f"reconciler apply pipeline_001 picsellia/training-009 pipeline_002 {WHERE} --bump patch",
        "    accept it as made from these files:  "
        f"reconciler apply pipeline_001 picsellia/training-009 pipeline_002 {WHERE} --accept-foreign",
    ]


def test_a_command_does_not_name_hundreds_of_pipelines() -> None:
    [row] = refusals([runs.foreign(number) for number in range(MANY + 1)])
    assert row.problem.ways == (
        ("publish it as a new version: run the same command with --bump patch", ""),
        ("accept it as made from these files: run the same command with --accept-foreign", ""),
    )


def test_nothing_to_change_is_said() -> None:
    out, err = printed([runs.plan_of(number) for number in runs.IN_SYNC])
    assert out[1:] == ["Plan for 19 pipelines: 19 in sync."]
    assert err == []


@pytest.mark.parametrize(("columns", "below"), [(80, True), (160, False)])
def test_the_rows_fit_the_terminal(columns: int, below: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with screen_of(columns, 50, monkeypatch) as (screen, out):
        print_fleet_plan(runs.plans(), {}, out, console(io.StringIO()))
    rows = screen.lines[screen.lines.index("") + 1 :]
    assert len(rows) == (8 if below else 4)
    assert [row.startswith("    ") for row in rows] == ([False, True] * 4 if below else [False] * 4)


def test_the_totals_are_still_on_the_screen_when_the_question_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    with screen_of(80, 24, monkeypatch) as (screen, err):
        print_fleet_plan(runs.plans(), runs.BAD_FILES, err, err)
    assert screen.lines[-1] == "Plan for 300 pipelines: 277 to change, 19 in sync, 3 refused, 1 with errors."


def test_equal_remarks_are_one_without_every_address() -> None:
    note = [info("built without Docker", address=f"image/reg.io/app_{number}") for number in range(9)]
    plans = [replace(cpu(number), diagnostics=(note[number],)) for number in range(9)]
    assert printed(plans)[1] == [
        "",
        "info: built without Docker",
        "  in 9 pipelines: pipeline_000, pipeline_001, pipeline_002 and 6 more",
    ]
    assert printed(plans[:1])[1][1:] == [
        "info: built without Docker", "  in pipeline_000", "  at image/reg.io/app_0",
    ]  # fmt: skip


def test_names_are_shortened_and_times_are_readable() -> None:
    assert shown_names(["a", "b", "c"], 3) == "a, b, c"
    assert shown_names(["a", "b", "c", "d"], 3) == "a, b, c and 1 more"
    assert [timer(seconds) for seconds in (0.0, 7.2, 252, 3607)] == ["0:00", "0:08", "4:12", "1:00:07"]
