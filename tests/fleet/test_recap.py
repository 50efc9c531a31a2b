"""The recap of a run over 300 pipelines, seven of which were refused or failed in different ways."""

import io
import re

import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox
from reconciler.core.diagnostics import error, warning
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, INTERRUPTED
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.core.stale import StaleField, StaleStep
from reconciler.core.values import Address
from reconciler.views.terminal.console import console
from reconciler.views.terminal.recap import print_recap
from tests.conftest import Cli, copy_example
from tests.fleet import runs

WHERE = "--organization my-org --env STAGING"


def printed(report: RunReport) -> tuple[list[str], list[str]]:
    out, err = io.StringIO(), io.StringIO()
    print_recap(report, console(out), console(err))
    return out.getvalue().splitlines(), err.getvalue().splitlines()


def with_runs(*changed: PipelineRun, **given: object) -> RunReport:
    return replace(runs.report(), runs=changed, **given)  # type: ignore[arg-type]


APPLIED = runs.run_of(1)


def test_totals_come_first_and_the_next_command_last() -> None:
    _, err = printed(runs.report())
    assert err[0] == "Not finished: 5 failed, 3 refused, 273 applied, 19 unchanged.  4 min 12 s"
    first = "Solve the problems above first: the same command then does only what is left."
    assert err[-1] == f"8 pipelines left. {first}"


def test_each_failure_has_its_reason_and_a_command_that_repeats_it() -> None:
    _, err = printed(runs.report())
    text = "\n".join(err)
    for reason, pipeline in {
        "the platform refuses it (422): default_cpu must be at most 16": "pipeline_050",
        "reg.io: the connection was refused": "pipeline_052",
        "the build failed: RUN pip install: exit code 1": "pipeline_053",
        "the worker process that was applying it was killed": "pipeline_055",
    }.items():
        [block] = re.findall(rf"failed: .*{re.escape(reason)}\n((?:  .*\n)+)", text)
        assert block.startswith(f"  in {pipeline}\n")
        assert block.endswith(f"    reconciler apply {pipeline} {WHERE}\n")
    [block] = re.findall(r"failed: metadata.version cannot be read\n((?:  .*\n)+)", text)
    assert block.startswith("  in broken\n  at broken/config.toml:3\n")
    assert block.endswith(f"    reconciler apply broken {WHERE}\n")
    for way in ("--theirs", "--take processing/pipeline_041", "--accept-foreign"):
        assert f" {way}\n" in text


@pytest.mark.parametrize("result", [RunResult.FAILED, RunResult.REFUSED, RunResult.INTERRUPTED])
def test_a_pipeline_that_did_not_succeed_is_never_left_out(result: RunResult) -> None:
    silent = replace(runs.run_of(1), result=result, exit_code=FAILED, outcomes=())
    remark = replace(silent, diagnostics=(warning("the channel is shared"),))
    for run in (silent, remark, replace(silent, plan=None)):
        _, err = printed(with_runs(run))
        assert err[1].startswith(f"{result.value}: ")
        assert err[2] == "  in pipeline_001"


def test_equal_failures_are_one() -> None:
    failed = []
    for run in map(runs.run_of, (1, 2, 4)):
        assert run.plan is not None
        outcomes = runs.failed(run.plan, runs.REGISTRY_DOWN)
        failed.append(replace(run, result=RunResult.FAILED, exit_code=FAILED, outcomes=outcomes))
    _, err = printed(with_runs(*failed, APPLIED))
    assert err[1:] == [
        "failed: updating failed: reg.io: the connection was refused",
        "  in 3 pipelines: pipeline_001, pipeline_002, pipeline_004",
        "  Check that the registry runs.",
        f"    reconciler apply pipeline_001 pipeline_002 pipeline_004 {WHERE}",
        "3 pipelines left. Run the same command again: it does only what is left.",
    ]


def test_success_is_on_stdout_with_the_published_versions() -> None:
    out, err = printed(with_runs(APPLIED, runs.run_of(3), runs.run_of(2)))
    assert out == [
        "Done: 3 applied.  4 min 12 s",
        "Published 1.0.1 for 2 pipelines: pipeline_001, pipeline_002",
    ]
    assert err == []


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"interrupted": True}, "the run was interrupted"),
        ({"stopped_by_failures": True}, "too many pipelines failed before"),
    ],
)
def test_what_was_not_started_is_counted_with_the_reason(given: dict[str, bool], why: str) -> None:
    waiting = [
        PipelineRun(f"p{number}", runs.stack(number), RunResult.NOT_STARTED, INTERRUPTED)
        for number in range(5)
    ]
    _, err = printed(with_runs(APPLIED, *waiting, **given))
    assert err[1:2] == [f"not started: 5 pipelines, because {why}"]


def test_a_declined_plan_has_no_totals() -> None:
    assert printed(with_runs(APPLIED, declined=True)) == ([], ["Nothing was applied."])


def test_the_reasons_of_the_whole_run_come_before_those_of_pipelines() -> None:
    problems = (error("no pipeline is called x"),)
    refusal = error("another plan was approved", "Run reconciler plan --all.")
    _, err = printed(with_runs(APPLIED, problems=problems, refusal=refusal))
    assert err[1:4] == [
        "error: another plan was approved", "  Run reconciler plan --all.", "error: no pipeline is called x",
    ]  # fmt: skip


def test_an_approved_plan_that_is_out_of_date_says_what_changed() -> None:
    stale = StaleStep(Address.of("processing", "app"), (StaleField("default_cpu", 4, 8),))
    run = replace(
        runs.run_of(1), result=RunResult.REFUSED, exit_code=CONFLICT, outcomes=(), stale_steps=(stale,)
    )
    _, err = printed(with_runs(run))
    assert err[1:6] == [
        "refused: changed after the plan was made",
        "  in pipeline_001",
        "  at processing/app",
        "  Changed: default_cpu.",
        f"    reconciler plan pipeline_001 {WHERE}",
    ]


def test_remarks_about_applied_pipelines_are_grouped() -> None:
    noted = [replace(runs.run_of(n), diagnostics=(warning("PROD runs this, too"),)) for n in (1, 2)]
    report = with_runs(*noted)
    assert report.exit_code == DONE
    assert printed(report)[1] == [
        "warning: PROD runs this, too",
        "  in 2 pipelines: pipeline_001, pipeline_002",
    ]


@pytest.mark.parametrize("why", ["a wrong token", "another source", "a file with an error"])
@pytest.mark.parametrize("selection", ["dataset_cleanup", "--all"])
def test_a_run_that_starts_nothing_names_each_problem_once(
    why: str, selection: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("dataset_cleanup", "single_training"):
        copy_example(name, cli.folder, sandbox.registry)
    if why == "a wrong token":
        monkeypatch.setenv("PICSELLIA_TOKEN", "wrong")
        words = "could not sign in"
    elif why == "another source":
        assert cli("apply", "--all", "--yes").code == 0
        for folder in ("dataset_cleanup", "single_training"):
            (cli.folder / folder / "pipeline.py").write_text("pass\n")
        words = "is never overwritten"
    else:
        for folder in ("dataset_cleanup", "single_training"):
            (cli.folder / folder / "config.toml").write_text("[metadata\n")
        words = "is not valid TOML"
    ended = cli("apply", selection, "--yes")
    assert ended.code in (1, 12)
    assert ended.err.count(words) == 1, ended.err
    if selection == "--all":
        assert "Not finished: 2 " in ended.err
        assert "reconciler apply" in ended.err
