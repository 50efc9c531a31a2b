"""Files, versions and state through the interface are those that the commands have."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from tests.conftest import Cli, copy_example

NAMES = ("dataset_cleanup", "single_training")


@pytest.fixture
def workspace(cli: Cli, sandbox: Sandbox) -> api.Workspace:
    for name in NAMES:
        copy_example(name, cli.folder, sandbox.registry)
    return api.Workspace.open()


def replaced(name: str, before: str, after: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        file = folder / name / "config.toml"
        assert before in file.read_text()
        file.write_text(file.read_text().replace(before, after))

    return edit


def secret(folder: Path) -> None:
    (folder / "dataset_cleanup" / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n")


def copied(folder: Path) -> None:
    shutil.copytree(folder / "dataset_cleanup", folder / "copy")


def unmatched(folder: Path) -> None:
    (folder / "reconciler.toml").write_text('[groups]\nnone = ["nothing/**"]\n')


EDITS: dict[str, Callable[[Path], None]] = {
    "nothing": lambda _: None,
    "an invalid version": replaced("dataset_cleanup", 'version = "1.0"', 'version = "one"'),
    "a secret": secret,
    "a resource that two declare": copied,
    "a glob that matches nothing": unmatched,
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_validation_has_the_problems_of_the_command(
    cli: Cli, workspace: api.Workspace, edit: Callable[[Path], None]
) -> None:
    edit(cli.folder)
    found = api.Workspace.open().select(all=True).validate()
    shown = cli("validate", "--all")
    assert found.exit_code == shown.code
    for line in found.diagnostics:
        assert re.sub(r"\s+", " ", line.summary) in re.sub(r"\s+", " ", shown.err)
    if shown.code:
        with pytest.raises(api.UserError):
            found.raise_for_problems()
    else:
        found.raise_for_problems()


def test_summaries_are_those_of_list(cli: Cli, workspace: api.Workspace) -> None:
    rows = json.loads(cli("list", "-o", "json").out)["pipelines"]
    found = workspace.select(all=True).summaries()
    assert [(one.stack, one.type, one.version, one.gpu) for one in found] == [
        (row["stack"], row["type"], row["version"], row["gpu"]) for row in rows
    ]


def test_a_bump_writes_what_the_command_writes_or_nothing_at_all(cli: Cli, workspace: api.Workspace) -> None:
    files = [cli.folder / name / "config.toml" for name in NAMES]
    before = [file.read_bytes() for file in files]
    pipelines = workspace.select(all=True)
    planned = pipelines.bump("minor", dry_run=True)
    assert [file.read_bytes() for file in files] == before
    assert pipelines.bump(api.Bump.MINOR) == planned
    assert {one.after for one in planned} == {"1.1.0"}
    bumped = [file.read_bytes() for file in files]
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)
    assert cli("bump", "minor", "--all").code == 0
    assert [file.read_bytes() for file in files] == bumped

    replaced("single_training", 'version = "1.1.0"', 'version = "1.1.0-rc"')(cli.folder)
    left = [file.read_bytes() for file in files]
    with pytest.raises(api.UserError, match="already final"):
        pipelines.bump("final")
    assert [file.read_bytes() for file in files] == left


@pytest.mark.parametrize(("command", "tag"), [("plan", ""), ("deploy", "latest")])
def test_only_a_deploy_writes_the_image_tag_of_the_version(
    cli: Cli, workspace: api.Workspace, command: str, tag: str
) -> None:
    config = cli.folder / "dataset_cleanup" / "config.toml"
    pipelines = workspace.select("dataset_cleanup")
    plans: api.Plans = getattr(pipelines, command)(workspace.environment())
    assert 'image_tag = ""' in config.read_text()
    plans.apply(approve=plans.digest).raise_for_problems()
    assert f'image_tag = "{tag}"' in config.read_text()


def test_state_and_history_are_those_of_the_commands(cli: Cli, workspace: api.Workspace) -> None:
    pipelines = workspace.select("dataset_cleanup")
    environment = workspace.environment()
    pipelines.plan(environment).apply()
    pipelines.bump("patch")
    pipelines.plan(environment).apply()
    with workspace.open_state() as state:
        (stack,) = state.stacks()
        assert {state.stack(name) for name in (stack, "dataset_cleanup", stack.partition("/")[2])} == {stack}
        version, runs = state.version("dataset_cleanup"), state.runs("dataset_cleanup")
        assert version.to_json() == cli("state", "show", "dataset_cleanup", "-o", "json").out
        history = json.loads(cli("state", "history", "dataset_cleanup", "-o", "json").out)
        assert [run.serial for run in runs] == [run["serials"][1] for run in history["runs"]]
        assert [run.version for run in runs] == ["1.0.1", "1.0.0"]
        assert all(run.outcome is api.RunOutcome.APPLIED for run in runs)
        assert version.serial == runs[0].serial
        assert state.version(stack, runs[1].serial).serial == runs[1].serial
        assert state.runs(stack, limit=1) == runs[:1]
        assert (version.stack, version.open_writes) == (stack, ())
        for ask in (lambda: state.version(stack, 999), lambda: state.runs("dataset_clean")):
            with pytest.raises(api.UserError, match=r"no serial 999|no state of dataset_clean"):
                ask()
