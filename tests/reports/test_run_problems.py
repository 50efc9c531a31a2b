"""Why pipelines of a run did not succeed, and what to run next."""

import shlex
from pathlib import Path

from hypothesis import given
from msgspec.structs import replace

from reconciler.core.diagnostics import error
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.counting import duration
from reconciler.views.run_problems import SUCCEEDED, causes, commands, headline, problems
from tests.reports.runs import every_result, pipeline, plan, refused, report, reports, unreadable

WHERE = "--organization my-org --env STAGING"


def test_the_same_reason_is_one_cause_whatever_the_names_are() -> None:
    found = report(
        *(pipeline(name, RunResult.FAILED) for name in ("a", "b", "clip")),
        unreadable("c", error("the version is not valid", file=Path("c/config.toml"), line=3)),
        pipeline("d"),
        pipeline("e", RunResult.REFUSED),
    )
    assert [(cause.result, [run.folder for run in cause.runs]) for cause in causes(found)] == [
        (RunResult.FAILED, ["pipelines/a", "pipelines/b", "pipelines/clip"]),
        (RunResult.FAILED, ["pipelines/c"]),
        (RunResult.REFUSED, ["pipelines/e"]),
    ]
    assert headline(found) == "4 failed, 1 refused, 1 applied"


def test_a_reason_that_names_its_pipeline_is_the_same_for_another() -> None:
    found = report(
        *(unreadable(name, error(f"pipelines/{name} has no Dockerfile")) for name in ("a", "b")),
        unreadable("abc", error("pipelines/xyz has no Dockerfile")),
    )
    assert [len(cause.runs) for cause in causes(found)] == [2, 1]


@given(reports())
def test_each_pipeline_without_success_has_one_cause_a_reason_and_a_command(found: RunReport) -> None:
    listed = [run for cause in causes(found) for run in cause.runs]
    assert sorted(run.folder for run in listed) == sorted(
        run.folder for run in found.runs if run.result not in SUCCEEDED
    )
    for run in found.runs:
        assert bool(problems(found, run)) == (run.result not in SUCCEEDED)
        for command in commands(found, [run]):
            words = shlex.split(command)
            assert words[0] == "reconciler"
            assert (run.stack.name if run.stack else run.folder) in words
        assert bool(commands(found, [run])) == (run.result not in SUCCEEDED)


def test_a_failure_is_repeated_with_the_options_of_its_plan() -> None:
    asked = {"bump": "patch", "prune": True, "targets": ["processing/a"], "take": ["image/reg.io/a"]}
    runs = [pipeline(name, RunResult.FAILED) for name in ("a", "b", "c")]
    runs[2] = replace(runs[2], plan=replace(plan("c"), request=asked))
    assert commands(report(*runs), runs) == [
        f"reconciler apply a b {WHERE}",
        f"reconciler apply c {WHERE} --bump patch --prune --target processing/a --take image/reg.io/a",
    ]
    rollback = report(*runs[:1], command="rollback", options=("--to", "3"))
    assert commands(rollback, runs[:1]) == [f"reconciler rollback a {WHERE} --to 3"]


def test_winners_everywhere_stand_last() -> None:
    assert replace(plan("a"), request={"ours": None, "theirs": [], "prune": True}).options == [
        "--prune",
        "--ours",
    ]


def test_many_pipelines_need_several_commands_that_name_each_once() -> None:
    runs = [pipeline(f"p{number}", RunResult.FAILED) for number in range(120)]
    lines = commands(report(*runs), runs)
    assert len(lines) == 3
    named = [word for line in lines for word in shlex.split(line)[2:] if word.startswith("p")]
    assert named == [f"p{number}" for number in range(120)]


def test_a_refusal_has_its_way_out_and_a_stale_plan_is_made_again() -> None:
    found = every_result()
    by_folder = {run.folder: commands(found, [run]) for run in found.runs}
    assert by_folder["pipelines/refused"] == [
        f"reconciler apply refused {WHERE} --take image/reg.io/refused",
        f"reconciler apply refused {WHERE} --ours processing/refused",
        f"reconciler apply refused {WHERE} --theirs processing/refused",
    ]
    assert by_folder["pipelines/stale"] == [f"reconciler plan stale {WHERE}"]
    assert by_folder["pipelines/half"] == [f"reconciler apply half {WHERE}"]
    assert by_folder["pipelines/app"] == []


def test_the_reason_is_what_happened_to_the_run_if_the_pipeline_has_none() -> None:
    late = pipeline("late", RunResult.NOT_STARTED)
    told = {
        "the run was interrupted": report(late, interrupted=True),
        "the plan was not approved": report(late, declined=True),
        "too many pipelines failed before": report(late, stopped_by_failures=True),
        "the run ended before": report(late),
    }
    assert {problems(found, late)[0].summary: found for found in told.values()} == told


def test_a_conflict_and_a_refusal_have_words() -> None:
    run = pipeline("a", RunResult.REFUSED)
    assert run.plan == refused("a")
    assert [(one.address, one.summary) for one in problems(report(run), run)] == [
        ("image/reg.io/a", "other has claimed it since 2025-03-01 12:00"),
        ("processing/a", "conflict: the files changed"),
    ]


def test_durations_are_short() -> None:
    assert [duration(seconds) for seconds in (0, 3.24, 59.96, 125, 3780)] == [
        "0.0 s",
        "3.2 s",
        "1 min 0 s",
        "2 min 5 s",
        "1 h 3 min",
    ]
