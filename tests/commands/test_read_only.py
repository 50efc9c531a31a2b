"""With read-only state, and on a full disk, reads work and writes are refused at the start."""

import errno
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.system.files import locked, why_not_written
from state.errors import StoreUnavailableError
from state.stores.sqlite import SqliteStore
from tests.commands.untouched import snapshot
from tests.conftest import Cli, copy_example, stack_of
from tests.readonly import full_disk, read_only

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
Unwritable = Callable[[Path], AbstractContextManager[None]]
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


def check_reads_and_refuses(
    cli: Cli, sandbox: Sandbox, state: Path, tmp_path: Path, unwritable: Unwritable = read_only
) -> None:
    before = snapshot(state.parent)
    with unwritable(state.parent):
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


@pytest.mark.parametrize("unwritable", [read_only, full_disk])
def test_reads_work_and_writes_are_refused(
    state: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, unwritable: Unwritable
) -> None:
    check_reads_and_refuses(cli, sandbox, state, tmp_path, unwritable)


def test_state_that_another_user_keeps_private_is_not_said_to_be_readable(state: Path) -> None:
    url = str(state)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # another user comes this far, and not into the folders of pytest
        private = Path(folder) / "state.db"
        shutil.copyfile(url, private)
        user = os.geteuid()
        private.chmod(0o600 if user == 0 else 0)
        try:
            if user == 0:
                os.seteuid(65534)
            with pytest.raises(StoreUnavailableError) as refused:
                SqliteStore(private).load(stack_of(APP))
        finally:
            os.seteuid(user)
    assert "make it readable" in refused.value.hint
    assert "plan and drift" not in refused.value.hint


@pytest.mark.parametrize("unwritable", [read_only, full_disk])
@pytest.mark.parametrize("shared", [True, False], ids=["with its index", "without its index"])
def test_the_last_save_of_a_killed_run_is_read(
    state: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, shared: bool, unwritable: Unwritable
) -> None:
    """The save is in the write-ahead log, which SQLite ignores for an immutable file."""
    subprocess.run([sys.executable, "-c", KILLED, str(state), stack_of(APP)], check=True)
    assert Path(f"{state}-wal").stat().st_size
    if not shared:
        Path(f"{state}-shm").unlink()
    with unwritable(state.parent):
        assert '"written_by": "killed"' in cli("state", "show", APP, "--json").out
    if unwritable is read_only:
        check_reads_and_refuses(cli, sandbox, state, tmp_path)


def test_on_a_full_disk_without_room_for_a_copy_of_the_log_the_reason_is_said(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has the last save, so the file alone would be an earlier state."""
    subprocess.run([sys.executable, "-c", KILLED, str(state), stack_of(APP)], check=True)
    Path(f"{state}-shm").unlink()
    monkeypatch.setattr("tempfile.tempdir", str(state.parent))
    with full_disk(state.parent), pytest.raises(StoreUnavailableError) as refused:
        SqliteStore(state).load(stack_of(APP))
    assert "No space left on device" in refused.value.message
    assert "free space" in refused.value.hint


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


WRITTEN = {
    ("bump", "patch", APP): f"{APP}/config.toml",
    ("apply", APP, "--yes", "--bump", "patch"): f"{APP}/config.toml",
    ("apply", "--all", "--yes", "--bump", "patch"): f"{APP}/config.toml",
    ("deploy", APP, "--yes", "--organization", "sandbox", "--bump", "patch"): f"{APP}/config.toml",
    ("rollback", APP, "--yes", "--write"): f"{APP}/config.toml",
    ("adopt", APP, "--yes"): f"{APP}/config.toml",
    ("drift", APP, "--write-baseline", "--reason", "a test"): "drift-baseline.toml",
    ("init", "another", "--type", "PRE_ANNOTATION", "--image", "localhost:8000/another"): "another",
    ("schema", "--link"): "schema",
    ("plan", APP, "--out", "plan.json"): "plan.json",
    ("plan", APP, "--markdown", "plan.md"): "plan.md",
    ("drift", APP, "--html", "drift.html"): "drift.html",
    ("apply", APP, "--yes", "--events", "events.ndjson"): "events.ndjson",
    ("image", APP, "-o", "json=image.json"): "image.json",
    ("list", "-o", "json=list.json"): "list.json",
    ("graph", APP, "-o", "dot=graph.dot"): "graph.dot",
    ("dashboard", "--out", "pages"): "pages",
}


@pytest.mark.parametrize("command", WRITTEN, ids=" ".join)
def test_a_file_that_cannot_be_written_is_named_with_a_way_out(
    state: Path, cli: Cli, sandbox: Sandbox, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout that is mounted read-only, as in a container of CI."""
    with (cli.folder / APP / "pipeline.py").open("a") as file:
        file.write("# the third version\n")
    sandbox.platform.edit_processing(APP, default_cpu=7)
    sandbox.clear_requests()
    before = snapshot(cli.folder)
    with read_only(cli.folder):
        monkeypatch.chdir(cli.folder)  # into the mount
        ended = cli(*command)
        monkeypatch.chdir("/")
    assert ended.code not in (0, 2), ended.out + ended.err
    assert "operating system reports" not in ended.err
    assert "a bug in" not in ended.err
    assert WRITTEN[command] in ended.err
    assert re.search("Read-only file system|Permission denied", ended.err), ended.err
    assert "in a copy of" in ended.err
    assert snapshot(cli.folder) == before


@pytest.mark.parametrize(
    ("number", "way_out"),
    [
        (errno.EROFS, "Run the command in a copy of here on a disk that can be written."),
        (errno.EACCES, "Give this user the right to write in here"),
        (errno.EPERM, "Give this user the right to write in here"),
        (errno.ENOSPC, "Free some space"),
        (errno.EIO, ""),
    ],
)
def test_the_way_out_depends_on_the_failure(
    number: int, way_out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    problem = OSError(number, os.strerror(number))
    text = why_not_written(Path("here/config.toml"), problem)
    assert text.startswith(f"{os.strerror(number)}.")
    assert way_out in text
