"""A registry login in variables is for the registry that is pushed to. No command shows it to another one."""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.docker.registry.logins import login_beside, push_login
from providers.docker.registry.reference import parse_repository
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.docker.proxy import Answer, Proxy, proxy_to

APP = "dataset_cleanup"
ROOT = Path(__file__).parents[2]
COMMANDS = (
    ("plan", APP),
    ("plan", APP, "--bump", "patch"),
    ("drift", APP),
    ("status",),
    ("image", APP),
    ("image", APP, "--secrets"),
    ("image", APP, "--verify"),
    ("contract", APP, "1.0"),
    ("apply", APP, "--yes", "--bump", "patch"),
    ("plan", APP),
)


@pytest.fixture
def other(sandbox: Sandbox) -> Iterator[Proxy]:
    """Another registry with the images of the sandbox's."""
    with proxy_to(sandbox.registry) as proxy:
        yield proxy


def base_of_the_append_builder(cli: Cli, sandbox: Sandbox, other: Proxy) -> None:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    (folder / "Dockerfile").unlink()
    replace_in(folder / "config.toml", f"{sandbox.registry}/base", f"{other.address}/base")
    assert cli("apply", APP, "--yes").code == 0


def base_of_the_dockerfile(cli: Cli, sandbox: Sandbox, other: Proxy) -> None:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    (folder / "Dockerfile").write_text(f"FROM {other.address}/base/python:3.11\nCOPY . .\n")
    assert cli("apply", APP, "--yes").code == 0


def image_left_behind(cli: Cli, sandbox: Sandbox, other: Proxy) -> None:
    """The image moved from the other registry to this one, and is not applied yet."""
    folder = copy_example(APP, cli.folder, sandbox.registry)
    replace_in(folder / "config.toml", f"{sandbox.registry}/examples", f"{other.address}/examples")
    assert cli("apply", APP, "--yes").code == 0
    replace_in(folder / "config.toml", f"{other.address}/examples", f"{sandbox.registry}/moved")


def replace_in(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


@pytest.mark.parametrize("place", [base_of_the_append_builder, base_of_the_dockerfile, image_left_behind])
def test_no_command_sends_it_to_another_registry(
    place: Callable[[Cli, Sandbox, Proxy], None],
    cli: Cli,
    sandbox: Sandbox,
    other: Proxy,
    no_pauses: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place(cli, sandbox, other)
    monkeypatch.setenv("DOCKER_USERNAME", "robot")
    monkeypatch.setenv("DOCKER_PASSWORD", "password-for-the-push")
    challenge = {"WWW-Authenticate": 'Basic realm="another registry"'}
    other.answering = lambda method, path, body, who: None if who else Answer(401, headers=challenge)
    other.seen.clear()
    for command in COMMANDS:
        cli(*command)
        assert {seen.authorization for seen in other.seen} <= {""}, command
    assert other.seen, "no command reads it"


@pytest.mark.parametrize(
    ("repository", "pushed_to", "takes_variables"),
    [
        ("reg.io/a", "reg.io/a", True),
        ("reg.io/base", "reg.io:443/team/app", True),
        ("python", "user/app", True),
        ("python", "reg.io/app", False),
        ("reg.io/a", "reg.io:5000/a", False),
        ("localhost:5000/a", "127.0.0.1:5000/a", False),
        ("reg.io/a", "", False),
    ],
)
def test_the_registry_that_is_pushed_to(repository: str, pushed_to: str, takes_variables: bool) -> None:
    look_up = login_beside(parse_repository(repository), pushed_to)
    assert (look_up is push_login) is takes_variables


def test_every_client_says_which_login_it_uses() -> None:
    """A new client of a registry cannot take the login in variables by accident, or miss a stored one."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for package in ("providers/docker", "reconciler")
        for path in sorted((ROOT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and any(
            isinstance(part, ast.Name) and part.id == "RegistryClient" for part in (node.func, *node.args)
        )
        and "look_up" not in {keyword.arg for keyword in node.keywords}
    ]
    assert silent == []
