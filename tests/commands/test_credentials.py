"""The target comes from options, then variables, then the login of the official CLI."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.core.diagnostics import UserError
from reconciler.credentials.environment import Environment
from reconciler.credentials.target import Target, resolve
from tests.conftest import Cli, copy_example

TOKEN = "ecret-0123456789"


@pytest.fixture
def saved(home: Path) -> Path:
    """The official CLI's folder after a login to STAGING."""
    folder = home / ".config" / "picsellia"
    folder.mkdir(parents=True)
    (folder / "context.json").write_text(json.dumps({"organization": "saved-org", "env": "STAGING"}))
    (folder / ".env").write_text(
        "PICSELLIA_saved-org_STAGING_API_TOKEN=staging-token\n"
        "PICSELLIA_saved-org_CUSTOM_API_TOKEN='custom-token'\n"
        "PICSELLIA_CUSTOM_ENV=https://picsellia.example.com/\n"
    )
    return folder


def refused(organization: str | None = None, env: str | None = None, **variables: str) -> str:
    """The error of a target that cannot be resolved. It never contains a token."""
    with pytest.raises(UserError) as problem:
        resolve(organization, env, variables)
    (diagnostic,) = problem.value.diagnostics
    text = f"{diagnostic.summary}\n{diagnostic.detail}\n{diagnostic.place}"
    assert diagnostic.summary and diagnostic.detail, "it says what happened and what to do"
    assert TOKEN not in text
    return text


def test_the_login_of_the_official_cli_is_enough(saved: Path) -> None:
    target = resolve(None, None, {})
    assert target == Target(
        "saved-org",
        Environment("STAGING", "https://staging.picsellia.com"),
        "staging-token",
        str(saved / ".env"),
        organization_from=str(saved / "context.json"),
        environment_from=str(saved / "context.json"),
    )


def test_options_override_variables_and_variables_the_login(saved: Path) -> None:
    variables = {"PICSELLIA_ENV": "local", "PICSELLIA_ORGANIZATION": "other", "PICSELLIA_TOKEN": TOKEN}
    target = resolve(None, None, variables)
    assert (target.organization, target.environment.name) == ("other", "LOCAL")
    assert (target.host, target.token_from) == ("http://localhost:8000", "PICSELLIA_TOKEN")

    target = resolve("saved-org", "CUSTOM", {**variables, "PICSELLIA_TOKEN": ""})
    assert (target.organization, target.token) == ("saved-org", "custom-token")
    assert target.host == "https://picsellia.example.com"


def test_a_variable_named_as_in_the_file_is_a_token_too(home: Path) -> None:
    target = resolve("org", "PROD", {"PICSELLIA_org_PROD_API_TOKEN": TOKEN})
    assert (target.token, target.host) == (TOKEN, "https://app.picsellia.com")


def test_the_default_environment_is_prod(home: Path) -> None:
    assert resolve("org", None, {"PICSELLIA_TOKEN": TOKEN}).environment.name == "PROD"


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\r\n", f"  {TOKEN}"])
def test_the_end_of_a_line_is_not_part_of_a_token(home: Path, token: str) -> None:
    assert resolve("org", "PROD", {"PICSELLIA_TOKEN": token}).token == TOKEN


@pytest.mark.parametrize("token", [f"{TOKEN}\nX-Evil: 1", f"{TOKEN}é", f"\x1b{TOKEN}"])
def test_a_token_that_is_no_header_value_is_refused_and_not_shown(home: Path, token: str) -> None:
    assert "the API token in PICSELLIA_TOKEN cannot be sent" in refused("org", "PROD", PICSELLIA_TOKEN=token)


def test_a_token_is_hidden_in_every_representation(home: Path) -> None:
    assert TOKEN not in repr(resolve("org", "PROD", {"PICSELLIA_TOKEN": TOKEN}))


def test_no_organization_and_no_token(home: Path) -> None:
    assert "PICSELLIA_ORGANIZATION" in refused(None, "PROD", PICSELLIA_TOKEN=TOKEN)
    assert "no API token for org@PROD" in refused("org", "PROD")
    assert "reconciler login" in refused("org", "PROD", PICSELLIA_TOKEN="  \n")


def test_an_unknown_environment_is_reported_with_its_source(saved: Path) -> None:
    (saved / "context.json").write_text('{"organization": "saved-org", "env": "MOON"}')
    said = refused()
    assert "'MOON' is not an environment" in said
    assert str(saved / "context.json") in said
    assert "PROD, STAGING, LOCAL, CUSTOM" in said


@pytest.mark.parametrize(
    "address",
    [
        "picsellia.example.com",
        "ftp://x",
        "http://",
        "https:///path",
        "http://[",
        "http://x:99999",
        f"https://robot:{TOKEN}@x",
    ],
)
def test_an_invalid_address(home: Path, address: str) -> None:
    said = refused("org", "CUSTOM", PICSELLIA_TOKEN=TOKEN, PICSELLIA_CUSTOM_ENV=address)
    assert "PICSELLIA_CUSTOM_ENV is not the address of a platform" in said


def test_custom_without_an_address(home: Path) -> None:
    assert "PICSELLIA_CUSTOM_ENV=" in refused("org", "CUSTOM", PICSELLIA_TOKEN=TOKEN)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"nonsense"])
def test_a_broken_context_does_not_silently_mean_prod(saved: Path, content: bytes) -> None:
    (saved / "context.json").write_bytes(content)
    assert str(saved / "context.json") in refused("saved-org", PICSELLIA_TOKEN=TOKEN)
    assert resolve("saved-org", "STAGING", {}).token == "staging-token", "nothing of it is needed here"


@pytest.mark.parametrize("content", [b"[]", b'"text"', b"null", b'{"organization": 3, "env": null}'])
def test_a_context_of_another_form_is_ignored(saved: Path, content: bytes) -> None:
    (saved / "context.json").write_bytes(content)
    assert resolve("org", None, {"PICSELLIA_TOKEN": TOKEN}).environment.name == "PROD"


def test_a_binary_credentials_file(saved: Path) -> None:
    (saved / ".env").write_bytes(b"PICSELLIA_saved-org_STAGING_API_TOKEN=\xff" + TOKEN.encode())
    assert str(saved / ".env") in refused()


def test_files_are_read_and_not_changed(saved: Path) -> None:
    before = {path: path.read_bytes() for path in saved.iterdir()}
    resolve(None, None, {})
    assert {path: path.read_bytes() for path in saved.iterdir()} == before


def in_a_variable_of_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[str, str]:
    monkeypatch.setenv("LIVE_TOKEN", TOKEN)
    return f"LIVE_TOKEN, named in {cli.folder / 'reconciler.toml'}", "set LIVE_TOKEN to a valid token"


def in_the_usual_variable(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[str, str]:
    monkeypatch.delenv("LIVE_TOKEN")
    monkeypatch.setenv("PICSELLIA_TOKEN", TOKEN)
    return "PICSELLIA_TOKEN", "set PICSELLIA_TOKEN to a valid token"


def before_a_variable_of_the_file(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[str, str]:
    """Such as one that is left from another sandbox."""
    monkeypatch.setenv("PICSELLIA_TOKEN", TOKEN)
    named = f"LIVE_TOKEN, named in {cli.folder / 'reconciler.toml'}"
    return "PICSELLIA_TOKEN", f"unset PICSELLIA_TOKEN, which comes before {named}"


def in_the_variable_of_a_login(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[str, str]:
    name = "PICSELLIA_my-org_LIVE_API_TOKEN"
    monkeypatch.setenv(name, TOKEN)
    return name, f"set {name} to a valid token"


def in_a_saved_login(cli: Cli, monkeypatch: pytest.MonkeyPatch, home: Path) -> tuple[str, str]:
    monkeypatch.delenv("LIVE_TOKEN")
    file = home / ".config" / "picsellia" / ".env"
    file.parent.mkdir(parents=True)
    declared = tomllib.loads((cli.folder / "reconciler.toml").read_text())
    address = declared["environments"]["LIVE"]["host"]
    file.write_text(f"PICSELLIA_my-org_LIVE_API_TOKEN={TOKEN}\nPICSELLIA_LIVE_ENV={address}\n")
    return str(file), "log in again: reconciler login --organization my-org --env LIVE"


ORIGINS = (
    *(in_a_variable_of_the_file, in_the_usual_variable, before_a_variable_of_the_file),
    *(in_the_variable_of_a_login, in_a_saved_login),
)


@pytest.mark.parametrize("origin", ORIGINS)
def test_advice_about_a_token_names_its_place(
    origin: Callable[[Cli, pytest.MonkeyPatch, Path], tuple[str, str]],
    cli: Cli,
    environments: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    home: Path,
) -> None:
    copy_example("dataset_cleanup", cli.folder, environments.registry)
    place, advice = origin(cli, monkeypatch, home)

    ended = cli("plan", "dataset_cleanup", "--env", "LIVE")

    assert ended.code == 1
    assert f"does not accept this API token (from {place}" in ended.err
    assert advice in ended.err
    assert TOKEN not in ended.err
    others = {"LIVE_TOKEN", "PICSELLIA_TOKEN"} - {place.split(",")[0]}
    assert not any(f"set {other}" in ended.err for other in others)


@pytest.mark.parametrize(
    "name", ["me:hunter2@my-org", "https://hunter2.example.com/my-org", "x://me:hunter2@y"]
)
def test_an_organization_that_is_a_login_or_an_address_is_refused_without_repeating_it(
    name: str, saved: Path
) -> None:
    variables = {"PICSELLIA_ENV": "LOCAL", "PICSELLIA_TOKEN": TOKEN, "PICSELLIA_ORGANIZATION": name}
    for option, source in ((None, "PICSELLIA_ORGANIZATION"), (name, "--organization")):
        with pytest.raises(UserError) as caught:
            resolve(option, None, variables)
        (problem,) = caught.value.diagnostics
        assert problem.summary == f"{source} has no name of an organization"
        assert "hunter2" not in f"{problem.summary} {problem.detail}"
        assert "Write the name that the platform shows" in problem.detail


@pytest.mark.parametrize("name", ["caf\udce9", "\ud800", "a\udfffb"])
def test_an_organization_that_is_no_text_is_refused_wherever_it_comes_from(name: str, saved: Path) -> None:
    """A variable or an argument has bytes, and JSON has halves of surrogate pairs."""
    context = json.dumps({"organization": name, "env": "CUSTOM"})
    (saved / "context.json").write_text(context)
    variables = {"PICSELLIA_ENV": "LOCAL", "PICSELLIA_TOKEN": TOKEN}
    given = [(name, variables), (None, {**variables, "PICSELLIA_ORGANIZATION": name}), (None, variables)]
    for option, known in given:
        with pytest.raises(UserError, match="has no name of an organization"):
            resolve(option, None, known)
