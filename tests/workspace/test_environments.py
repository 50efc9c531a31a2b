"""An environment of any name, declared in reconciler.toml, works wherever PROD does."""

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from reconciler.core.diagnostics import UserError
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"


@pytest.fixture
def eu(sandbox: Sandbox, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox that reconciler.toml calls EU, a pipeline for it, and a user with its token in EU_TOKEN."""
    for name in [name for name in os.environ if name.startswith("PICSELLIA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("EU_TOKEN", sandbox.token)
    copy_example(NAME, cli.folder, sandbox.registry)
    (cli.folder / "reconciler.toml").write_text(
        f'[environments.EU]\nhost = "{sandbox.url}"\norganization = "{sandbox.organization}"\n'
        'token = "EU_TOKEN"\n'
    )
    return sandbox


def test_every_command_takes_the_name(cli: Cli, eu: Sandbox) -> None:
    assert cli("apply", NAME, "--env", "eu", "--yes").code == 0
    for command in (
        ["plan", NAME, "--exit-code"],
        ["apply", "--all"],
        ["deploy", NAME],
        ["rollback", NAME, "--to", "1.0.0"],
        ["status", "--all"],
        ["drift", "--all"],
        ["adopt", NAME],
        ["image", NAME],
        ["whoami"],
        ["destroy", NAME, "--prune", "--yes"],
    ):
        ended = cli(*command, "--env", "EU")
        assert ended.code == 0, (command, ended)
    assert eu.platform.processings() == []


def test_the_variable_chooses_it_and_commands_that_are_shown_name_it(
    cli: Cli, eu: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_ENV", "EU")
    assert cli("apply", NAME, "--yes").code == 0
    eu.platform.edit_processing(NAME, default_cpu=9)
    shown = cli("drift", NAME)
    assert shown.code == 11
    assert f"reconciler apply {NAME} --organization {eu.organization} --env EU" in shown.out


def test_an_environment_of_another_name_has_the_same_stack(cli: Cli, eu: Sandbox) -> None:
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    stack = f"{eu.organization}@{urlsplit(eu.url).netloc}/{NAME}"
    assert cli("state", "list").out == f"{stack}\n"

    file = cli.folder / "reconciler.toml"
    file.write_text(file.read_text().replace("EU]", "EUROPE]"))

    assert cli("plan", NAME, "--env", "EUROPE", "--exit-code").code == 0
    assert cli("state", "list").out == f"{stack}\n"


def by_variable(_: Cli, eu: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", eu.url.replace("localhost", "LOCALHOST") + "/")
    return ["--env", "CUSTOM", "--organization", eu.organization]


def by_login(cli: Cli, eu: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(eu.token))
    options = ("--organization", eu.organization, "--env", "CUSTOM", "--host", eu.url)
    assert cli("login", *options, "--token-stdin").code == 0
    return []


def by_organization(cli: Cli, eu: Sandbox, _: pytest.MonkeyPatch) -> list[str]:
    declare_us(cli, eu.url)
    return ["--env", "US", "--organization", eu.organization]


def by_variable_of_another(cli: Cli, eu: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    declare_us(cli, "https://picsellia.example.com")
    monkeypatch.setenv("PICSELLIA_US_ENV", eu.url)
    return ["--env", "US", "--organization", eu.organization]


def declare_us(cli: Cli, host: str) -> None:
    with (cli.folder / "reconciler.toml").open("a") as file:
        file.write(f'[environments.US]\nhost = "{host}"\norganization = "us"\n')


COMMANDS = (
    ["plan", NAME],
    ["apply", NAME, "--yes"],
    ["deploy", NAME, "--yes"],
    ["rollback", NAME, "--yes"],
    ["destroy", NAME, "--yes"],
    ["adopt", NAME],
    ["drift", NAME],
    ["status", NAME],
    ["image", NAME],
    ["whoami"],
)


@pytest.mark.parametrize("way", [by_variable, by_login, by_organization, by_variable_of_another])
def test_no_command_takes_another_name_for_a_declared_environment(
    way: Callable[[Cli, Sandbox, pytest.MonkeyPatch], list[str]],
    cli: Cli,
    eu: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would be without the channel, the gate and the values of that environment."""
    options = way(cli, eu, monkeypatch)
    monkeypatch.setenv("PICSELLIA_TOKEN", eu.token)
    eu.clear_requests()
    for command in COMMANDS:
        refused = cli(*command, *options)
        assert refused.code != 0 or command[0] == "image", command  # it shows the files without a platform
        said = " ".join((refused.err + refused.out).split())
        assert "and EU are the same environment" in said, command
    assert [one for one in eu.requests() if one["service"] != "registry"] == []
    assert cli("status", "--all", "--env", "EU").code == 0


def test_python_takes_no_other_name_either(cli: Cli, eu: Sandbox) -> None:
    workspace = api.Workspace.open()
    mine = workspace.environment("MINE", organization=eu.organization, host=eu.url, token=eu.token)
    with pytest.raises(UserError, match="MINE and EU are the same environment"):
        mine.target()


def test_a_login_under_another_name_is_not_shown_twice(
    cli: Cli, eu: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_login(cli, eu, monkeypatch)
    shown = cli("status", "--matrix", "--json", "-")
    assert [column["name"] for column in json.loads(shown.out)["environments"]] == ["EU"]


def test_a_saved_plan_is_applied_where_it_was_made(cli: Cli, eu: Sandbox, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    assert cli("plan", NAME, "--env", "EU", "--out", str(plan)).code == 0
    assert cli("apply", "--plan", str(plan), "--yes").code == 0
    assert [processing["name"] for processing in eu.platform.processings()] == [NAME]


def test_a_login_is_saved_with_the_address_that_it_is_for(
    cli: Cli, eu: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EU_TOKEN")
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{eu.token}\n"))

    ended = cli("login", "--env", "EU", "--token-stdin")

    saved = home / ".config" / "picsellia"
    assert (ended.code, ended.err) == (0, "")
    assert f"Logged in to {eu.organization}@EU at {eu.url} as " in ended.out
    assert (saved / ".env").read_text() == (
        f"PICSELLIA_{eu.organization}_EU_API_TOKEN={eu.token}\nPICSELLIA_EU_ENV={eu.url}\n"
    )
    assert json.loads((saved / "context.json").read_text()) == {"organization": eu.organization, "env": "EU"}
    assert cli("whoami").code == 0, "the login is in use"
    (cli.folder / "reconciler.toml").unlink()
    assert f"EU  ({saved / 'context.json'})" in cli("whoami").out, "everything that it needs is saved"
    assert cli("switch", "--env", "eu").out == f"Now using {eu.organization}@EU at {eu.url}.\n"
    assert cli("logout", "--env", "EU").code == 0
    assert eu.token not in (saved / ".env").read_text()


def test_a_declared_environment_needs_no_host_option(cli: Cli, eu: Sandbox) -> None:
    ended = cli("login", "--env", "EU", "--host", eu.url)
    assert (ended.code, "--host is only for CUSTOM" in ended.err) == (2, True)


def test_an_unknown_name_lists_the_declared_ones(cli: Cli, eu: Sandbox) -> None:
    ended = cli("plan", NAME, "--env", "EUR")
    assert ended.code == 2
    assert "'EUR' is not one of PROD, STAGING, LOCAL, CUSTOM, EU" in ended.err


@pytest.mark.parametrize("command", ["plan", "apply", "drift", "status", "whoami"])
def test_a_broken_file_stops_commands_before_any_request(cli: Cli, eu: Sandbox, command: str) -> None:
    (cli.folder / "reconciler.toml").write_text("[environments.PROD]\n[workspaces]\n")
    eu.clear_requests()
    ended = cli(command, *([] if command == "whoami" else [NAME]), "--env", "CUSTOM")
    assert ended.code == 1
    assert "environments.PROD.organization is missing" in ended.err
    assert "Did you mean 'workspace'?" in ended.err
    assert [one for one in eu.requests() if one["service"] != "registry"] == []
