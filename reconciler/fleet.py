"""The story of many pipelines at once: files are read on all cores, far ends are asked by some threads.

What is wrong with one pipeline never hides another. Between the commands and `planning`; only for commands
that read. Decides nothing about a pipeline itself.
"""

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import Generic, TypeVar

from reconciler.diagnostics import UserError, error
from reconciler.drift import Shard
from reconciler.events import Counted, Emit, Event, Note
from reconciler.session import CannotCheckError, Checked, Reading, Session, validate
from state.errors import StateError

T = TypeVar("T")
Problem = UserError | StateError

THREADS = 32
"""Requests under way at once, whatever the number of pipelines."""

_MANY = 100
"""Pipelines from which on interpreters of their own, half a second each, read files sooner than threads."""


@dataclass(frozen=True, slots=True)
class Looked(Generic[T]):
    """What became of each pipeline.

    Attributes:
        results: of those that could be looked at, in the order in which the folders were given.
        problems: why the others could not be.
        refused: why nobody could be signed in, where trying again will not change that.
    """

    results: Mapping[Path, T]
    problems: Mapping[Path, Problem]
    refused: Problem | None = None


def part_of(folders: Sequence[Path], root: Path, shard: Shard | None) -> list[Path]:
    """The folders of this shard: the same on every machine, whatever other folders come or go."""
    return [
        folder for folder in folders if shard is None or _number(folder, root) % shard.of == shard.index - 1
    ]


def _number(folder: Path, root: Path) -> int:
    name = Path(os.path.relpath(folder, root)).as_posix()
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def look_at(
    folders: Sequence[Path],
    reading: Reading,
    sign_in: Callable[[Emit], AbstractContextManager[Session]],
    look: Callable[[Session, Checked], T],
    emit: Emit,
) -> Looked[T]:
    """Look at every pipeline of which the files are sound.

    Args:
        sign_in: opens the session, once a first pipeline is sound.
        look: what is done with each; called from several threads, and only reads.
    """
    several = len(folders) > 1
    asking = partial(_without_notes, emit) if several else emit
    outcomes: dict[Path, Future[T] | Problem] = {}
    names: dict[Path, str] = {}
    away: Problem | None = None
    session: Session | None = None
    count = _Count(len(folders), emit if several else None)
    with (
        ExitStack() as opened_session,
        _threads(min(THREADS, len(folders))) as readers,
        closing(_validated(folders, reading)) as validated,
    ):
        for folder, checked in validated:
            try:
                names[folder] = checked.sound()[0].name
                if session is None and away is None:
                    opened = opened_session.enter_context(sign_in(asking))
                    opened.platform.expect(len(folders))
                    session = replace(opened, threads=max(1, THREADS // len(folders)))
            except (UserError, StateError) as problem:
                outcomes[folder] = problem
                if folder in names:
                    away = problem
            else:
                if session is not None:
                    future = readers.submit(look, session, checked)
                    future.add_done_callback(count)
                    outcomes[folder] = future
                    continue
                assert away is not None
                outcomes[folder] = away
            count(None)
        looked = _settled(folders, outcomes, names)
    return looked if away is None or isinstance(away, CannotCheckError) else replace(looked, refused=away)


def _settled(
    folders: Sequence[Path], outcomes: Mapping[Path, "Future[T] | Problem"], names: Mapping[Path, str]
) -> Looked[T]:
    """Every outcome, in the order of the folders; of two pipelines with one name the second is a problem."""
    results: dict[Path, T] = {}
    problems: dict[Path, Problem] = {}
    first: dict[str, Path] = {}
    for folder in folders:
        outcome = outcomes[folder]
        if (name := names.get(folder)) is not None and first.setdefault(name, folder) != folder:
            told = f"{first[name]} and {folder} would undo each other's work. Rename one of them."
            outcome = UserError(error(f"two pipelines have metadata.name = {name!r}", told))
        if not isinstance(outcome, Future):
            problems[folder] = outcome
            continue
        try:
            results[folder] = outcome.result()
        except (UserError, StateError) as problem:
            problems[folder] = problem
    return Looked(results, problems)


class _Count:
    """Tells how many pipelines are done. Safe for threads."""

    def __init__(self, total: int, emit: Emit | None) -> None:
        self._total = total
        self._emit = emit
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, _: object) -> None:
        with self._lock:
            self._done += 1
            if self._emit is not None:
                self._emit(Counted(self._done, self._total))


def _without_notes(emit: Emit, event: Event) -> None:
    """What is done right now is a line for one pipeline; for many at once it would only flicker."""
    if not isinstance(event, Note):
        emit(event)


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(max(count, 1), thread_name_prefix="look")
    try:
        yield pool
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an interruption nobody waits for the rest


def _validated(folders: Sequence[Path], reading: Reading) -> Generator[tuple[Path, Checked]]:
    """What the files of each pipeline say, as soon as it is known; on all cores, and no more at once."""
    if len(folders) == 1:
        yield folders[0], validate(folders[0], reading)
        return
    with _pool(len(folders)) as pool:
        waiting = {pool.submit(validate, folder, reading): folder for folder in folders}
        for ended in as_completed(waiting):
            yield waiting.pop(ended), ended.result()


@contextmanager
def _pool(count: int) -> Iterator[Executor]:
    """Reads files: threads for some pipelines, interpreters for many. Whatever happens, none outlives it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < _MANY or cores == 1:
        with _threads(min(cores, count)) as threads:
            yield threads
        return
    others = set(active_children())
    pool = ProcessPoolExecutor(cores, mp_context=get_context("spawn"), initializer=_as_a_reader)
    try:
        yield pool
    finally:
        for reader in set(active_children()) - others:
            reader.terminate()
        pool.shutdown(cancel_futures=True)


def _as_a_reader() -> None:
    """In each interpreter that reads files: it ends with the command, and leaves Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, name="parent", daemon=True).start()
