"""With read-only state, reads work and writes are refused at the start."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.system.files import locked
from tests.commands.untouched import snapshot
from tests.conftest import Cli, copy_example, stack_of
from tests.readonly import read_only

APP = "dataset_cleanup"
READERS = (
    ("plan", APP, "--exit-code"),
    ("drift", APP),
    ("status", APP),
    ("image", APP),
    ("adopt", APP),
    ("whoami",),
    ("state", "list"),
    ("state", "show", APP),
    ("state", "history", APP),
    ("state", "diff", APP, "1", "2"),
    ("state", "verify", APP),
)
WRITERS = (
    ("apply", APP, "--yes"),
    ("deploy", APP, "--yes", "--organization", "sandbox"),
    ("rollback", APP, "--yes"),
    ("destroy", APP, "--yes"),
    ("state", "forget", APP, "processing/dataset_cleanup", "--yes"),
)
KILLED = """
import os, sys
from pathlib import Path
from state.stores.sqlite import SqliteStore
store = SqliteStore(Path(sys.argv[1]))
record = store.load(sys.argv[2])
store.save(record.written(serial=record.serial, by="killed", at=record.written_at),
           expected_serial=record.serial, lock=None)
os._exit(0)
"""


@pytest.fixture
def state(cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state file of an applied pipeline, in its own folder."""
    path = tmp_path / "kept" / "state.db"
    monkeypatch.setenv("RECONCILER_STATE", str(path))
    folder = copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    with (folder / "pipeline.py").open("a") as file:
        file.write("# the second version\n")
    assert cli("apply", APP, "--yes", "--bump", "minor").code == 0
    sandbox.clear_requests()
    return path


def check_reads_and_refuses(cli: Cli, sandbox: Sandbox, state: Path, tmp_path: Path) -> None:
    before = snapshot(state.parent)
    with read_only(state.parent):
        for command in READERS:
            ended = cli(*command)
            assert ended.code == 0, f"{command}\n{ended.out}{ended.err}"
        assert stack_of(APP) in cli("state", "list").out
        for command in WRITERS:
            ended = cli(*command)
            assert ended.code == 1, f"{command}\n{ended.out}{ended.err}"
            assert "cannot be written" in ended.err, ended.err
            assert "RECONCILER_STATE" in ended.err
        elsewhere = str(tmp_path / "elsewhere.db")
        assert cli("state", "copy", str(state), elsewhere).code == 0
    assert sandbox.writes() == []
    assert snapshot(state.parent) == before


def test_reads_work_and_writes_are_refused(state: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
    check_reads_and_refuses(cli, sandbox, state, tmp_path)


@pytest.mark.parametrize("shared", [True, False], ids=["with its index", "without its index"])
def test_the_last_save_of_a_killed_run_is_read(
    state: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, shared: bool
) -> None:
    """The save is in the write-ahead log, which SQLite ignores for an immutable file."""
    subprocess.run([sys.executable, "-c", KILLED, str(state), stack_of(APP)], check=True)
    assert Path(f"{state}-wal").stat().st_size
    if not shared:
        Path(f"{state}-shm").unlink()
    with read_only(state.parent):
        assert '"written_by": "killed"' in cli("state", "show", APP, "--json").out
    check_reads_and_refuses(cli, sandbox, state, tmp_path)


def test_a_read_only_folder_without_state(
    state: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_STATE", str(state.parent / "other.db"))
    with read_only(state.parent):
        assert cli("plan", APP).code == 0
        assert cli("drift", APP).code in (0, 10)
        ended = cli("apply", APP, "--yes")
    assert (ended.code, "cannot be written" in ended.err) == (1, True), ended.err
    assert sandbox.writes() == []


@pytest.mark.parametrize("owner", ["another user", "nobody's to write"])
def test_a_runtime_folder_of_another_user(
    state: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """`sudo` and `su` leave it in the environment. Locks then use another folder, and still work."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    if owner == "another user" and os.geteuid() == 0:
        (folder / "reconciler").mkdir(mode=0o700)
        os.chown(folder / "reconciler", 12345, 12345)
    elif owner == "another user":
        folder = Path("/")
    else:
        folder = Path("/proc")  # not even root can write there
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))

    ended = cli("apply", APP, "--yes", "--bump", "patch")

    assert ended.code == 0, ended.err
    with locked(cli.folder / APP / "config.toml"):
        assert cli("apply", APP, "--yes", "--bump", "patch").code == 13


def test_no_folder_for_locks_at_all(
    state: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/proc")
    monkeypatch.setattr("tempfile.tempdir", "/proc")
    before = shutil.copytree(cli.folder, tmp_path / "before")
    ended = cli("bump", "patch", APP)
    assert ended.code == 1
    assert "XDG_RUNTIME_DIR" in ended.err
    assert "a bug" not in ended.err
    assert snapshot(cli.folder) == snapshot(before)
