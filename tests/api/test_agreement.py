"""What the interface returns and what the commands print are the same documents, for the same selection."""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from tests.conftest import Cli, copy_example

TIME = re.compile(r'"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[^"]*"|(?<=seconds": )[\d.]+')
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Case(NamedTuple):
    """A selection as the command line and the interface have it."""

    arguments: tuple[str, ...]
    names: tuple[str, ...] = ()
    keywords: Mapping[str, Any] = {}


SELECTIONS = [
    Case(("dataset_cleanup",), ("dataset_cleanup",)),
    Case(("dataset_cleanup", "single_training"), ("dataset_cleanup", "single_training")),
    Case(("--all",), keywords={"all": True}),
    Case(("--type", "training"), keywords={"types": ["training"]}),
    Case(("data*", "missing"), ("data*", "missing"), {"strict": False}),
]


@pytest.fixture
def workspace(cli: Cli, sandbox: Sandbox) -> api.Workspace:
    """A processing, a training, and a pipeline whose config.toml has an error."""
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "team/pipelines"\n')
    for name in ("dataset_cleanup", "single_training", "computed_inputs"):
        copy_example(name, cli.folder, sandbox.registry)
    broken = cli.folder / "computed_inputs" / "config.toml"
    broken.write_text(broken.read_text().replace('version = "1.0.0"', 'version = "one"'))
    cli.checks_documents = False  # the schemas have tests of their own
    return api.Workspace.open()


def untimed(text: str) -> list[str]:
    """The lines of a document without times, and without the ids that the platform makes up."""
    return ID.sub("ID", TIME.sub("TIME", text)).splitlines()


@pytest.mark.parametrize("case", SELECTIONS, ids=lambda case: " ".join(case.arguments))
def test_plans_drift_and_status(cli: Cli, workspace: api.Workspace, case: Case) -> None:
    assert cli("apply", "single_training", "--yes").code == 0
    environment = workspace.environment()
    pipelines = workspace.select(*case.names, **case.keywords)

    plans = pipelines.plan(environment)
    assert plans.to_json() == cli("plan", *case.arguments, "-o", "json").out
    assert f"{plans.to_markdown()}" == cli("plan", *case.arguments, "-o", "markdown").out
    drift = cli("drift", *case.arguments, "-o", "json")
    found = pipelines.drift(environment)
    assert untimed(found.to_json()) == untimed(drift.out)
    assert found.exit_code == drift.code
    status = cli("status", *case.arguments, "-o", "json")
    seen = pipelines.status()
    assert seen.to_json() == status.out
    assert seen.exit_code == status.code


def applied(cli: Cli, pipelines: api.Pipelines, case: Case) -> tuple[str, int]:
    cli("apply", *case.arguments, "--yes", "--json", "run.json")
    return (cli.folder / "run.json").read_text(), json.loads((cli.folder / "run.json").read_text())[
        "exit_code"
    ]


def applied_here(cli: Cli, pipelines: api.Pipelines, case: Case) -> tuple[str, int]:
    report = pipelines.plan(pipelines.workspace.environment()).apply()
    return report.to_json(), report.exit_code


@pytest.mark.parametrize("case", SELECTIONS[:-1], ids=lambda case: " ".join(case.arguments))
def test_reports_of_runs(
    cli: Cli, workspace: api.Workspace, sandbox: Sandbox, tmp_path: Path, case: Case
) -> None:
    runs: list[Callable[[Cli, api.Pipelines, Case], tuple[str, int]]] = [applied, applied_here]
    reports = []
    for run in runs:
        sandbox.reset()
        (tmp_path / "state.db").unlink(missing_ok=True)
        reports.append(run(cli, workspace.select(*case.names, **case.keywords), case))

    (text, code), (here, here_code) = reports
    assert untimed(here) == untimed(text)
    assert here_code == code


def test_an_unknown_name_stops_both_before_they_write(
    cli: Cli, workspace: api.Workspace, sandbox: Sandbox
) -> None:
    names = ("dataset_cleanup", "missing", "gone*")
    with pytest.raises(api.UserError) as refused:
        workspace.select(*names)
    ended = cli("apply", *names, "--yes")
    assert ended.code == 1
    for problem in refused.value.diagnostics:
        assert problem.summary in ended.err
    assert len(refused.value.diagnostics) == 2
    assert sandbox.writes() == []


def test_a_saved_plan_is_the_same_file_and_either_applies_it(
    cli: Cli, workspace: api.Workspace, tmp_path: Path
) -> None:
    shutil.rmtree(cli.folder / "computed_inputs")
    ours, theirs = tmp_path / "ours.json", tmp_path / "theirs.json"
    plans = workspace.select(all=True).plan(workspace.environment())
    plans.save(ours)
    assert cli("plan", "--all", "--out", str(theirs)).code == 0
    assert ours.read_bytes() == theirs.read_bytes()

    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    loaded = api.Plans.load(theirs)
    assert loaded.digest == plans.digest
    assert set(loaded) == set(plans)
    report = loaded.apply()
    assert report["dataset_cleanup"].result is api.RunResult.UNCHANGED
    assert report["single_training"].result is api.RunResult.APPLIED
    assert cli("apply", "--plan", str(ours)).code == 0
