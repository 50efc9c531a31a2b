"""The story of many pipelines at once: files are read on all cores, far ends are asked by some threads.

What is wrong with one pipeline never hides another. Between the commands and `planning`; only for commands
that read. Decides nothing about a pipeline itself.
"""

import hashlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from reconciler.diagnostics import UserError, error
from reconciler.drift import Shard
from reconciler.events import Counted, Emit, Event, Note
from reconciler.session import CannotCheckError, Checked, Reading, Session, of_one_name, validate
from state.errors import StateError

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.sharedctypes import Synchronized

T = TypeVar("T")
Problem = UserError | StateError
SignIn = Callable[[Emit, int], AbstractContextManager[Session]]
"""Opens a session that is one of so many, side by side: they share what a second allows to be asked."""

THREADS = 32
"""Pipelines that are asked for at once, whatever their number."""

_MANY = 100
"""Pipelines from which on interpreters of their own, which take a while to start, are sooner done."""


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
    sign_in: SignIn,
    look: Callable[[Session, Checked], T],
    emit: Emit,
) -> Looked[T]:
    """Look at every pipeline of which the files are sound.

    Args:
        sign_in: opens the session, once a first pipeline is sound.
        look: what is done with each; called from several threads, and only reads.

    With many pipelines other processes look at a part of them: both can be pickled, and so can the results.
    """
    count = _Count(len(folders), emit if len(folders) > 1 else None)
    asking = partial(_without_notes, emit) if len(folders) > 1 else emit
    parts = max(1, min(_cores(), THREADS, 2 * len(folders) // _MANY))
    job = _Job(folders, reading, sign_in, look, parts)
    if parts == 1:  # fewer than many pipelines, or one core
        return _settled(folders, [job(iter(range(len(folders))), asking, count)])
    return _settled(folders, _side_by_side(job, asking, count))


@dataclass(frozen=True, slots=True)
class _Part(Generic[T]):
    """What became of a part of the pipelines.

    Attributes:
        outcomes: of those that were looked at, or could not be for a reason of their own.
        names: of those whose files are sound.
        away: why nobody could be signed in to look at the others.
    """

    outcomes: Mapping[Path, T | Problem]
    names: Mapping[Path, str]
    away: Problem | None


@dataclass(frozen=True, slots=True)
class _Job(Generic[T]):
    """How pipelines are looked at.

    Attributes:
        folders: all of them, in every part.
        parts: how many do this side by side, and share what may be asked.
    """

    folders: Sequence[Path]
    reading: Reading
    sign_in: SignIn
    look: Callable[[Session, Checked], T]
    parts: int

    def __call__(self, numbers: Iterator[int], emit: Emit, done: Callable[[], None]) -> _Part[T]:
        """Look at the folders of these numbers, by threads that each take the next one.

        Args:
            numbers: safe for threads.
        """
        outcomes: dict[Path, T | Problem] = {}
        names: dict[Path, str] = {}
        at_work = threading.Semaphore(_cores() if self.parts == 1 else 1)
        threads = min(THREADS // self.parts, len(self.folders))
        stopped = threading.Event()

        def look(folder: Path) -> None:
            try:
                with at_work:  # reading files, and computing classes, is work for a core
                    checked = validate(folder, self.reading)
                names[folder] = checked.sound()[0].name
                if (session := once.session()) is not None:
                    outcomes[folder] = self.look(session, checked)
            except (UserError, StateError) as problem:
                outcomes[folder] = problem
            done()

        def look_on() -> None:
            for number in numbers:
                look(self.folders[number])
                # A part that is not signed in would be quicker than the others, and leave them nothing.
                if stopped.is_set() or (once.problem is not None and self.parts > 1):
                    return

        with (
            _SignedInOnce(partial(self.sign_in, emit, self.parts), len(self.folders)) as once,
            _threads(threads, stopped) as pool,
        ):
            for ended in [pool.submit(look_on) for _ in range(threads)]:
                ended.result()
        return _Part(outcomes, names, once.problem)


class _SignedInOnce:
    """The session that all threads share, opened by the first that needs it. Closed at the end of the block.

    Attributes:
        problem: why there is none.
    """

    def __init__(self, sign_in: Callable[[], AbstractContextManager[Session]], total: int) -> None:
        self.problem: Problem | None = None
        self._sign_in = sign_in
        self._total = total
        self._session: Session | None = None
        self._open = ExitStack()
        self._lock = threading.Lock()

    def session(self) -> Session | None:
        """None where nobody could be signed in, which is not tried again."""
        with self._lock:
            if self._session is None and self.problem is None:
                try:
                    opened = self._open.enter_context(self._sign_in())
                except (UserError, StateError) as problem:
                    self.problem = problem
                else:
                    opened.platform.expect(self._total)
                    self._session = replace(opened, threads=max(1, THREADS // self._total))
            return self._session

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()


def _settled(folders: Sequence[Path], parts: Sequence[_Part[T]]) -> Looked[T]:
    """Every outcome, in the order of the folders; of two pipelines with one name the second is a problem."""
    outcomes = {folder: outcome for part in parts for folder, outcome in part.outcomes.items()}
    names = {folder: name for part in parts for folder, name in part.names.items()}
    away = next((part.away for part in parts if part.away is not None), None)
    anybody = any(part.away is None for part in parts)
    results: dict[Path, T] = {}
    problems: dict[Path, Problem] = {}
    first: dict[str, Path] = {}
    for folder in folders:
        outcome = outcomes.get(folder, away)
        if (name := names.get(folder)) is not None and first.setdefault(name, folder) != folder:
            outcome = of_one_name(name, first[name], folder)
        if isinstance(outcome, UserError | StateError):
            problems[folder] = outcome
        else:
            assert outcome is not None
            results[folder] = outcome
    return Looked(results, problems, None if anybody or isinstance(away, CannotCheckError) else away)


class _Count:
    """Tells how many pipelines are done. Safe for threads."""

    def __init__(self, total: int, emit: Emit | None) -> None:
        self._total = total
        self._emit = emit
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self._done += 1
            if self._emit is not None:
                self._emit(Counted(self._done, self._total))


def _without_notes(emit: Emit, event: Event) -> None:
    """What is done right now is a line for one pipeline; for many at once it would only flicker."""
    if not isinstance(event, Note):
        emit(event)


@contextmanager
def _threads(count: int, stopped: threading.Event) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(max(count, 1), thread_name_prefix="look")
    try:
        yield pool
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)  # after an interruption nobody waits for the rest


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _side_by_side(job: _Job[T], emit: Emit, count: Callable[[], None]) -> Sequence[_Part[T]]:
    """What became of each part: one here, the others in interpreters of their own.

    Whatever happens, none of those outlives this.
    """
    context = get_context("spawn")
    told = context.SimpleQueue()  # what happens in the others: an event, and _DONE for each pipeline
    ended = threading.Event()

    def tell() -> None:
        with suppress(EOFError, OSError):  # one that was killed had not told it all
            while not (ended.is_set() and told.empty()):
                if told.empty():  # a thread that waits in `get` cannot be called back
                    ended.wait(_PAUSE)
                elif (event := told.get()) == _DONE:
                    count()
                else:
                    emit(event)

    teller = threading.Thread(target=tell, name="told", daemon=True)
    teller.start()
    before = set(active_children())
    others = job.parts - 1
    numbers = _Numbers(len(job.folders), context.Value("q", 0))
    pool = ProcessPoolExecutor(others, mp_context=context, initializer=_as_a_helper, initargs=(told, numbers))
    try:
        with _without_ctrl_c():
            futures = [pool.submit(_help, job) for _ in range(others)]
        ours = job(numbers, emit, count)
        try:
            theirs = [future.result() for future in futures]
        except BrokenProcessPool:  # somebody killed one, and the pool has ended the others
            return [ours, _Part({}, {}, CannotCheckError(error(*_KILLED)))]
        return [ours, *theirs]
    finally:
        numbers.end()
        for helper in set(active_children()) - before:
            helper.terminate()
        pool.shutdown(cancel_futures=True)
        ended.set()
        teller.join()
        told.close()


_KILLED = (
    "it was being looked at by another process, which was killed",
    "Was there too little memory? Run the same command again.",
)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes that are started in this block leave Ctrl-C to the command, from their first moment on."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Numbers:
    """0, 1, 2, … below a total, each to one of all the interpreters and threads that ask.

    So the one that is quicker, or has begun earlier, does more.
    """

    def __init__(self, total: int, taken: "Synchronized[int]") -> None:
        self._total = total
        self._taken: Synchronized[int] | None = taken

    def end(self) -> None:
        """There are no more, and the semaphore is let go of: threads that are not waited for still ask."""
        self._taken = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> int:
        if (taken := self._taken) is None:
            raise StopIteration
        with taken.get_lock():
            number = taken.value
            if number >= self._total:
                raise StopIteration
            taken.value = number + 1
            return number


_DONE = "done"
_PAUSE = 0.05  # seconds between two looks at what the others tell


class _Helper:
    """What an interpreter that has a part knows beside it.

    Attributes:
        told: where it tells what happens.
        numbers: which pipelines are its own.
    """

    told: "SimpleQueue[Event | str]"
    numbers: _Numbers


def _as_a_helper(told: "SimpleQueue[Event | str]", numbers: _Numbers) -> None:
    """In each interpreter that has a part: it ends with the command."""
    _Helper.told, _Helper.numbers = told, numbers
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, name="parent", daemon=True).start()


def _help(job: _Job[T]) -> _Part[T]:
    told = _Helper.told
    return job(_Helper.numbers, told.put, partial(told.put, _DONE))
