"""Hashing a large folder is announced by every command that does it, on a terminal and in a log."""

import ast
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from providers.docker.source import key
from providers.docker.source.archive import archive
from providers.docker.source.build_context import unpacked_context
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, SourceKey, context
from providers.docker.source.reading import CHUNK
from providers.sandbox import Sandbox
from providers.waits import SILENCE, SLOW, Hashing
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from reconciler.pipeline.image_source import git_revision, image_labels
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.secret_findings import secret_findings
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.changes import base_of, changed_pipelines
from reconciler.workspace.reader import find_workspace
from tests.commands.test_provenance import committed, git
from tests.conftest import EXAMPLES, Cli, copy_example

SOURCES = Path(__file__).parents[2] / "reconciler"
NAME = "dataset_cleanup"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time while a source is hashed. Each piece of content takes a quarter of a second."""
    now = [0.0]

    def monotonic() -> float:
        now[0] += SLOW / 4
        return now[0]

    # not that of the module time: threads that other tests left behind read it, too
    monkeypatch.setattr(key, "time", SimpleNamespace(monotonic=monotonic))
    return now


def test_every_second_of_a_slow_hash_is_announced(tmp_path: Path, clock: list[float]) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "weights.bin").write_bytes(bytes(64 * CHUNK))
    seen: list[Hashing] = []
    times: list[float] = [0.0]

    def announce(event: Hashing) -> None:
        seen.append(event)
        times.append(clock[0])

    found = fingerprint(ImageSource(folder=tmp_path), announce=announce)

    times.append(clock[0])
    assert max(later - before for before, later in itertools.pairwise(times)) <= 1.5 * SLOW
    assert {event.path for event in seen} == {"weights.bin"}
    sizes = [event.size for event in seen]
    assert sizes == sorted(set(sizes))
    assert sizes[-1] <= found.size == 64 * CHUNK + len("FROM scratch\n")


def send(folder: Path, seen: Callable[[str], None]) -> None:
    """As the builders that send the archive."""
    source = ImageSource(folder=folder)
    pieces = archive(source, context(source), report=lambda progress: seen(progress.item))
    assert next(pieces)  # nothing is sent before all is searched


def unpack(folder: Path, seen: Callable[[str], None]) -> None:
    """As the builders that read a folder."""
    with unpacked_context(ImageSource(folder=folder), lambda progress: seen(progress.item)):
        pass


def committed_pipeline(folder: Path) -> Pipeline:
    git(folder, "init", "--quiet", "-b", "main")
    committed(folder)
    pipeline, _ = validate(folder, ReadOptions(), emit=lambda _: None).require_valid()
    return pipeline


def compare_with_commit(folder: Path, seen: Callable[[str], None]) -> None:
    pipeline = committed_pipeline(folder)
    assert not git_revision(pipeline, lambda event: seen(event.path)).endswith("+dirty")


def label(folder: Path, seen: Callable[[str], None]) -> None:
    image_labels(committed_pipeline(folder), lambda event: seen(event.path), {})


def select_changed(folder: Path, seen: Callable[[str], None]) -> None:
    committed_pipeline(folder)
    workspace = find_workspace(folder)
    base = base_of("HEAD", folder)
    assert not changed_pipelines([folder], base, folder, workspace, lambda event: seen(event.path))


def search(folder: Path, seen: Callable[[str], None]) -> None:
    """As a plan, which has the files to search from the source key."""
    pipeline, source = committed_pipeline(folder), ImageSource(folder=folder)
    key = SourceKey("", {}, {}, 0, suspects=("weights.bin",))
    secret_findings(pipeline, source, key=key, announce=lambda event: seen(event.path))


@pytest.mark.parametrize("read", [send, unpack, compare_with_commit, label, select_changed, search])
def test_every_other_reading_of_a_large_file_is_announced(
    read: Callable[[Path, Callable[[str], None]], None], tmp_path: Path, clock: list[float]
) -> None:
    config = (EXAMPLES / NAME / "config.toml").read_text()
    (tmp_path / "config.toml").write_text(re.sub(r"(?m)^.*_(class|script|file) = .*$", "", config))
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "weights.bin").write_bytes(bytes(16 * CHUNK))
    seen: list[str] = []
    read(tmp_path, seen.append)
    assert seen.count("weights.bin") >= 16 * (SLOW / 4) / (1.5 * SLOW)


def test_many_small_files_are_announced(tmp_path: Path, clock: list[float]) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    for number in range(20):
        (tmp_path / f"{number}.txt").write_text("x")
        (tmp_path / f"folder-{number}").mkdir()
    seen: list[Hashing] = []
    fingerprint(ImageSource(folder=tmp_path), announce=seen.append)
    assert len(seen) >= 40 // 4


def test_the_announcement_of_a_small_folder_is_never_called(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    seen: list[Hashing] = []
    with_one = fingerprint(ImageSource(folder=tmp_path), announce=seen.append)
    assert (with_one, seen) == (fingerprint(ImageSource(folder=tmp_path)), [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["validate", NAME],
        ["validate", "--all"],
        ["graph", NAME],
        ["plan", NAME],
        ["plan", "--all"],
        ["drift", NAME],
        ["status", NAME],
        ["image", NAME],
        ["adopt", NAME],
        ["apply", NAME, "--yes"],
        ["deploy", NAME, "--yes"],
        ["destroy", NAME, "--yes"],
    ],
    ids=" ".join,
)
def test_every_command_announces_a_slow_hash(
    arguments: list[str], cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    copy_example("multi_training", cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    monkeypatch.setattr(key, "SLOW", 0.0)
    ended = cli(*arguments)
    assert ended.code == 0, ended.err
    assert re.search(rf"^hashing (\S*/)?{NAME}: ", ended.err, re.MULTILINE)
    assert "hashing" not in ended.out


def test_every_call_that_hashes_passes_an_announcement_on() -> None:
    silent, calls = [], 0
    for file in SOURCES.rglob("*.py"):
        tree = ast.parse(file.read_text())
        modules = {
            "reconciler.api.validating": "emit",
            "reconciler.engine.validate": "emit",
            "providers.docker.source.key": "announce",
        }
        imported = {
            alias.name: modules[node.module]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module in modules
            for alias in node.names
            if alias.name in ("validate", "fingerprint")
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in imported:
                calls += 1
                if imported[node.func.id] not in {keyword.arg for keyword in node.keywords}:
                    silent.append(f"{file.relative_to(SOURCES)}:{node.lineno}")
    assert calls > 8
    assert silent == []


def test_a_terminal_shows_the_file_and_a_log_gets_occasional_lines() -> None:
    shown, log, now = io.StringIO(), io.StringIO(), 0.0
    terminal = Console(
        file=shown, force_terminal=True, force_interactive=True, width=80, legacy_windows=False
    )
    with ProgressView(terminal) as watch:
        watch(Hashing("app", "weights.bin", 1_200_000_000))
    with ProgressView(console(log), lambda: now) as watch:
        for size in range(1, 26):
            now += 1.0
            watch(Hashing("app", "a\nb.bin", size * 1_000_000))

    assert "hashing app: 1.2 GB so far, at weights.bin" in shown.getvalue()
    assert shown.getvalue().endswith(("\x1b[2K", "\x1b[?25h", "\x1b[2K\n"))
    assert SILENCE == 10.0
    assert log.getvalue().splitlines() == [
        f"hashing app: {size}.0 MB so far, at a\\nb.bin" for size in (1, 10, 19)
    ]
