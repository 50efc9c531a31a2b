"""A login in variables, as for `pxl-pipeline deploy`: it is only used for the push registry."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.docker.builders.append import AppendBuilder
from providers.docker.builders.select import BuilderName, select
from providers.docker.registry import logins
from providers.docker.registry.auth import Login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.logins import (
    PASSWORDS,
    USERNAMES,
    docker_config,
    environment_login,
    push_auth_config,
    push_login,
)
from providers.docker.source.key import ImageSource
from providers.errors import PermanentError, UnauthorizedError
from providers.protocol import silent
from tests.docker.conftest import publish
from tests.services import Registry

NEEDED = {
    "engine": ["engine"],
    "buildkit": ["engine", "use_old_docker"],
    "buildx": ["engine", "use_buildx"],
}
EMPTY_STORE = """#!/bin/sh
test $1 = list && echo {} && exit
echo credentials not found in native keychain
exit 1
"""
ONE_LOGIN = """#!/bin/sh
read server
test "$server" = REG.io:443 || { echo credentials not found in native keychain; exit 1; }
echo '{"ServerURL": "REG.io:443", "Username": "<token>", "Secret": "of the store"}'
"""


@pytest.fixture
def given(secured_registry: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A registry with its login in variables, as in a CI job."""
    monkeypatch.setenv("DOCKER_USERNAME", secured_registry.username)
    monkeypatch.setenv("DOCKER_PASSWORD", secured_registry.password)
    return secured_registry


@pytest.mark.parametrize(
    ("variables", "login"),
    [
        ({"DOCKER_USERNAME": "a", "DOCKER_PASSWORD": "b"}, ("a", "b", "DOCKER_USERNAME")),
        ({"DOCKER_USERNAME": "a", "DOCKER_TOKEN": "c"}, ("a", "c", "DOCKER_USERNAME")),
        ({"DOCKERHUB_USERNAME": "h", "DOCKERHUB_TOKEN": "t"}, ("h", "t", "DOCKERHUB_USERNAME")),
        (
            dict(zip((*USERNAMES, *PASSWORDS), "hatbc", strict=True)),
            ("h", "t", "DOCKERHUB_USERNAME"),
        ),
        (
            {"DOCKERHUB_USERNAME": "", "DOCKER_USERNAME": "a", "DOCKER_TOKEN": "c"},
            ("a", "c", "DOCKER_USERNAME"),
        ),
        ({"DOCKER_USERNAME": "a"}, None),
        ({"DOCKER_PASSWORD": "b", "DOCKER_USERNAME": ""}, None),
    ],
)
def test_the_variables_of_the_official_cli(
    variables: dict[str, str], login: tuple[str, str, str] | None
) -> None:
    found = environment_login(variables)
    assert (found and (found.username, found.password, found.origin)) == login
    assert login is None or f"'{login[1]}'" not in repr(found)


def test_a_stored_login_comes_first(log_in: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_USERNAME", "given")
    monkeypatch.setenv("DOCKER_PASSWORD", "secret")
    log_in("reg.io", "stored", "own")
    assert push_login("reg.io") == Login("stored", "own")
    assert push_auth_config("reg.io")["username"] == "stored"
    with docker_config("reg.io") as variables:
        assert variables == {}
    assert push_login("other.io") == Login("given", "secret", origin="DOCKER_USERNAME")


NAMES = ["reg.io", "REG.io", "reg.io:443", "Reg.io:443", "https://REG.io/v1/", "http://reg.io:443"]


@pytest.mark.parametrize("name", NAMES)
def test_a_login_under_any_name_of_the_registry_is_found(
    log_in: Callable[..., None],
    docker_config_of: Callable[[str], dict[str, Any]],
    docker_config: Path,
    name: str,
) -> None:
    """Docker itself takes schemes and paths off its keys, and nothing else."""
    log_in("reg.io:80", "somebody", "else")
    log_in(name, "stored", "own")
    assert push_login("reg.io") == Login("stored", "own")
    assert push_login("reg.io.org") is None
    (docker_config / "contexts").mkdir()
    with logins.docker_config("reg.io") as variables:
        finds_it = variables == {}
    assert finds_it == (name == "reg.io")
    if not finds_it:
        assert docker_config_of("reg.io")["auths"]["reg.io"] == {"auth": "c3RvcmVkOm93bg=="}


def test_a_login_in_a_store_under_another_name_is_found(
    docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "bin" / "docker-credential-one"
    helper.parent.mkdir()
    helper.write_text(ONE_LOGIN)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}{os.pathsep}{os.environ['PATH']}")
    for config in (
        {"credsStore": "one", "auths": {"REG.io:443": {}}},
        {"credHelpers": {"REG.io:443": "one"}},
    ):
        (docker_config / "config.json").write_text(json.dumps(config))
        assert push_login("reg.io") == Login("<token>", identity_token="of the store")


def test_the_docker_command_gets_the_login_in_a_folder_of_its_own(
    docker_config_of: Callable[[str], dict[str, Any]], docker_config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_USERNAME", "given")
    monkeypatch.setenv("DOCKER_PASSWORD", "secret")
    (docker_config / "contexts").mkdir()
    before = {"auths": {"a.io": {"auth": "eDp5"}}, "currentContext": "far"}
    (docker_config / "config.json").write_text(json.dumps(before))

    assert docker_config_of("docker.io") == {
        "auths": {"a.io": {"auth": "eDp5"}, "https://index.docker.io/v1/": {"auth": "Z2l2ZW46c2VjcmV0"}},
        "credHelpers": {"https://index.docker.io/v1/": ""},
        "currentContext": "far",
    }
    assert json.loads((docker_config / "config.json").read_text()) == before, "nothing is stored"


def test_a_malformed_config_json_is_a_user_error(
    docker_config: Path, docker_config_of: Callable[[str], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_USERNAME", "given")
    monkeypatch.setenv("DOCKER_PASSWORD", "secret")
    (docker_config / "contexts").mkdir()
    (docker_config / "config.json").write_text('{"auths": null, "credHelpers": null}')
    assert docker_config_of("a.io")["credHelpers"] == {"a.io": ""}
    (docker_config / "config.json").write_text("[]")
    with pytest.raises(PermanentError, match=r"config\.json cannot be read: it is not a JSON object"):
        push_login("a.io")


@pytest.fixture
def docker_config_of() -> Callable[[str], dict[str, Any]]:
    """The Docker configuration of a command that pushes to this registry. Only this user can read it."""

    def read(registry: str) -> dict[str, Any]:
        with docker_config(registry) as variables:
            folder = Path(variables["DOCKER_CONFIG"])
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            assert (folder / "contexts").is_dir()
            config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        assert not folder.exists()
        return config

    return read


@pytest.mark.docker
@pytest.mark.registry
@pytest.mark.parametrize("name", ["engine", "buildkit", "buildx"])
@pytest.mark.parametrize("store", ["no store", "a store"])
def test_a_login_in_variables_pushes_and_reads_a_base_of_the_same_registry(
    name: BuilderName,
    store: str,
    given: Registry,
    folder: Path,
    tmp_path: Path,
    docker_config: Path,
    push_base: Callable[..., str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for needed in NEEDED[name]:
        request.getfixturevalue(needed)
    if store == "a store":  # of a desktop, without a login for this registry
        helper = tmp_path / "bin" / "docker-credential-empty"
        helper.parent.mkdir()
        helper.write_text(EMPTY_STORE)
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{helper.parent}{os.pathsep}{os.environ['PATH']}")
        (docker_config / "config.json").write_text('{"credsStore": "empty"}')
    base = push_base(given, f"{name}/{tmp_path.name}/base")
    (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY pipeline.py /\n")
    repository = f"{given.address}/{name}/{tmp_path.name}/given"
    source = ImageSource(folder=folder, pushed_to=repository)
    digest = publish(select(name, source), source, repository)
    with RegistryClient(repository, look_up=push_login) as client:
        assert client.digest("1.0.0") == digest


@pytest.mark.registry
def test_append_uses_a_login_in_variables_only_at_the_push_registry(
    given: Registry, registry: Registry, folder: Path, push_base: Callable[..., str]
) -> None:
    base = push_base(given, "logins/base")
    inside, outside = f"{given.address}/logins/app", f"{registry.address}/logins/app"
    for repository in (inside, outside):
        source = ImageSource(folder=folder, base=base, pushed_to=repository)
        builder = AppendBuilder(source, "asked for")
        if repository == inside:
            builder.check()
            assert builder.publish(source, repository, "1.0.0", {}, silent).startswith("sha256:")
        else:
            with pytest.raises(
                UnauthorizedError, match=r"requires a login for reading .*, and none is stored"
            ) as caught:
                builder.check()
            assert "DOCKER_USERNAME" not in caught.value.hint, "it would not be used there"


@pytest.mark.registry
def test_a_wrong_login_in_variables_is_named(given: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_PASSWORD", "wrong-secret")
    with (
        RegistryClient(f"{given.address}/a/b", look_up=push_login) as client,
        pytest.raises(UnauthorizedError) as caught,
    ):
        client.check()
    assert "does not accept the login of robot (DOCKER_USERNAME)" in str(caught.value)
    assert caught.value.hint.startswith("correct DOCKER_USERNAME and the variable of its password")
    assert "wrong-secret" not in str(caught.value) + caught.value.hint


@pytest.mark.registry
@pytest.mark.parametrize("variable", ["DOCKER_USERNAME", "DOCKER_PASSWORD"])
@pytest.mark.parametrize("value", ["p\udce4ssword", "\udcff", "\ud800"])
def test_a_login_with_bytes_that_are_no_text_is_an_error_of_the_user(
    given: Registry, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {"DOCKER_USERNAME": given.username, "DOCKER_PASSWORD": given.password, variable: value}
    login = Login(known["DOCKER_USERNAME"], known["DOCKER_PASSWORD"], origin="DOCKER_USERNAME")
    client = RegistryClient(f"{given.address}/a/b", look_up=lambda _: login)
    with client, pytest.raises((UnauthorizedError, PermanentError)):
        client.check()


@pytest.mark.registry
def test_a_name_without_a_project_gets_a_suggestion(
    secured_registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_USERNAME", "robot")
    monkeypatch.setenv("DOCKER_PASSWORD", "wrong-secret")
    for path, told in (("app", True), ("team/app", False)):
        client = RegistryClient(f"{secured_registry.address}/{path}", look_up=push_login)
        with client, pytest.raises(UnauthorizedError) as caught:
            client.check()
        hint = f"many registries require a project in the name: {secured_registry.address}/project/app"
        assert (hint in caught.value.hint) is told
