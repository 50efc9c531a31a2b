"""What a killed run leaves in a folder is never source, and the next run removes it."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, context
from providers.leftovers import (
    BASELINE,
    TEMPORARY,
    WORKSPACE,
    is_temporary,
    new_temporary,
    scratch_folder,
    sweep,
)
from providers.sandbox import Sandbox
from reconciler.system.files import replace_file
from tests.conftest import Cli, copy_example

APP = "dataset_cleanup"
ROOT = Path(__file__).parents[1]

# Kills the process at the Nth call that a replacement makes of the system.
KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.system.files import replace_file

path, at, count = Path(sys.argv[1]), int(sys.argv[2]), 0

def hook(event, arguments):
    global count
    if event in EVENTS and str(path.parent) in str(arguments):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

EVENTS = {"open", "os.rename", "os.chmod", "os.chown", "os.remove", "os.scandir"}
real = os.fsync
def fsync(handle):
    hook("open", path.parent)
    real(handle)
    hook("open", path.parent)
os.fsync = fsync
sys.addaudithook(hook)
replace_file(path, b"new = 1\\n")
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def leave(folder: Path, name: str, content: bytes = b"half of it") -> Path:
    """What a run leaves that is killed while it writes this file."""
    handle, temporary = new_temporary(folder / name)
    os.write(handle, content)
    os.close(handle)
    return temporary


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pipeline"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "config.toml").write_text("old = 1\n")
    return folder


def test_wherever_a_replacement_is_killed_nothing_of_it_is_source_and_the_next_one_sweeps(
    folder: Path,
) -> None:
    config, keys, left, ended = folder / "config.toml", set(), 0, None
    with_old = fingerprint(ImageSource(folder=folder)).key
    for at in range(1, 40):
        config.write_text("old = 1\n")
        ended = subprocess.run([sys.executable, "-c", KILLED, str(config), str(at)], check=False).returncode
        left += any(is_temporary(name) for name in names(folder))
        keys.add((config.read_bytes(), fingerprint(ImageSource(folder=folder)).key))
        if ended == 0:
            break
        assert ended == -9
        replace_file(config, b"old = 1\n")
        assert names(folder) == {"Dockerfile", "config.toml"}
        assert fingerprint(ImageSource(folder=folder)).key == with_old
    assert ended == 0, "it is let run to its end at last"
    assert left >= 3, "it was killed while there was something to leave"
    assert {content for content, _ in keys} == {b"old = 1\n", b"new = 1\n"}
    assert len(keys) == 2, "a key for each of the two files, whatever lies beside them"


@pytest.mark.parametrize(
    "name", ["config.toml", BASELINE, "drift.json", "plan.json", "report.html", "n" * 255]
)
@pytest.mark.parametrize("ignored", [None, "", "*.py\n", "**\n!config.toml\n!Dockerfile\n!.*\n"])
@pytest.mark.parametrize("below", [".", "utils"])
def test_a_temporary_file_is_no_source_whatever_it_was_for(
    name: str, ignored: str | None, below: str, folder: Path
) -> None:
    if ignored is not None:
        (folder / ".dockerignore").write_text(ignored)
    (folder / "utils").mkdir()
    source = ImageSource(folder=folder)
    before, entries = fingerprint(source), context(source)

    temporary = leave(folder / below, name)

    assert (fingerprint(source), context(source)) == (before, entries)
    sweep(folder / below)
    assert not temporary.exists()


def test_one_that_is_in_use_is_left_alone(folder: Path) -> None:
    handle, temporary = new_temporary(folder / "config.toml")
    sweep(folder)
    assert temporary.exists()
    os.close(handle)
    sweep(folder)
    assert not temporary.exists()


def test_nothing_else_is_swept(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    (folder / f".link{TEMPORARY}").symlink_to(outside)
    os.mkfifo(folder / f".pipe{TEMPORARY}")
    for name in (".config.toml.template", ".config.toml.swp", f"visible{TEMPORARY}", ".env"):
        (folder / name).write_text("the user's")
    before = names(folder)

    sweep(folder)
    sweep(folder / "absent")

    assert names(folder) == before
    assert outside.read_text() == "kept"


@pytest.mark.parametrize("name", [BASELINE, WORKSPACE])
def test_our_own_files_are_not_source_and_earlier_keys_still_count_them(name: str, folder: Path) -> None:
    source = ImageSource(folder=folder)
    before = fingerprint(source)
    (folder / name).write_text("# nothing\n")
    after = fingerprint(source)
    assert (after.key, after.files, context(source)[0].path) == (before.key, before.files, "Dockerfile")
    assert name not in {entry.path for entry in context(source)}
    assert after.first != before.first
    assert name in after.files_as_of(after.first)


WRITERS: dict[str, Callable[[Cli, Path], object]] = {
    "apply": lambda cli, folder: cli("apply", APP),
    "apply with a version": lambda cli, folder: cli("apply", APP, "--bump", "patch", "--force-bump"),
    "deploy": lambda cli, folder: cli("deploy", APP, "--cpu", "8", "--yes"),
    "bump": lambda cli, folder: cli("bump", "patch", APP),
    "rollback": lambda cli, folder: cli("rollback", APP, "--to", "1.0.0", "--yes"),
    "adopt": lambda cli, folder: cli("adopt", APP),
    "destroy": lambda cli, folder: cli("destroy", APP, "--yes"),
    "a baseline": lambda cli, folder: cli("drift", APP, "--write-baseline", str(folder / BASELINE)),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_each_command_that_writes_in_a_folder_sweeps_it(
    write: Callable[[Cli, Path], object], cli: Cli, sandbox: Sandbox
) -> None:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP).code == 0
    there = names(folder)
    sandbox.platform.edit_processing(APP, default_cpu=9)
    leave(folder, "config.toml")
    leave(folder, BASELINE)
    document = json.loads(cli("plan", APP, "--json").out)
    assert [step["reason"] for step in document["steps"] if step["kind"] == "image"] == ["published"]

    write(cli, folder)

    assert names(folder) - {BASELINE} == there


def test_a_baseline_that_is_written_in_the_folder_asks_for_no_version(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_processing(APP, default_cpu=9)
    monkeypatch.chdir(folder)
    cli("drift", "--write-baseline")
    assert (folder / BASELINE).exists()
    assert cli("drift").code == 0
    assert cli("apply").code == 0
    assert cli("plan", "--exit-code").code == 0


@pytest.mark.parametrize("state", ["state.db", "below/state.db", "sqlite:///state.db", "absolute"])
@pytest.mark.parametrize("ignored", ["", "*.db\n"])
@pytest.mark.parametrize("from_workspace", [False, True])
def test_state_in_the_build_context_is_refused_before_any_write(
    state: str,
    ignored: str,
    from_workspace: bool,
    cli: Cli,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It changes with each save, as do the files beside it."""
    folder = copy_example(APP, cli.folder, sandbox.registry)
    (folder / ".dockerignore").write_text(ignored)
    monkeypatch.chdir(folder)
    url = str(folder / "state.db") if state == "absolute" else state
    monkeypatch.delenv("RECONCILER_STATE")
    if from_workspace:
        (folder / WORKSPACE).write_text(f'[workspace]\nstate = "{url}"\n')
    else:
        monkeypatch.setenv("RECONCILER_STATE", url)
    there = names(folder)

    for command in (["apply", ".", "--yes"], ["deploy", ".", "--yes"], ["plan", "."], ["validate", "."]):
        ended = cli(*command)
        assert ended.code == 1, command
        assert "state.db would become part of the image" in ended.err
        [pattern] = re.findall("add (.+) to .dockerignore", ended.err)
    assert names(folder) == there
    assert all(request["method"] in ("GET", "HEAD") for request in sandbox.requests())

    (folder / ".dockerignore").write_text(f"{pattern}\n")
    assert cli("apply", ".", "--yes").code == 0
    assert cli("plan", ".", "--exit-code").code == 0


# Opens a folder in TMPDIR, as builds and other commands do, and is killed in it.
KILLED_INSIDE = """
import os, signal, sys
from pathlib import Path
from providers.docker.registry.logins import docker_config
from providers.docker.source.build_context import unpacked_context
from providers.docker.source.key import ImageSource
from providers.leftovers import scratch_folder

opened = {
    "build": lambda: unpacked_context(ImageSource(folder=Path.cwd()), lambda _: None),
    "docker": lambda: docker_config("registry.example.com"),
    "verify": lambda: scratch_folder("verify"),
}
with opened[sys.argv[1]]():
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("purpose", ["build", "docker", "verify"])
def test_the_next_run_removes_the_temporary_folder_of_a_killed_one(
    purpose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a copy of the source, or a login."""
    temporary, source = tmp_path / "tmp", tmp_path / "source"
    temporary.mkdir()
    source.mkdir()
    (source / "Dockerfile").write_text("FROM scratch\nCOPY . .\n")
    (temporary / "other.txt").touch()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    variables = {"TMPDIR": str(temporary), "DOCKER_USERNAME": "bob", "DOCKER_TOKEN": "hunter2hunter2"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_INSIDE, purpose],
        env={**os.environ, **variables, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=source,
        check=False,
    )
    [left] = names(temporary) - {"other.txt"}
    assert killed.returncode == -signal.SIGKILL
    assert stat.S_IMODE((temporary / left).stat().st_mode) == 0o700

    with scratch_folder("build") as mine, scratch_folder("build") as other:
        assert mine.exists() and other.exists(), "a folder in use is left alone"
        assert names(temporary) == {"other.txt", mine.name, other.name}
    assert names(temporary) == {"other.txt"}


def test_every_temporary_folder_is_one_that_the_next_run_removes() -> None:
    """All but those with nothing of the user, and a copy of a state that lies on this machine anyway."""
    others = ("cli/handlers/demo.py", "sandbox/server.py", "stores/sqlite.py", "providers/leftovers.py")
    found = {
        path.as_posix()
        for room in ("reconciler", "providers", "state")
        for path in (ROOT / room).rglob("*.py")
        if re.search(r"\b(TemporaryDirectory|mkdtemp)\(", path.read_text())
    }
    assert [path for path in found if not path.endswith(others)] == []
