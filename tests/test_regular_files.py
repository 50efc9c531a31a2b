"""A file that a user names or keeps is read only if it is one: a pipe, a device, a folder is refused."""

import ast
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from providers import regular_files
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.test_shape import ROOT, modules

HANG = 60  # seconds; these commands take milliseconds


def pipe_elsewhere() -> Path:
    pipe = Path(os.environ["HOME"]) / "pipe"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    return pipe


def bind(path: Path) -> None:
    """A socket's own name may have 100 bytes only: it is made from its folder."""
    here = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path.name)
    finally:
        os.chdir(here)


# What each kind is called, and how one is made at a path.
KINDS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "pipe": ("a named pipe", os.mkfifo),
    "device without an end": ("a device", lambda path: path.symlink_to("/dev/zero")),
    "terminal": ("a device", lambda path: path.symlink_to("/dev/ptmx")),
    "socket": ("a socket", bind),
    "folder": ("a folder", Path.mkdir),
    "link to a pipe": ("a named pipe", lambda path: path.symlink_to(pipe_elsewhere())),
}

# Each file that is read -> the command that reads it, with the file's path in place of {}.
READ: dict[str, tuple[str, ...]] = {
    "app/config.toml": ("validate", "./app"),
    "app/utils/inputs.py": ("validate", "app"),
    "app/utils/parameters.py": ("validate", "app"),
    "app/Dockerfile": ("validate", "app"),
    "app/.dockerignore": ("validate", "app"),
    "app/Dockerfile.dockerignore": ("validate", "app"),
    "app/data/weights.bin": ("plan", "app"),
    "saved.plan": ("show", "{}"),
    "another.plan": ("apply", "app", "--plan", "{}"),
    "part.json": ("drift", "merge", "{}"),
    "known.toml": ("drift", "app", "--baseline", "{}"),
    "written.toml": ("drift", "app", "--write-baseline", "{}"),
    "home/.config/picsellia/.env": ("plan", "app", "--organization", "sandbox", "--env", "PROD"),
    "home/.config/picsellia/context.json": ("whoami",),
    "docker/config.json": ("plan", "app"),
}


@pytest.fixture
def guard() -> Iterator[None]:
    """A read that waits for ever fails its test instead."""

    def hangs(number: int, frame: FrameType | None) -> None:
        raise TimeoutError("it waits for what is no file")

    before = signal.signal(signal.SIGALRM, hangs)
    signal.alarm(HANG)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("file", READ)
def test_every_file_of_the_user_is_refused_by_name_if_it_is_none(
    file: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, guard: None
) -> None:
    home = Path(os.environ["HOME"])
    copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "app")
    path = home / file.removeprefix("home/") if file.startswith("home/") else cli.folder / file
    if file.startswith("docker/"):
        monkeypatch.setenv("DOCKER_CONFIG", str(path.parent))
        sandbox.switch(registry_auth=True)
    if file.startswith("home/"):
        for name in ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV", "PICSELLIA_CUSTOM_ENV"):
            monkeypatch.delenv(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = [part.format(path) for part in READ[file]]
    wrong = []
    for kind, (name, make) in KINDS.items():
        if file.endswith("weights.bin") and kind not in ("pipe", "socket"):
            continue  # a link or a folder among the files of an image is nothing to refuse
        path.unlink(missing_ok=True)
        make(path)
        ended = cli(*asked)
        told = ended.err + ended.out
        if (
            ended.code in (0, 10, 130)
            or path.name not in told
            or (name not in told and kind != "folder")
            or "Traceback" in told
            or "a bug in" in told
        ):
            wrong.append(f"{kind}: {ended.code} {told}")
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
    assert not wrong, "\n".join(wrong)


# Each output that a user names -> the command that writes it, with the output's path in place of {}.
WRITTEN: dict[str, tuple[str, ...]] = {
    "plan --out": ("plan", "app", "--out", "{}"),
    "plan --markdown": ("plan", "app", "--markdown", "{}"),
    "plan --html": ("plan", "app", "--html", "{}"),
    "drift --json": ("drift", "app", "--json", "{}"),
    "drift --junit": ("drift", "app", "--junit", "{}"),
    "drift --markdown": ("drift", "app", "--markdown", "{}"),
    "drift --html": ("drift", "app", "--html", "{}"),
    "step summary": ("drift", "app"),
}

# What may be in the way of it, how it is made, and what is said of it.
IN_THE_WAY: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe that no program reads": (os.mkfifo, "named pipe"),
    "link to a pipe": (lambda path: path.symlink_to(pipe_elsewhere()), "named pipe"),
    "socket": (bind, "that no program reads"),
    "link to itself": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "full disk": (lambda path: path.symlink_to("/dev/full"), "No space left"),
}


@pytest.mark.parametrize("output", WRITTEN)
def test_an_output_that_cannot_be_written_is_an_error_at_once(
    output: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, guard: None
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "app")
    path = cli.folder / "written"
    if output == "step summary":
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    wrong = []
    for kind, (make, what) in IN_THE_WAY.items():
        path.unlink(missing_ok=True)
        make(path)
        ended = cli(*(part.format(path) for part in WRITTEN[output]))
        # The summary is GitHub's, and no reason to fail.
        if (
            (ended.code == 1) == (output == "step summary")
            or what not in ended.err
            or "a bug in" in ended.err
        ):
            wrong.append(f"{kind}: {ended.code} {ended.err}")
    assert not wrong, "\n".join(wrong)


def test_no_module_resolves_a_path_in_a_way_that_a_loop_of_links_breaks() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "resolve"
    ]
    assert found == []


def test_one_that_is_replaced_by_a_pipe_after_the_check_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: None
) -> None:
    os.mkfifo(tmp_path / "config.toml")
    monkeypatch.setattr(regular_files, "check_regular", lambda path: None)
    with pytest.raises(OSError, match="Is a named pipe, not a file"):
        regular_files.read_regular(tmp_path / "config.toml")


def test_what_is_far_too_large_is_not_read_into_memory(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(OSError, match="Has more than 256 MiB"):
        regular_files.read_regular(file)


def test_no_module_opens_a_file_of_the_user_in_another_way() -> None:
    """These read what is their own, or what the kernel or a child of theirs wrote."""
    own = {
        "providers.regular_files",
        "providers.leftovers",  # opens what it removes, to find out whether a run still has it open
        "providers.docker.builders.buildx",  # what buildx wrote into our temporary folder
        "reconciler.cli.handlers.demo",  # its own copy of an example
        "reconciler.schemas",  # its own schemas
        "reconciler.views.site.site",  # its own assets
        "reconciler.system.files",  # opens a folder, to make a rename last
        "reconciler.pipeline.classes.supervisor",  # /proc
        "state.lock",  # /proc
    }
    found = []
    for name, path in modules().items():
        if name in own or name.startswith(("providers.sandbox", "reconciler.pipeline.classes.class_child")):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            reads = called in ("open", "os.open", "io.open") or called.endswith((".read_bytes", ".read_text"))
            flags = ast.unparse(node)
            reads = reads or (called.endswith(".open") and any(f"({mode!r}" in flags for mode in ("r", "rb")))
            if reads and not any(word in flags for word in ("O_CREAT", "os.devnull", "READ_ONLY")):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {flags}")
    assert found == []


def test_a_regular_file_that_blocks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As /proc/kmsg does, which not everybody may read."""
    path = tmp_path / "blocks"
    path.touch()

    def opened(_: object) -> tuple[int, int]:
        reading, writing = os.pipe()
        os.set_blocking(reading, False)
        ends.append(writing)
        return reading, 0

    ends: list[int] = []
    monkeypatch.setattr(regular_files, "_opened", opened)
    with pytest.raises(BlockingIOError):
        regular_files.read_regular(path)
    os.close(ends[0])


BLOCKED = """
import errno, os, sys
read = os.read
def blocking(descriptor, count):
    if os.readlink(f"/proc/self/fd/{descriptor}") == sys.argv[1]:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return read(descriptor, count)
os.read = blocking
from reconciler.cli import run
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize(
    "command",
    [
        ("dashboard", "--out", "site", "--reports", "FILE"),
        ("show", "FILE"),
        ("drift", "merge", "FILE", "FILE"),
        ("state", "list"),
        ("state", "copy", "FILE", "copy.db"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_refuses_a_regular_file_that_blocks(
    home: Path, command: tuple[str, ...], tmp_path: Path
) -> None:
    file = (tmp_path / "blocks.json").resolve()
    file.write_text("{}")
    ended = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(file), *(str(file) if w == "FILE" else w for w in command)],
        cwd=tmp_path,
        env={**os.environ, **({"RECONCILER_STATE": str(file)} if command[1] == "list" else {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "would block" in " ".join(ended.stderr.split()), ended.stderr
