"""RECONCILER_STATE may be anything: no command ends with a traceback, and none takes something for state."""

from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NO_FILES = (".", "/", "./", "//", "..", "~", "sqlite:////", "sqlite:///.", "sqlite:///..", "/dev/null")
ODD = (
    *NO_FILES,
    *("sqlite:///", "sqlite:", "file:x", "nosuch://bucket", "s3://", "s3://b/..", "s3://b?x", "gs://:@/"),
    *("x" * 5000, "a/" * 3000 + "b", "~no-such-user/x", "/proc/self/mem", "/dev/zero"),
    *("a/..", "\udcff", "a\nb", "\x1b[31m", " ", "?"),  # the last five may be names of files
)
COMMANDS = {
    "validate": ("validate", "dataset_cleanup"),
    "plan": ("plan", "dataset_cleanup"),
    "apply": ("apply", "dataset_cleanup", "--yes"),
    "deploy": ("deploy", "dataset_cleanup", "--organization", "sandbox", "--yes"),
    "drift": ("drift", "--all"),
    "status": ("status", "--all"),
    "rollback": ("rollback", "dataset_cleanup", "--yes"),
    "destroy": ("destroy", "dataset_cleanup", "--yes"),
    "adopt": ("adopt", "dataset_cleanup", "--yes"),
    "image": ("image", "dataset_cleanup"),
    "contract": ("contract", "dataset_cleanup"),
    "graph": ("graph", "dataset_cleanup"),
    "list": ("list", "--stale"),
    "dashboard": ("dashboard", "--out", "site"),
    "state list": ("state", "list"),
    "state history": ("state", "history", "dataset_cleanup"),
    "whoami": ("whoami",),
}


@pytest.fixture
def pipeline(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example("dataset_cleanup", cli.folder, sandbox.registry)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_address_of_state_is_a_bug(
    command: str, cli: Cli, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in ODD:
        monkeypatch.setenv("RECONCILER_STATE", address)
        ended = cli(*COMMANDS[command])
        said = ended.out + ended.err
        assert "bug in reconciler" not in said and "Traceback" not in said, (address[:20], said)


@pytest.mark.parametrize("command", ["plan", "apply", "deploy", "state list", "state history"])
def test_what_is_no_file_contains_no_state(
    command: str, cli: Cli, sandbox: Sandbox, pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address in NO_FILES:
        monkeypatch.setenv("RECONCILER_STATE", address)
        ended = cli(*COMMANDS[command])
        assert (ended.code, "is not a file, so it cannot contain state" in ended.err) == (1, True), address
    assert sandbox.writes() == []
