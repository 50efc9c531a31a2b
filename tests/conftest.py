"""What all tests share: a home of their own, a sandbox, the command line, and no silent gaps in CI."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, settings

from providers.docker.registry.logins import PASSWORDS, USERNAMES
from providers.sandbox import TOKEN, Environment, Sandbox, Settings
from reconciler.cli import run
from tests.leaks import leaked
from tests.schemas import check_outputs, written

pytest_plugins = ["tests.services", "tests.official.installed", "tests.state.servers"]

EXAMPLES = Path(__file__).parents[1] / "examples"
IN_CI = os.environ.get("CI") == "true"

# A slow machine is no reason to fail; in CI that is so already, where the examples are the same every time.
settings.register_profile("untimed", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Under CI=true a test that is left out has failed: a green run means that everything ran."""
    outcome = yield
    report = outcome.get_result()
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"left out, which CI does not allow: {report.longrepr}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One Docker Engine on this machine is enough, so all that need it go to one of pytest's processes."""
    for item in items:
        if {"docker_engine", "attesting_engine"}.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("engine"))


CASES: Counter[str] = Counter()
"""How many cases of each sweep ran: told at the end, as one test may stand for thousands."""


def pytest_sessionfinish(session: pytest.Session) -> None:
    told = getattr(session.config, "workeroutput", None)
    if told is not None:
        told["cases"] = dict(CASES)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    CASES.update(node.workeroutput.get("cases", {}))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if CASES:
        terminalreporter.section("cases")
        for what, count in sorted(CASES.items()):
            terminalreporter.write_line(f"{count:>6} {what}")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write what the stories' commands print into them")


@dataclass
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


class Cli:
    """The command line in this process, as a user at `folder` with a sandbox would use it."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.checks_documents = True
        self._capture = capture

    def __call__(self, *arguments: str) -> Ended:
        self._capture.readouterr()
        earlier = written(arguments)
        with patch.object(sys, "argv", ["reconciler", *arguments]):  # as the history tells it
            code = run(arguments)
        printed = self._capture.readouterr()
        assert TOKEN not in printed.out + printed.err, f"{arguments} prints the token"
        if self.checks_documents:
            check_outputs([printed.out, *(text for text in written(arguments) if text not in earlier)])
        return Ended(code, printed.out, printed.err)


@pytest.fixture
def home(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who has nothing: an empty home, no credentials, no state, no variables of ours."""
    for name in list(os.environ):
        if (
            name.startswith(("PICSELLIA_", "RECONCILER_", "DOCKER_CONFIG", *USERNAMES, *PASSWORDS))
            and name != "RECONCILER_OFFICIAL_PYTHON"
        ):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "state.db"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("runtime")))
    return folder


@pytest.fixture(scope="session")
def one_sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(
    one_sandbox: Sandbox, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Sandbox]:
    """A fresh platform and registry, and a user who is signed in to it; whose token is nowhere afterwards."""
    one_sandbox.reset()
    one_sandbox.clear_requests()
    monkeypatch.setenv("PICSELLIA_TOKEN", one_sandbox.token)
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", one_sandbox.organization)
    monkeypatch.setenv("PICSELLIA_ENV", "CUSTOM")
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", one_sandbox.url)
    yield one_sandbox
    assert leaked(tmp_path, one_sandbox.token) == []


@pytest.fixture(scope="session")
def one_sandbox_with_environments() -> Iterator[Sandbox]:
    environments = (Environment("TEST", ("my-test-org",)), Environment("LIVE", ("my-org",)))
    with Sandbox(Settings(environments=environments)) as sandbox:
        yield sandbox


@pytest.fixture
def environments(
    one_sandbox_with_environments: Sandbox,
    home: Path,
    workplace: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Sandbox]:
    """Two fresh platforms beside one registry, TEST and LIVE, and a user with a reconciler.toml for both."""
    sandbox = one_sandbox_with_environments
    sandbox.reset()
    sandbox.clear_requests()
    tables = []
    for name in ("TEST", "LIVE"):
        account = sandbox.account(name)
        monkeypatch.setenv(f"{name}_TOKEN", account.token)
        tables.append(
            f'[environments.{name}]\nhost = "{account.url}"\norganization = "{account.organization}"\n'
            f'channel = "{name.lower()}"\ntoken = "{name}_TOKEN"\n'
        )
    (workplace / "reconciler.toml").write_text("\n".join(tables))
    yield sandbox
    for name in ("TEST", "LIVE"):
        assert leaked(tmp_path, sandbox.account(name).token) == []


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the user is in, with pipelines in it."""
    folder = tmp_path / "pipelines"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cli(home: Path, workplace: Path, capsys: pytest.CaptureFixture[str]) -> Cli:
    """A user whose home is empty, so that no command of a test can write where another reads."""
    return Cli(workplace, capsys)


def stack_of(name: str) -> str:
    """The stack of a pipeline on the sandbox that the user is signed in to, as messages write it.

    That of an example that trains is named by its image.
    """
    sandbox = urlsplit(os.environ["PICSELLIA_CUSTOM_ENV"])
    if name.endswith("_training"):
        name = f"localhost:{sandbox.port}/examples/{name}"
    return f"sandbox@{sandbox.netloc}/{name}"


def copy_example(name: str, folder: Path, registry: str) -> Path:
    """An example pipeline, at this registry instead of the one at port 8000."""
    target = folder / name
    shutil.copytree(EXAMPLES / name, target)
    config = target / "config.toml"
    config.write_text(config.read_text().replace("localhost:8000", registry))
    return target


def training(target: Path, model: str, registry: str) -> Path:
    """A training called `training`, as several may be, with an image and a model version of its own."""
    shutil.copytree(EXAMPLES / "single_training", target)
    config = target / "config.toml"
    text = config.read_text().replace("localhost:8000", registry)
    for before, after in (
        ('name = "single_training"', 'name = "training"'),
        ("examples/single_training", f"team/training-{model}"),
        ("DefectClassifier", model),
    ):
        assert before in text
        text = text.replace(before, after)
    config.write_text(text)
    return target
