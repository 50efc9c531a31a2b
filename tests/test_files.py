"""Files that are replaced: whole or not at all, by one run at a time, and nothing is left beside them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.diagnostics import BusyError
from reconciler.system.files import locked, replace_file


def test_writing_replaces_the_file_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"a = 1\r\n")
    file.chmod(0o640)
    replace_file(file, b"a = 2\r\n")
    assert file.read_bytes() == b"a = 2\r\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["config.toml"]


def test_writing_through_a_link_replaces_what_it_points_to(tmp_path: Path) -> None:
    shared = tmp_path / "shared.toml"
    shared.write_text("a = 1\n")
    link = tmp_path / "pipeline" / "config.toml"
    link.parent.mkdir()
    link.symlink_to("../shared.toml")
    replace_file(link, b"a = 2\n")
    assert link.is_symlink()
    assert shared.read_text() == "a = 2\n"


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("a = 1\n")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        replace_file(file, b"a = 2\n")
    assert file.read_text() == "a = 1\n"
    assert [one.name for one in tmp_path.iterdir()] == ["config.toml"]


LONG, SHORT = b"# a comment\na = 1\nb = 2\n", b"a = 2\n"


@pytest.fixture(params=[(LONG, SHORT), (SHORT, LONG), (SHORT, b"a = 3\n")], ids=["shorter", "longer", "same"])
def linked(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path, bytes, bytes]:
    """A file under two names, what is in it, and what it is to become."""
    before, after = request.param
    first, second = tmp_path / "one" / "config.toml", tmp_path / "two" / "config.toml"
    for name in (first, second):
        name.parent.mkdir()
    first.write_bytes(before)
    second.hardlink_to(first)
    return first, second, before, after


def test_all_names_of_a_file_keep_naming_one_file(linked: tuple[Path, Path, bytes, bytes]) -> None:
    first, second, _, after = linked
    first.chmod(0o640)
    replace_file(first, after)
    assert first.samefile(second)
    assert second.read_bytes() == after
    assert stat.S_IMODE(second.stat().st_mode) == 0o640
    assert [one.name for one in first.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize("kill", [True, False], ids=["killed", "failed"])
def test_a_file_with_several_names_holds_the_old_text_or_the_new_one_whatever_stops_it(
    linked: tuple[Path, Path, bytes, bytes], kill: bool
) -> None:
    """Stopped at each call that changes the file, which fails or is the last one of its process."""
    first, second, before, after = linked
    script = """
import os, sys, _io
from pathlib import Path
from reconciler.system import files
at, kill = int(sys.argv[1]), sys.argv[2] == "kill"
calls = 0
def stopping(call):
    def called(*given):
        global calls
        calls += 1
        if calls == at and kill:
            os._exit(9)
        if calls == at:
            raise OSError(28, "No space left on device")
        return call(*given)
    return called
files.os.write, files.os.fsync = stopping(os.write), stopping(os.fsync)
class File(_io.FileIO):
    truncate = stopping(_io.FileIO.truncate)
Path.open = lambda self, mode, buffering: File(self, mode)
files.replace_file(Path(sys.argv[3]), bytes.fromhex(sys.argv[4]))
print("done")
"""
    at, ended = 0, b""
    seen = set()
    while b"done" not in ended:
        at += 1
        first.write_bytes(before)
        command = [sys.executable, "-c", script, str(at), "kill" if kill else "", str(first), after.hex()]
        ended = subprocess.run(command, capture_output=True, check=False).stdout
        assert first.samefile(second)
        text = second.read_bytes()
        if kill:
            text = text.rstrip(b"\n") + b"\n"  # line feeds at the end mean nothing
        assert text in ((before, after) if kill or ended else (before,)), at
        seen.add(text)
    assert at > 3
    assert seen == {before, after}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may give files away")
def test_writing_as_root_leaves_the_file_to_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("a = 1\n")
    os.chown(file, 1234, 5678)
    replace_file(file, b"a = 2\n")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 5678)


def test_a_new_file_is_private_and_a_mode_can_be_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "new"
    replace_file(file, b"")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.chmod(0o644)
    replace_file(file, b"", mode=0o600)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


HOLDER = """
import sys
from pathlib import Path
from reconciler.system.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_by_whatever_way_it_comes_to_the_file(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "pipeline" / "config.toml"
    file.parent.mkdir()
    file.write_text("")
    (tmp_path / "link").symlink_to(file)
    command = [sys.executable, "-c", HOLDER, str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="another run"), locked(tmp_path / "link"):
            pytest.fail("two at once")
        with locked(tmp_path / "other.toml"):
            pass
        holder.kill()  # nothing is left to take away
        holder.wait()
        with locked(file):
            pass
    assert [one.name for one in file.parent.iterdir()] == ["config.toml"]


def test_waiting_is_said_once_and_ends_with_the_other_run(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    command = [sys.executable, "-c", HOLDER, str(file)]
    said = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"

        def waiting() -> None:
            said.append("waiting")
            holder.kill()

        with locked(file, timeout=60, waiting=waiting):
            assert said == ["waiting"]
        holder.wait()
