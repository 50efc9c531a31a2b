"""The index of a context: it saves reading, never changes a key, and is never trusted for publishing."""

import mmap
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from providers.docker.builders.append import AppendBuilder
from providers.docker.image import ImageKind
from providers.docker.registry.client import RegistryClient
from providers.docker.source import context_hashing, source_index
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.source.source_index import (
    FolderRecord,
    SourceIndex,
    index_folder,
    packed_status,
    status_of,
)
from providers.docker.verdicts import ImageWay
from providers.errors import PermanentError, RefusedError
from providers.protocol import silent
from providers.reasons import WayOut
from providers.regular_files import real_path
from tests.docker.tokens import tokens
from tests.services import Registry

TICK = 0.03  # seconds: longer than a tick of any system's clock for files
TOKEN = next(iter(tokens().values()))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, an index for every context, and files that count as old after a tick."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    monkeypatch.delenv(source_index.VARIABLE, raising=False)
    monkeypatch.setattr(context_hashing, "MIN_FILES", 0)
    monkeypatch.setattr(context_hashing, "MARGIN", int(TICK * 1e9 * 0.6))
    return folder


def indexes() -> list[Path]:
    return sorted(index_folder().glob("*.index"))


def whole(key: SourceKey) -> tuple[object, ...]:
    """All of a key."""
    files = list(key.files.items()), dict(key.first_files)
    return key.key, key.first, key.size, key.recipe, key.suspects, files


def check(source: ImageSource) -> SourceKey:
    """The key by the index, which has to be the one that reading every file gives."""
    found = fingerprint(source, cached=True)
    assert whole(found) == whole(fingerprint(source, search=True))
    return found


def source_of(folder: Path) -> ImageSource:
    config = {"config.toml": b"[execution]\n"}
    first = {"config.toml": b"all of it"}
    counted = {"config.toml": lambda content: content[:2]}
    return ImageSource(folder=folder, keyed=config, keyed_first=first, counted=counted)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files of a context that are opened."""
    names: list[str] = []
    real = os.open

    def note(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if dir_fd is not None:
            names.append(str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", note)
    return names


def test_unchanged_files_are_not_read_again(folder: Path, opened: list[str]) -> None:
    """As a user who validates, edits one line of a large context, and validates again."""
    source = source_of(folder)
    time.sleep(TICK)
    before = check(source)
    opened.clear()
    assert fingerprint(source, cached=True).key == before.key
    assert opened == []
    (folder / "utils" / "steps.py").write_text("STEPS = 4\n")
    after = fingerprint(source, cached=True)
    assert opened == ["steps.py"]
    assert after.key != before.key
    assert after.key == check(source).key


def test_a_file_that_was_just_written_is_read_again(folder: Path, opened: list[str]) -> None:
    """It may be written once more at the same moment, with the same size."""
    time.sleep(TICK)
    (folder / "pipeline.py").write_text("print('again')\n")
    source = source_of(folder)
    check(source)
    opened.clear()
    check_after = fingerprint(source, cached=True)
    assert opened == ["pipeline.py"]
    time.sleep(TICK)
    assert fingerprint(source, cached=True) == check_after
    opened.clear()
    assert fingerprint(source, cached=True) == check_after
    assert opened == []


def test_the_second_write_through_a_mapping_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a program that changes weights in place: the second write changes no time at first."""
    monkeypatch.setattr(context_hashing, "MARGIN", source_index.MARGIN)
    file = folder / "weights.bin"
    file.write_bytes(bytes(4096))
    source = source_of(folder)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as weights:
        for attempt in range(1, 9):  # a system that writes the page to disk in between changes the time
            weights[0] = attempt
            written = file.stat().st_mtime_ns
            time.sleep(source_index.RESOLUTION / 1e9 + TICK)
            first = check(source)
            weights[1] = attempt
            is_alike = file.stat().st_mtime_ns == written
            assert check(source).key != first.key
            if is_alike:
                break
        assert is_alike, "this file system changes the time of a file at each write"


@pytest.mark.parametrize(("age", "reads"), [(30, ["pipeline.py"]), (50, [])])
def test_a_file_is_old_40_s_after_its_last_write(
    age: int, reads: list[str], folder: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_hashing, "MARGIN", source_index.MARGIN)
    monkeypatch.setattr(context_hashing, "RESOLUTION", int(TICK * 1e9 * 0.6))
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    os.utime(folder / "pipeline.py", (time.time() - age,) * 2)
    source = source_of(folder)
    time.sleep(TICK)
    check(source)
    opened.clear()
    fingerprint(source, cached=True)
    assert opened == reads


def test_a_small_context_has_no_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context_hashing, "MIN_FILES", 1000)
    fingerprint(source_of(folder), cached=True)
    assert indexes() == []
    (folder / "weights.bin").write_bytes(bytes(source_index.MIN_BYTES))
    fingerprint(source_of(folder), cached=True)
    assert len(indexes()) == 1


def test_the_variable_turns_it_off(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_NO_INDEX", "1")
    assert whole(fingerprint(source_of(folder), cached=True)) != ()
    assert indexes() == []


FILES = ("a", "b/a", "b/c", "b-/a", "c/d/e", "config.toml", "reconciler.toml", "é", "b/config.toml")
NAMES = (*FILES, "b", "b-", "c")
CONTENTS = ("", "one", "only", "two", "three", TOKEN)
name = st.sampled_from(NAMES)


def ready(path: Path) -> bool:
    """Make room for a file."""
    if any(parent.is_file() or parent.is_symlink() for parent in path.parents):
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    return True


def write(folder: Path, at: str, content: str, *_: object) -> None:
    if ready(folder / at):
        (folder / at).unlink(missing_ok=True) if (folder / at).is_symlink() else None
        (folder / at).write_text(content)


def write_unseen(folder: Path, at: str, content: str, *_: object) -> None:
    """Another content of the same size, with the old time."""
    path = folder / at
    if path.is_file() and not path.is_symlink():
        status = path.stat()
        path.write_bytes(content.encode().ljust(status.st_size, b"#")[: status.st_size])
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def rename(folder: Path, at: str, _: str, other: str) -> None:
    """Also a swap of two folders, or of a file and a folder."""
    one, two, aside = folder / at, folder / other, folder.parent / "aside"
    if one in (two, *two.parents) or two in one.parents:
        return
    if os.path.lexists(one):
        one.rename(aside)
        if os.path.lexists(two):
            two.rename(one)
        if ready(two):
            aside.rename(two)
        else:
            shutil.rmtree(aside) if aside.is_dir() else aside.unlink()


def replace_by_link(folder: Path, at: str, _: str, other: str) -> None:
    if f"{other}/".startswith(f"{at}/"):  # the same, or a folder that would be removed with the file
        return
    if (folder / other).is_file() and ready(folder / at):
        (folder / at).unlink(missing_ok=True)
        os.link(folder / other, folder / at, follow_symlinks=False)


def link(folder: Path, at: str, content: str, *_: object) -> None:
    if ready(folder / at):
        (folder / at).unlink(missing_ok=True)
        (folder / at).symlink_to(content[:20] or ".")


def change_mode(folder: Path, at: str, content: str, *_: object) -> None:
    path = folder / at
    if os.path.lexists(path) and not path.is_symlink():
        path.chmod(0o755 if content == "one" else 0o700 if path.is_dir() else 0o644)


def remove(folder: Path, at: str, *_: object) -> None:
    path = folder / at
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def empty_folder(folder: Path, at: str, *_: object) -> None:
    if not os.path.lexists(folder / at) and ready(folder / at):
        (folder / at).mkdir()


def set_clock(folder: Path, at: str, content: str, *_: object) -> None:
    """A write by a machine whose clock is behind, or ahead."""
    if (folder / at).is_file() and not (folder / at).is_symlink():
        (folder / at).write_text(content)
        now = time.time()
        os.utime(folder / at, (now, now + (3600 if content == "two" else -3600)))


def ignore(folder: Path, at: str, *_: object) -> None:
    (folder / ".dockerignore").write_text(f"{at}\n!b/c\n")


EDITS = (
    write,
    write_unseen,
    rename,
    replace_by_link,
    link,
    change_mode,
    remove,
    empty_folder,
    set_clock,
    ignore,
)
edits = st.tuples(st.sampled_from(EDITS), name, st.sampled_from(CONTENTS), name, st.booleans())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(edits, max_size=8))
def test_no_sequence_of_edits_gives_another_key_than_reading_every_file(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    """Some edits come right after a run, within one tick of the clock, and others later."""
    folder = tmp_path_factory.mktemp("tree") / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    for at in FILES:
        write(folder, at, "one")
    source = source_of(folder)
    time.sleep(TICK)
    check(source)
    for edit, at, content, other, waits in steps:
        if waits:
            time.sleep(TICK)
        edit(folder, at, content, other)
        check(source)
    check(source)


@pytest.mark.parametrize("moment", ["before it is written", "when it is written"])
def test_a_run_that_is_killed_while_it_writes_leaves_the_index_as_it_was(folder: Path, moment: str) -> None:
    source = source_of(folder)
    time.sleep(TICK)
    check(source)
    [index] = indexes()
    before = index.read_bytes()
    (folder / "pipeline.py").write_text("print('other')\n")
    child = os.fork()
    if child == 0:  # pragma: no cover - another process

        def killed(*_: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        if moment == "when it is written":
            Path.replace = killed  # type: ignore[assignment]
        else:
            os.fdopen = killed  # type: ignore[assignment]
        fingerprint(source, cached=True)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert index.read_bytes() == before
    check(source)
    assert index.read_bytes() != before
    assert [path.name for path in index_folder().iterdir()] == [index.name]


def test_runs_at_the_same_time_share_it(folder: Path) -> None:
    source, done = source_of(folder), threading.Event()

    def edit() -> None:
        for number in range(30):
            (folder / "other.py").write_text(f"N = {number}\n")
            time.sleep(TICK / 10)
        done.set()

    def run(_: int) -> None:
        while not done.is_set():
            assert fingerprint(source, cached=True).key.startswith("v2:")

    with ThreadPoolExecutor(4) as pool:
        runs = pool.map(run, range(3))
        pool.submit(edit).result()
        list(runs)
    check(source)
    assert [path.suffix for path in index_folder().iterdir()] == [".index"]


def damaged(content: bytes) -> Iterator[bytes]:
    """Cut and changed in many places."""
    yield b""
    for at in range(0, len(content), max(len(content) // 50, 1)):
        yield content[:at]
        yield content[:at] + bytes([content[at] ^ 0x55]) + content[at + 1 :]


def test_a_damaged_index_is_ignored(folder: Path, opened: list[str]) -> None:
    source = source_of(folder)
    time.sleep(TICK)
    before = check(source)
    [index] = indexes()
    files = len(before.files) - 1  # config.toml is not read
    for content in damaged(index.read_bytes()):
        index.write_bytes(content)
        opened.clear()
        assert fingerprint(source, cached=True) == before
        assert len(opened) == files


def foreign(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(index, 65534, 65534)


def writable(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.chmod(0o666)


def other_rules(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_index, "_identity", lambda: b"those of another release")


def other_version(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_index, "_FORMAT", b"reconciler source index 9\n")


def a_folder(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index.unlink()
    index.mkdir()


@pytest.mark.parametrize("change", [foreign, writable, other_rules, other_version, a_folder])
def test_an_index_that_is_not_of_this_user_and_release_is_not_used(
    folder: Path,
    opened: list[str],
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    if change is foreign and os.geteuid() != 0:
        pytest.skip("only root can give a file away")
    source = source_of(folder)
    time.sleep(TICK)
    before = check(source)
    change(indexes()[0], monkeypatch)
    opened.clear()
    assert fingerprint(source, cached=True) == before
    assert "pipeline.py" in opened


@pytest.mark.parametrize("place", ["a file", "another user's", "nowhere"])
def test_a_cache_folder_that_cannot_be_used_is_no_problem(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "a file":
        (cache / "reconciler").write_text("")
    elif place == "nowhere":
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    elif os.geteuid() == 0:
        index_folder().mkdir(parents=True)
        os.chown(index_folder(), 65534, 65534)
    source = source_of(folder)
    assert whole(fingerprint(source, cached=True)) == whole(fingerprint(source, search=True))
    if place != "another user's" or os.geteuid() == 0:
        assert indexes() == []


def test_indexes_of_folders_that_are_gone_are_removed(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gone = tmp_path_factory.mktemp("gone")
    shutil.copytree(folder, gone / "context")
    check(source_of(gone / "context"))
    index_folder().joinpath("old.index").write_bytes(b"of another version")
    assert len(indexes()) == 2
    shutil.rmtree(gone)
    check(source_of(folder))
    assert len(indexes()) == 1


def test_all_indexes_together_are_bounded(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        copy = tmp_path_factory.mktemp("copy") / str(number)
        shutil.copytree(folder, copy)
        check(source_of(copy))
        [latest] = [path for path in indexes() if str(copy).encode() in path.read_bytes()]
        os.utime(latest, (number, number))
        monkeypatch.setattr(source_index, "_MAX_TOTAL", int(2.5 * latest.stat().st_size))
    kept = [path.read_bytes()[:400] for path in indexes()]
    assert len(kept) == 2
    assert any(str(copy).encode() in content for content in kept)
    monkeypatch.setattr(source_index, "_MAX_SIZE", 100)
    before = [path.read_bytes() for path in indexes()]
    check(source_of(folder))
    assert [path.read_bytes() for path in indexes()] == before


def test_it_holds_no_content_and_only_its_user_can_read_it(folder: Path) -> None:
    (folder / "notes.txt").write_text(TOKEN)
    check(source_of(folder))
    [index] = indexes()
    assert TOKEN.encode() not in index.read_bytes()
    assert index.stat().st_mode & 0o077 == index.parent.stat().st_mode & 0o077 == 0


def forge(folder: Path, at: str, path: Path, earlier: bytes) -> None:
    """Let an earlier index know a changed file as unchanged, as no file system should."""
    path.write_bytes(earlier)
    index = SourceIndex.load(real_path(folder))
    assert index is not None
    parent, slash, _ = at.rpartition("/")
    record = index.record(parent + slash)
    assert record is not None
    entries = zip(record.names.split("\0"), record.kinds, strict=True)
    members = [one for one, kind in entries if kind == source_index.MEMBER]
    status = b"".join(packed_status(status_of((folder / parent / one).lstat())) for one in members)
    unchanged: dict[str, FolderRecord | None] = {os.fsdecode(one): None for one in index._records}
    index.save(index.rules, {**unchanged, parent + slash: record._replace(status=status, newest=0)})


def kind(source: ImageSource, repository: str) -> ImageKind:
    return ImageKind(
        repository,
        source,
        fingerprint(source, cached=True),
        lambda: AppendBuilder(source, "configured"),
        dict,
        new_version=WayOut(ImageWay.NEW_VERSION),
    )


def create(image: ImageKind, source: ImageSource, repository: str, version: str) -> None:
    key = fingerprint(source, cached=True).key
    fields = {"version": version, "channel": "latest", "source_key": key, "platform": source.platform}
    image.create(repository.split("/"), fields, parent=None, report=silent)


@pytest.mark.registry
def test_an_index_that_is_wrong_publishes_nothing(
    registry: Registry, push_base: Callable[..., str], folder: Path
) -> None:
    """Not even a tag; and the next run reads every file."""
    repository = f"{registry.address}/index/{folder.name}"
    source = ImageSource(folder=folder, base=push_base(registry, "index/base"), workdir="/app")
    time.sleep(TICK)
    before = fingerprint(source, cached=True)
    create(kind(source, repository), source, repository, "1.0.0")
    [index] = indexes()
    earlier = index.read_bytes()

    (folder / "utils" / "steps.py").write_text("STEPS = 4\n")
    for error, version in ((RefusedError, "2.0.0"), (PermanentError, "1.0.0")):
        forge(folder, "utils/steps.py", index, earlier)
        assert fingerprint(source, cached=True) == before
        with pytest.raises(error, match="changed"):
            create(kind(source, repository), source, repository, version)
        assert indexes() == []
    with RegistryClient(repository) as client:
        assert client.digest("2.0.0") is None
        image = client.image("latest")
        assert image is not None
    assert fingerprint(source, cached=True).key != before.key
