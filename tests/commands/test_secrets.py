"""No output, log, plan, state or file contains a token or a password.

The token and the registry's password are unique texts. The tests run every kind of command with them, also
failing ones, and then search everything that the commands left behind.
"""

import base64
import json
import logging
import os
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from providers.sandbox import Sandbox, Settings
from tests.commands.untouched import snapshot
from tests.conftest import Cli, copy_example
from tests.leaks import cells
from tests.services import Registry, free_port

NAME = "dataset_cleanup"
TOKEN = "marked-token-7f3a9c"
READ_ONLY = "marked-reader-51bd02"
WRONG = "marked-stranger-e64411"
WRONG_PASSWORD = "marked-pässword-90aa17"


def forms(secret: str) -> set[bytes]:
    """The possible forms of a secret: text, JSON, part of an address, base64."""
    text = {secret, json.dumps(secret)[1:-1], quote(secret), quote(secret, safe=""), repr(secret)[1:-1]}
    encoded = {form.encode() for form in text} | {secret.encode("latin-1", "replace")}
    return encoded | {base64.b64encode(secret.encode()).rstrip(b"=")}


class Watched:
    """Runs commands and keeps their output. `found` searches it and all files."""

    def __init__(self, cli: Cli, everything: Path, caplog: pytest.LogCaptureFixture, *secrets: str) -> None:
        self._cli = cli
        self._everything = everything
        self._caplog = caplog
        self._forms = {form for secret in secrets for form in forms(secret)}
        self.said: list[tuple[str, str]] = []
        self._own: list[str] = []

    def __call__(self, *arguments: str, code: int = 0) -> str:
        assert self.any(*arguments) == code, f"{arguments}: {self.said[-1][1]}"
        return self.said[-1][1]

    def any(self, *arguments: str) -> int:
        """Run a command that may end in any way. Returns its exit code."""
        ended = self._cli(*arguments)
        self.said.append((" ".join(arguments), ended.out + ended.err))
        return ended.code

    def forget_files(self, place: Path) -> None:
        """Search these files no more: the user wrote the secret into them."""
        self._own.append(place.relative_to(self._everything).as_posix())

    def found(self) -> list[str]:
        """The places where a secret was found."""
        places = [(f"output of {command}", text.encode()) for command, text in self.said]
        places += [(f"log of {r.name}", r.getMessage().encode()) for r in self._caplog.records]
        places += [
            (f"file {name}", content)
            for name, (_, content) in snapshot(self._everything).items()
            if not any(name == own or name.startswith(f"{own}/") for own in self._own)
        ]
        places += [("record", row) for row in cells(self._everything / "state.db")]
        return [where for where, content in places if any(form in content for form in self._forms)]


@pytest.fixture
def marked(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A platform with unique tokens, and a user who is signed in."""
    with Sandbox(Settings(tokens={TOKEN: "read-write", READ_ONLY: "read-only"})) as sandbox:
        monkeypatch.setenv("PICSELLIA_TOKEN", TOKEN)
        monkeypatch.setenv("PICSELLIA_ORGANIZATION", sandbox.organization)
        monkeypatch.setenv("PICSELLIA_ENV", "CUSTOM")
        monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", sandbox.url)
        yield sandbox


@pytest.fixture
def log_in(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Registry, str], None]:
    """Save a registry login as `docker login` does, in a folder that is not searched."""
    folder = tmp_path_factory.mktemp("docker")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))

    def log_in(registry: Registry, password: str) -> None:
        login = base64.b64encode(f"{registry.username}:{password}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {registry.address: {"auth": login}}}))

    return log_in


@pytest.fixture
def run(
    cli: Cli,
    tmp_path: Path,
    marked: Sandbox,
    secured_registry: Registry,
    log_in: Callable[[Registry, str], None],
    caplog: pytest.LogCaptureFixture,
) -> Watched:
    """A pipeline with an image in a registry that needs a password."""
    caplog.set_level(logging.DEBUG)
    folder = copy_example(NAME, cli.folder, marked.registry)
    config = folder / "config.toml"
    image = f'image_name = "{secured_registry.address}/{tmp_path.name}/app"'
    config.write_text(
        config.read_text().replace(f'image_name = "{marked.registry}/examples/dataset_cleanup"', image)
    )
    assert image in config.read_text()
    log_in(secured_registry, secured_registry.password)
    password = secured_registry.password
    logins = [f"{secured_registry.username}:{word}" for word in (password, WRONG_PASSWORD)]
    return Watched(cli, tmp_path, caplog, TOKEN, READ_ONLY, WRONG, password, WRONG_PASSWORD, *logins)


@pytest.mark.registry
def test_no_command_leaks_a_secret(run: Watched, marked: Sandbox, workplace: Path) -> None:
    run("validate", NAME)
    assert "PICSELLIA_TOKEN" in run("whoami"), "it says where the token is from"
    run("whoami", "--json")
    run("plan", NAME)
    (workplace / "plan.json").write_text(run("plan", NAME, "--json"))
    run("plan", NAME, "--out", "kept.plan")
    run("show", "kept.plan")
    run("apply", "--plan", "kept.plan")
    run("plan", NAME, "--exit-code")
    marked.platform.edit_processing(NAME, description="drifted", default_cpu=9)
    run("plan", NAME, "--exit-code", code=11)
    run("apply", NAME, "--bump", "patch", "--yes")
    (workplace / "after.json").write_text(run("plan", NAME, "--json"))

    recorded = cells(workplace.parent / "state.db")
    assert any(b"processing/" in cell for cell in recorded), "the search reads the record"
    assert len(run.said) == 12
    assert (workplace / "kept.plan").exists(), "it is searched, too"
    assert run.found() == []


@pytest.mark.registry
def test_no_failure_leaks_a_secret(
    run: Watched,
    marked: Sandbox,
    workplace: Path,
    secured_registry: Registry,
    log_in: Callable[[Registry, str], None],
    monkeypatch: pytest.MonkeyPatch,
    no_pauses: None,
) -> None:
    marked.fail("POST", "/inputs$", 500)
    assert "failed with 500" in run("apply", NAME, "--parallel", "1", code=1)
    run("apply", NAME)

    monkeypatch.setenv("PICSELLIA_TOKEN", WRONG)
    for command in (["plan", NAME], ["apply", NAME], ["whoami"]):
        assert "does not accept this API token" in run(*command, code=1)
    monkeypatch.setenv("PICSELLIA_TOKEN", READ_ONLY)
    marked.platform.edit_processing(NAME, description="drifted")
    assert "may only read" in run("apply", NAME, code=1)
    monkeypatch.setenv("PICSELLIA_TOKEN", f"{TOKEN}\nX: 1")
    assert "cannot be sent" in run("whoami", code=1)
    monkeypatch.setenv("PICSELLIA_TOKEN", TOKEN)

    log_in(secured_registry, WRONG_PASSWORD)
    assert "does not accept the login of robot" in run("plan", NAME, code=1)
    run("apply", NAME, code=1)
    log_in(secured_registry, secured_registry.password)

    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://robot:{TOKEN}@127.0.0.1:{free_port()}")
    run("plan", NAME, code=1)
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached" in run("plan", NAME, code=1)
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", marked.url)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug of ours")

    monkeypatch.setattr("reconciler.engine.refresh.read", broken)
    assert "Traceback" in run("plan", NAME, code=1), "the report of a bug shows where it is, and no value"
    assert run.found() == []


HELPER_PASSWORD = "marked-helper-word-77c0de"
_ANSWER = json.dumps({"ServerURL": "x", "Username": "robot", "Secret": HELPER_PASSWORD})
_FILES = (
    *("--json", "run.json", "--junit", "run.xml", "--html", "run.html", "--markdown", "run.md"),
    *("--events", "run.ndjson"),
)


@pytest.mark.parametrize(
    "script",
    [
        f"echo '{_ANSWER}'; exit 1",
        f"echo '{_ANSWER}' >&2; echo '{_ANSWER}'; exit 2",
        f"echo '{_ANSWER}'; echo '{_ANSWER}'",
        f"printf '%s' '{_ANSWER[:-2]}'",
    ],
    ids=["a non-zero end", "both outputs", "two answers", "half an answer"],
)
def test_no_output_shows_what_a_credential_helper_prints(
    script: str,
    cli: Cli,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    marked: Sandbox,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A wrapper that prints the login and then fails: its output is no error message."""
    caplog.set_level(logging.DEBUG)
    copy_example(NAME, cli.folder, marked.registry)
    run = Watched(cli, tmp_path, caplog, HELPER_PASSWORD)
    run("apply", NAME, "--yes")
    marked.switch(registry_auth=True)
    programs = tmp_path_factory.mktemp("helper")
    (programs / "docker-credential-odd").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "docker-credential-odd").chmod(0o755)
    (programs / "config.json").write_text('{"credsStore": "odd"}')
    monkeypatch.setenv("DOCKER_CONFIG", str(programs))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    for command in (
        ["plan", NAME],
        ["plan", NAME, "--json"],
        ["plan", NAME, "--out", "kept.plan", "--html", "plan.html", "--markdown", "plan.md"],
        ["apply", NAME, "--yes", *_FILES],
        ["drift", NAME, *_FILES[:-2]],
        ["status", NAME],
        ["status", NAME, "--json"],
        ["image", NAME],
        ["rollback", NAME, "--yes"],
        ["adopt", NAME],
        ["dashboard", "--out", "pages"],
        ["state", "history", NAME],
        ["destroy", NAME, "--yes"],
    ):
        run.any(*command)
    assert sum("docker-credential-odd does not work" in text for _, text in run.said) > 4
    assert run.found() == []


@pytest.mark.registry
def test_a_class_gets_no_secret(run: Watched, workplace: Path) -> None:
    (workplace / NAME / "utils" / "inputs.py").write_text(
        "import os, sys\n"
        "class ProcessingInputs:\n"
        "    def __init__(self):\n"
        "        with open('told.txt', 'w') as file:\n"
        "            file.write(repr(dict(os.environ)) + repr(sys.argv))\n"
        "        raise ValueError(repr(dict(os.environ)))\n"
    )
    assert "ValueError" in run("validate", NAME, code=1)
    assert "PATH" in next(workplace.rglob("told.txt")).read_text(), "it was run"
    run("plan", NAME, code=1)
    (workplace.parent / "state.db").unlink(missing_ok=True)
    assert run.found() == []


def test_the_search_finds_a_secret_in_each_place(
    tmp_path: Path, cli: Cli, caplog: pytest.LogCaptureFixture
) -> None:
    """A secret in any place is found, so the tests above cannot pass vacuously."""
    caplog.set_level(logging.DEBUG)
    watched = Watched(cli, tmp_path, caplog, TOKEN)
    watched.said.append(("plan", f"Bearer {TOKEN}"))
    logging.getLogger("some.library").debug("sending %s", TOKEN)
    (tmp_path / "report.json").write_bytes(b"x" + base64.b64encode(TOKEN.encode()))
    with closing(sqlite3.connect(tmp_path / "state.db")) as database:
        database.execute("CREATE TABLE contents (body BLOB)")
        database.execute("INSERT INTO contents VALUES (?)", (zlib.compress(TOKEN.encode()),))
        database.commit()
    assert watched.found() == ["output of plan", "log of some.library", "file report.json", "record"]
