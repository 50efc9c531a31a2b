"""`login`, `logout`, `switch` and `whoami` with the files of the official CLI."""

import io
import json
import os
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.credentials import saved as files
from reconciler.credentials.saved import Login
from tests.commands.terminal import terminal
from tests.conftest import Cli, Ended

VARIABLES = ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV", "PICSELLIA_CUSTOM_ENV")


@pytest.fixture
def nobody(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox and a user without a login."""
    for name in VARIABLES:
        monkeypatch.delenv(name)
    return sandbox


@pytest.fixture
def saved(home: Path) -> Path:
    """The folder of the official CLI. The first login creates it."""
    return home / ".config" / "picsellia"


def log_in(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, token: str = "") -> Ended:
    """Log in as in CI, with the token on stdin."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token or sandbox.token}\n"))
    return cli("login", "--organization", sandbox.organization, "--host", sandbox.url, "--token-stdin")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_login_is_readable_by_its_owner_only_and_is_enough(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = log_in(cli, nobody, monkeypatch)

    assert (ended.code, ended.err) == (0, "")
    assert f"Logged in to {nobody.organization}@CUSTOM at {nobody.url} as " in ended.out
    assert (saved / ".env").read_text() == (
        f"PICSELLIA_{nobody.organization}_CUSTOM_API_TOKEN={nobody.token}\nPICSELLIA_CUSTOM_ENV={nobody.url}\n"
    )
    assert (saved / "context.json").read_text() == (
        f'{{"organization": "{nobody.organization}", "env": "CUSTOM"}}'
    )
    assert (mode(saved), mode(saved / ".env"), mode(saved / "context.json")) == (0o700, 0o600, 0o600)
    assert cli("whoami").code == 0


def test_other_entries_stay_and_become_private(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.mkdir(parents=True)
    before = (
        "# Ana's tokens\r\n\r\nexport PICSELLIA_other_PROD_API_TOKEN='x' # until June\r\n"
        f'PICSELLIA_{nobody.organization}_CUSTOM_API_TOKEN = "old" # renewed in May\r\nnonsense here\r\n'
    )
    (saved / ".env").write_bytes(before.encode())
    (saved / ".env").chmod(0o644)

    assert log_in(cli, nobody, monkeypatch).code == 0

    assert (saved / ".env").read_bytes().decode() == (
        before.replace(' "old"', nobody.token) + f"PICSELLIA_CUSTOM_ENV={nobody.url}\r\n"
    )
    assert mode(saved / ".env") == 0o600
    assert sorted(path.name for path in saved.iterdir()) == [".env", "context.json"]


def test_an_unknown_token_is_not_saved(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = log_in(cli, nobody, monkeypatch, token="wrong-0123456789")
    assert ended.code == 1
    assert "does not accept this API token" in ended.err
    assert "wrong-0123456789" not in ended.out + ended.err
    assert not saved.exists()


def test_without_a_terminal_all_missing_options_are_reported_at_once(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(nobody.token))
    ended = cli("login")
    assert ended.code == 1
    assert "login without a terminal needs --organization ORG, --env ENV, --token-stdin" in ended.err
    ended = cli("login", "--env", "custom", "--organization", "org", "--token-stdin")
    assert (ended.code, "login without a terminal needs --host URL" in ended.err) == (1, True)
    assert not saved.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--env", "PROD", "--host", "https://x.example"], "--host is only for CUSTOM"),
        (["--env", "MOON"], "not one of PROD, STAGING, LOCAL, CUSTOM"),
        (["--token", "secret"], "there is no option --token"),
    ],
)
def test_wrong_usage(cli: Cli, nobody: Sandbox, arguments: list[str], said: str) -> None:
    ended = cli("login", *arguments)
    assert (ended.code, said in ended.err) == (2, True)


def test_an_invalid_address_or_token(cli: Cli, nobody: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    here = ("login", "--organization", nobody.organization, "--token-stdin", "--host")
    assert "there is no API token on stdin" in cli(*here, nobody.url).err
    assert "must not contain a user name or password" in cli(*here, "https://me:hunter2@x.example").err
    assert "hunter2" not in cli(*here, "https://me:hunter2@x.example").err


def test_login_warns_of_variables_that_override_it(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = log_in(cli, sandbox, monkeypatch)
    assert ended.code == 0
    assert "warning: this login is not in use: PICSELLIA_TOKEN in the environment overrides it" in ended.err
    monkeypatch.setenv("PICSELLIA_ENV", "PROD")
    assert "login is not in use: PICSELLIA_ENV, PICSELLIA_TOKEN in the environment" in cli("switch").err


@pytest.fixture
def two(cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A login to the sandbox and one to PROD."""
    assert log_in(cli, nobody, monkeypatch).code == 0
    with (saved / ".env").open("a") as env:
        env.write("PICSELLIA_Acme_Inc_PROD_API_TOKEN=prod-token\n")
    return nobody


def test_whoami_shows_each_source_and_other_logins(
    cli: Cli, two: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = json.loads(cli("whoami", "--json").out)
    assert shown.pop("user")
    assert shown == {
        "organization": two.organization,
        "organization_from": str(saved / "context.json"),
        "environment": "CUSTOM",
        "environment_from": str(saved / "context.json"),
        "host": two.url,
        "host_from": str(saved / ".env"),
        "token_from": str(saved / ".env"),
        "other_logins": ["Acme_Inc@PROD"],
    }
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", two.organization)
    monkeypatch.setenv("PICSELLIA_TOKEN", two.token)
    text = cli("whoami", "--env", "CUSTOM").out
    for name, value in (
        ("organization", f"{two.organization}  (PICSELLIA_ORGANIZATION)"),
        ("environment", "CUSTOM  (--env)"),
        ("token from", "PICSELLIA_TOKEN"),
        ("also saved", "Acme_Inc@PROD"),
    ):
        assert f"{name:<14}{value}\n" in text


def test_switch_uses_a_saved_login_and_only_one(cli: Cli, two: Sandbox, saved: Path) -> None:
    several = cli("switch")
    assert several.code == 1
    assert f"Use --organization and --env for one of Acme_Inc@PROD, {two.organization}@CUSTOM." in several.err

    ended = cli("switch", "--env", "prod")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == "Now using Acme_Inc@PROD at https://app.picsellia.com.\n"
    assert json.loads((saved / "context.json").read_text()) == {"organization": "Acme_Inc", "env": "PROD"}

    unknown = cli("switch", "--organization", "nobody", "--env", "LOCAL")
    assert unknown.code == 1
    assert "no login is saved for nobody@LOCAL" in unknown.err
    assert f"Saved: Acme_Inc@PROD, {two.organization}@CUSTOM." in unknown.err
    assert json.loads((saved / "context.json").read_text())["env"] == "PROD", "nothing was changed"


def test_logout_removes_only_the_login_in_use(cli: Cli, two: Sandbox, saved: Path) -> None:
    ended = cli("logout")
    assert (ended.code, ended.err) == (0, "")
    assert f"Logged out of {two.organization}@CUSTOM." in ended.out
    assert (saved / ".env").read_text() == (
        f"PICSELLIA_CUSTOM_ENV={two.url}\nPICSELLIA_Acme_Inc_PROD_API_TOKEN=prod-token\n"
    )
    assert not (saved / "context.json").exists()
    again = cli("logout")
    assert (again.code, "no login is in use" in again.err) == (1, True)
    assert "Saved: Acme_Inc@PROD." in again.err


def test_logout_of_another_login_keeps_the_one_in_use(cli: Cli, two: Sandbox, saved: Path) -> None:
    assert cli("logout", "--organization", "Acme_Inc").code == 0
    assert "prod-token" not in (saved / ".env").read_text()
    assert cli("whoami").code == 0


def test_logout_of_everything(cli: Cli, two: Sandbox, saved: Path) -> None:
    assert cli("logout", "--all", "--env", "PROD").code == 2
    assert cli("logout", "--all").code == 0
    assert (saved / ".env").read_text() == f"PICSELLIA_CUSTOM_ENV={two.url}\n"
    assert not (saved / "context.json").exists()
    assert "no login is saved" in cli("logout", "--all").err
    assert "no login is saved" in cli("switch").err


def test_login_reports_a_new_address_for_all_logins_to_custom(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.mkdir(parents=True)
    (saved / ".env").write_text(
        "PICSELLIA_Acme_CUSTOM_API_TOKEN=one\nPICSELLIA_CUSTOM_ENV=https://old.example\n"
    )
    ended = log_in(cli, nobody, monkeypatch)
    assert ended.code == 0
    assert "all logins to CUSTOM now use " in ended.err
    assert "Acme@CUSTOM had another address" in ended.err
    assert log_in(cli, nobody, monkeypatch).err == "", "it is not another one any more"


def test_an_organization_with_a_blank_in_its_name(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.mkdir(parents=True)
    (saved / ".env").write_text("'PICSELLIA_Acme Inc_PROD_API_TOKEN'=one\n")
    assert cli("switch").code == 0
    assert "Logged out of Acme Inc@PROD." in cli("logout").out
    assert (saved / ".env").read_text() == ""


def test_prompts_show_their_defaults_and_reasons(cli: Cli, nobody: Sandbox, home: Path, saved: Path) -> None:
    environment = {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        "PICSELLIA_ORGANIZATION": nobody.organization,
    }
    with terminal("login", cwd=cli.folder, environment=environment) as user:
        user.expect("? Environment")
        user.expect("STAGING  https://staging.picsellia.com")
        user.expect("Enter for PROD, the usual one")
        user.answer("custm")
        user.expect("Error: 'custm' is not one of PROD, STAGING, LOCAL, CUSTOM.")
        user.answer("custom")
        user.expect("? Address  https://host[:port]")
        user.answer("sandbox")
        user.expect("must start with http:// or https://")
        user.answer(nobody.url)
        user.expect("? Organization")
        user.expect(f"Enter for {nobody.organization}, from PICSELLIA_ORGANIZATION")
        user.answer("")
        user.expect(f"? API token  of {nobody.organization}@CUSTOM")
        user.answer(nobody.token)
        user.expect("Logged in to")
        assert user.end() == 0
        assert nobody.token not in user.shown
    with (saved / ".env").open("a") as env:
        env.write("PICSELLIA_Acme_PROD_API_TOKEN=prod-token\n")
    del environment["PICSELLIA_ORGANIZATION"]
    with terminal("switch", cwd=cli.folder, environment=environment) as user:
        user.expect("1  Acme@PROD")
        user.expect(f"2  {nobody.organization}@CUSTOM")
        user.expect("Enter for 2, in use now")
        user.answer("1")
        user.expect("Now using Acme@PROD at https://app.picsellia.com.")
        assert user.end() == 0
    with terminal("logout", cwd=cli.folder, environment=environment) as user:
        user.expect("Logged out of Acme@PROD.")
        assert user.end() == 0


def test_only_the_value_that_is_refused_is_asked_for_again(
    cli: Cli, nobody: Sandbox, home: Path, saved: Path
) -> None:
    environment = {name: os.environ[name] for name in ("HOME", "PATH", "XDG_RUNTIME_DIR", "RECONCILER_STATE")}
    with terminal(
        *("login", "--env", "custom", "--organization", "nowhere"), cwd=cli.folder, environment=environment
    ) as user:
        user.expect("? Address")
        user.answer(f"{nobody.url}/elsewhere")
        user.expect("your API token is in your Personal Settings, tab Token")
        user.expect("? API token  of nowhere@CUSTOM")
        user.answer(nobody.token)
        user.expect("does not respond like a Picsellia platform")
        user.expect("? Address")
        user.expect("/elsewhere, as before")
        user.answer(nobody.url)
        user.expect("has no organization 'nowhere'")
        user.expect("? Organization")
        user.expect("Enter for nowhere, as before")
        user.answer(nobody.organization)
        user.expect("Logged in to")
        assert user.end() == 0
        assert user.shown.count("? API token") == 1
    (saved / ".env").unlink()
    options = ("--host", nobody.url, "--organization", nobody.organization)
    with terminal("login", *options, cwd=cli.folder, environment=environment) as user:
        user.expect("? API token")
        user.answer("wrong\u00e9-0123456789")
        user.expect("the API token in the answer cannot be sent")
        user.answer("wrong-0123456789")
        user.expect("does not accept this API token")
        user.expect(f"? API token  of {nobody.organization}@CUSTOM")
        user.answer(nobody.token)
        user.expect("Logged in to")
        assert user.end() == 0
        assert "? Organization" not in user.shown
        assert nobody.token not in user.shown


def test_two_logins_at_once_are_both_saved(
    cli: Cli, nobody: Sandbox, saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"org{number}" for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: files.save(Login(name, "PROD"), f"token-{name}"), names))
    assert [login.organization for login in files.logins()] == sorted(names)
