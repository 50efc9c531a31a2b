"""An environment of any name, declared in reconciler.toml, works wherever PROD does."""

import io
import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers.sandbox import Sandbox
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


def test_another_name_for_the_platform_is_the_same_stack(
    cli: Cli, eu: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    stack = f"{eu.organization}@{urlsplit(eu.url).netloc}/{NAME}"
    assert cli("state", "list").out == f"{stack}\n"

    file = cli.folder / "reconciler.toml"
    file.write_text(file.read_text().replace("EU]", "EUROPE]"))
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", eu.url)
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", eu.organization)
    monkeypatch.setenv("PICSELLIA_TOKEN", eu.token)

    for name in ("EUROPE", "CUSTOM"):
        assert cli("plan", NAME, "--env", name, "--exit-code").code == 0
    assert cli("state", "list").out == f"{stack}\n"


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
    assert eu.requests() == []
