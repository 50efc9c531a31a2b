"""A workspace declares environments and none is selected: `status` needs none, others say which there are."""

import json

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from tests.commands.test_own_folder import TYPED
from tests.conftest import Cli, copy_example
from tests.test_words import commands

NAME = "dataset_cleanup"
NEEDS_NONE = {"list", "graph", "contract", "image", "status"}
"""The commands that take `--env` and need none."""
ARGUMENTS = {name: (NAME, *arguments) for name, arguments in TYPED.items()} | {
    "whoami": (),
    "drift": ("--all",),
    "destroy": ("--stack", NAME),
}


def selecting() -> list[str]:
    """The commands that take `--env`, as an environment to work on."""
    found = {
        name.removeprefix("reconciler ")
        for name, command in commands()
        if any("--env" in param.opts for param in command.params)
    }
    return sorted(
        one for one in found - NEEDS_NONE if not one.startswith(("state", "log", "switch", "sandbox"))
    )


@pytest.fixture
def pipeline(cli: Cli, environments: Sandbox) -> Sandbox:
    copy_example(NAME, cli.folder, environments.registry)
    return environments


@pytest.mark.parametrize("command", selecting())
def test_commands_that_need_an_environment_list_those_of_the_workspace(
    command: str, pipeline: Sandbox, cli: Cli
) -> None:
    ended = cli(command, *ARGUMENTS[command])
    assert ended.code == 1
    assert "no environment is selected" in ended.err
    assert "reconciler.toml has TEST, LIVE. Use --env TEST or --env LIVE, or set PICSELLIA_ENV" in ended.err
    assert "organization" not in ended.err


def test_an_environment_without_an_organization_is_another_error(pipeline: Sandbox, cli: Cli) -> None:
    ended = cli("plan", NAME, "--env", "STAGING")
    assert "no organization is selected" in ended.err
    assert "Use --organization ORG, or --env TEST or --env LIVE of reconciler.toml" in ended.err


@pytest.mark.parametrize("options", [[], ["--offline"]], ids=" ".join)
def test_status_shows_each_environment_with_a_token(options: list[str], pipeline: Sandbox, cli: Cli) -> None:
    for env in ("TEST", "LIVE"):
        assert cli("apply", NAME, "--env", env, "--yes").code == 0
    for selected in ([NAME], ["--all"]):
        ended = cli("status", *selected, *options, "--json")
        assert ended.code == 0, ended.err
        rows = json.loads(ended.out)["rows"]
        assert {row["environment"].partition("@")[0] for row in rows} == {"my-test-org", "my-org"}
    shown = cli("status", "--all")
    assert shown.out.count("in sync") == 2


def test_status_shows_what_the_state_has_without_any_token(
    pipeline: Sandbox, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("apply", NAME, "--env", "TEST", "--yes").code == 0
    for env in ("TEST", "LIVE"):
        monkeypatch.delenv(f"{env}_TOKEN")
    ended = cli("status", "--all")
    assert (ended.code, "no login" in ended.out) == (0, True), ended


def test_status_without_any_token_or_state_names_the_environments(
    pipeline: Sandbox, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for env in ("TEST", "LIVE"):
        monkeypatch.delenv(f"{env}_TOKEN")
    ended = cli("status", "--all")
    assert (ended.code, "no environment is selected" in ended.err) == (1, True), ended


def test_status_of_a_selected_environment_without_a_token_is_an_error(
    pipeline: Sandbox, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LIVE_TOKEN")
    assert "my-org" in cli("status", "--all", "--env", "LIVE").err
    monkeypatch.setenv("PICSELLIA_ENV", "LIVE")
    assert cli("status", "--all").code == 1


def test_python_names_them_too(pipeline: Sandbox, cli: Cli) -> None:
    workspace = api.Workspace.open(cli.folder)
    with pytest.raises(api.UserError, match="no environment is selected"):
        workspace.environment().target()


def test_image_says_that_it_compares_with_no_environment(cli: Cli, environments: Sandbox) -> None:
    """It needs none, and the tag of an environment with a channel is another one."""
    copy_example("dataset_cleanup", cli.folder, environments.registry)
    assert cli("apply", "dataset_cleanup", "--env", "LIVE", "--yes").code == 0

    of_none, of_live = cli("image", "dataset_cleanup"), cli("image", "dataset_cleanup", "--env", "LIVE")

    assert (of_none.code, of_live.code) == (0, 0)
    assert "no environment is selected" in of_none.err and "TEST, LIVE" in of_none.err
    assert of_none.err.count("no environment is selected") == 1
    assert "no environment is selected" not in of_live.err
