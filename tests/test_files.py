"""Files that are replaced: whole or not at all, by one run at a time, and nothing is left beside them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.files import BusyError, locked, replace_file


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
from reconciler.files import locked
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
