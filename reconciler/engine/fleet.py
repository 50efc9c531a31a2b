"""Reads many pipelines at once: one task per chunk of pipelines, in threads and worker processes.

A task reads its pipelines with several threads and returns their outcomes, which can be pickled. A failing
pipeline hides no other, and a chunk whose worker process dies gets another attempt. Used by commands that
only read; decides nothing about a pipeline.
"""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Generic, Self, TypeVar
from uuid import uuid4

from providers.waits import Hashing
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit, Event, FleetProgress, Note
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import CannotCheckError, Session
from reconciler.engine.validate import ValidatedPipeline, duplicate_stack_error, validate
from state.errors import StateError

T = TypeVar("T")
Problem = UserError | StateError
SignIn = Callable[[Emit, int], AbstractContextManager[Session]]
"""Opens a session. The number is that of all sessions, which share the allowed requests per second."""
Done = Callable[[int], None]
"""Gets the number of pipelines that have just finished."""

THREADS = 32
"""Most pipelines read at once, in all processes together."""

_MANY = 100
"""The number of pipelines from which on worker processes save time."""
_CHUNKS_EACH = 8
"""Chunks per process: few, to keep the threads of a chunk busy, but enough to balance uneven chunks."""
_ATTEMPTS = 2
"""Attempts at a chunk whose worker process dies."""


@dataclass(frozen=True, slots=True)
class FleetResult(Generic[T]):
    """The outcome of each pipeline.

    Attributes:
        results: the results of the pipelines that were read, in the order of the folders.
        problems: the errors of the others.
        sign_in_error: the error of signing in, if it failed in every process and is not transient.
    """

    results: Mapping[Path, T]
    problems: Mapping[Path, Problem]
    sign_in_error: Problem | None = None


def inspect_all(
    folders: Sequence[Path],
    read_options: ReadOptions,
    sign_in: SignIn,
    inspect: Callable[[Session, ValidatedPipeline], T],
    emit: Emit,
) -> FleetResult[T]:
    """Inspect every pipeline whose files have no errors.

    Args:
        sign_in: opens the session when the first pipeline needs it.
        inspect: called once per pipeline, from several threads; only reads.

    From `_MANY` pipelines on, worker processes share the work, so `sign_in`, `inspect` and the results must
    support pickling.
    """
    count = _Counter(len(folders), emit if len(folders) > 1 else None)
    quiet = partial(_without_notes, emit) if len(folders) > 1 else emit
    processes = max(1, min(_cores(), THREADS, 2 * len(folders) // _MANY))
    task = _Task(read_options, sign_in, inspect, len(folders), processes)
    with _Worker(task, quiet) as here:
        if processes == 1:
            chunks = [here(folders, count)]
        else:
            chunks = _in_processes(task, here, folders, quiet, count)
    return _combine(folders, chunks)


@dataclass(frozen=True, slots=True)
class _Task(Generic[T]):
    """The work for each pipeline, as passed to every process.

    Attributes:
        total: number of all pipelines.
        processes: number of processes, which share the pipelines and the allowed requests per second.
        key: identifies the task within a process.
    """

    read_options: ReadOptions
    sign_in: SignIn
    inspect: Callable[[Session, ValidatedPipeline], T]
    total: int
    processes: int
    key: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True, slots=True)
class _Chunk(Generic[T]):
    """The outcomes of some pipelines.

    Attributes:
        outcomes: result or error of each pipeline that was read.
        names: names of the stacks of the pipelines whose files have no errors.
        lost: why the other pipelines have no outcome: signing in failed, or the process was killed.
        events: events of a worker process.
    """

    folders: Sequence[Path]
    outcomes: Mapping[Path, T | Problem]
    names: Mapping[Path, str]
    lost: Problem | None = None
    events: tuple[Event, ...] = ()


class _Worker(Generic[T]):
    """Reads chunks of pipelines in one process, with one session, which ends with the `with` block."""

    def __init__(self, task: _Task[T], emit: Emit) -> None:
        self._task = task
        self._emit = emit
        self._session: Session | None = None
        self._sign_in_error: Problem | None = None
        self._open = ExitStack()
        self._lock = threading.Lock()
        # Reading files and evaluating classes keeps a core busy.
        self._computing = threading.Semaphore(_cores() if task.processes == 1 else 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __call__(self, folders: Sequence[Path], done: Done) -> _Chunk[T]:
        """Read these pipelines."""
        outcomes: dict[Path, T | Problem] = {}
        names: dict[Path, str] = {}
        stopped = threading.Event()
        waiting = iter(folders)

        def work() -> None:
            for folder in waiting:
                try:
                    with self._computing:
                        checked = validate(folder, self._task.read_options, emit=self._emit)
                    names[folder] = checked.require_valid()[0].config.stack_name
                    if (session := self._signed_in()) is not None:
                        outcomes[folder] = self._task.inspect(session, checked)
                    elif self._task.processes > 1:
                        return  # leave the work to processes that could sign in
                except (UserError, StateError) as problem:
                    outcomes[folder] = problem
                done(1)
                if stopped.is_set():
                    return

        threads = min(max(1, THREADS // self._task.processes), len(folders))
        with _threads(threads, stopped) as pool:
            for future in [pool.submit(work) for _ in range(threads)]:
                future.result()
        return _Chunk(folders, outcomes, names, self._sign_in_error)

    @property
    def can_sign_in(self) -> bool:
        """False once signing in failed, until `try_again`."""
        return self._sign_in_error is None

    def try_again(self) -> None:
        """Let the next chunk sign in again after a failure."""
        self._sign_in_error = None

    def _signed_in(self) -> Session | None:
        """The session that all threads share; None if signing in failed."""
        with self._lock:
            if self._session is None and self._sign_in_error is None:
                try:
                    opened = self._open.enter_context(self._task.sign_in(self._emit, self._task.processes))
                except (UserError, StateError) as problem:
                    self._sign_in_error = problem
                else:
                    opened.platform.expect(self._task.total)
                    self._session = replace(opened, threads=max(1, THREADS // self._task.total))
            return self._session


def _in_processes(
    task: _Task[T], here: _Worker[T], folders: Sequence[Path], emit: Emit, done: Done
) -> list[_Chunk[T]]:
    """Read all chunks. A chunk whose process was killed, or could not sign in, gets another attempt."""
    size = -(-len(folders) // (task.processes * _CHUNKS_EACH))
    waiting = [folders[start : start + size] for start in range(0, len(folders), size)]
    finished: list[_Chunk[T]] = []
    lost: list[_Chunk[T]] = []
    for _ in range(_ATTEMPTS):
        chunks = _attempt(task, here, waiting, emit, done)
        lost = [chunk for chunk in chunks if chunk.lost is not None]
        finished += [chunk for chunk in chunks if chunk.lost is None]
        waiting = [chunk.folders for chunk in lost]
        if not lost or not finished:
            break
    return [*finished, *lost]


def _attempt(
    task: _Task[T], here: _Worker[T], chunks: Sequence[Sequence[Path]], emit: Emit, done: Done
) -> list[_Chunk[T]]:
    """Read these chunks in worker processes and in this one."""
    from concurrent.futures import ProcessPoolExecutor  # few runs need more than one process
    from concurrent.futures.process import BrokenProcessPool
    from multiprocessing import active_children, get_context

    def report(future: "Future[_Chunk[T]]") -> None:
        if future.exception() is None:
            for event in future.result().events:
                emit(event)
            done(len(future.result().outcomes))

    def start() -> None:
        """Submit chunks so that each worker process has one to read and one waiting."""
        while waiting and sum(not future.done() for future, _ in started) < 2 * others:
            with _without_ctrl_c():
                started.append((pool.submit(_read_chunk, task, waiting[0]), waiting[0]))
            waiting.popleft()
            started[-1][0].add_done_callback(report)

    waiting = deque(chunks)
    started: list[tuple[Future[_Chunk[T]], Sequence[Path]]] = []
    read: list[_Chunk[T]] = []
    killed = CannotCheckError(error(*_KILLED))
    before = set(active_children())
    others = min(task.processes - 1, len(chunks))
    pool = ProcessPoolExecutor(others, mp_context=get_context("spawn"), initializer=_end_with_the_command)
    here.try_again()
    try:
        with suppress(BrokenProcessPool):
            start()
            while waiting:
                if here.can_sign_in:
                    read.append(here(waiting.popleft(), done))
                else:
                    wait({f for f, _ in started if not f.done()}, return_when=FIRST_COMPLETED)
                start()
        for future, chunk in started:
            try:
                read.append(future.result())
            except BrokenProcessPool:
                read.append(_Chunk(chunk, {}, {}, killed))
    except BaseException:
        for process in set(active_children()) - before:
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [*read, *(_Chunk(chunk, {}, {}, killed) for chunk in waiting)]


_KILLED = (
    "the worker process that was checking it was killed",
    "Was there too little memory? Run the same command again.",
)


_workers: dict[str, tuple[_Worker[Any], list[Event]]] = {}
"""In a worker process: task key -> its worker, and the events since the last chunk."""


def _read_chunk(task: _Task[T], folders: Sequence[Path]) -> _Chunk[T]:
    """In a worker process: read a chunk. The session stays open until the process ends."""
    if task.key not in _workers:
        events: list[Event] = []
        _workers[task.key] = (_Worker(task, events.append), events)
    worker, events = _workers[task.key]
    events.clear()
    chunk = worker(folders, lambda _: None)
    return replace(chunk, events=tuple(event for event in events if not isinstance(event, Note | Hashing)))


def _end_with_the_command() -> None:
    """In a worker process: exit when the command's process ends for any reason."""
    from multiprocessing import parent_process

    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, name="parent", daemon=True).start()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let processes started in this block ignore Ctrl-C from the start; the command handles it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _combine(folders: Sequence[Path], chunks: Sequence[_Chunk[T]]) -> FleetResult[T]:
    """All outcomes, in the order of the folders. A pipeline with the stack of an earlier one is an error."""
    outcomes = {folder: outcome for chunk in chunks for folder, outcome in chunk.outcomes.items()}
    names = {folder: name for chunk in chunks for folder, name in chunk.names.items()}
    lost = next((chunk.lost for chunk in chunks if chunk.lost is not None), None)
    results: dict[Path, T] = {}
    problems: dict[Path, Problem] = {}
    first: dict[str, Path] = {}
    for folder in folders:
        outcome = outcomes.get(folder, lost)
        if (name := names.get(folder)) is not None and first.setdefault(name, folder) != folder:
            outcome = duplicate_stack_error(name, first[name], folder)
        if isinstance(outcome, UserError | StateError):
            problems[folder] = outcome
        else:
            assert outcome is not None
            results[folder] = outcome
    final = all(chunk.lost is not None and not isinstance(chunk.lost, CannotCheckError) for chunk in chunks)
    return FleetResult(results, problems, lost if final else None)


class _Counter:
    """Emits the number of finished pipelines. Thread-safe."""

    def __init__(self, total: int, emit: Emit | None) -> None:
        self._total = total
        self._emit = emit
        self._done = 0
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done = min(self._done + count, self._total)  # a lost chunk is counted twice
            if self._emit is not None:
                self._emit(FleetProgress(self._done, self._total))


def _without_notes(emit: Emit, event: Event) -> None:
    """Drop notes: they describe one pipeline, and would flicker for many at once."""
    if not isinstance(event, Note):
        emit(event)


@contextmanager
def _threads(count: int, stopped: threading.Event) -> Iterator[ThreadPoolExecutor]:
    pool = ThreadPoolExecutor(max(count, 1), thread_name_prefix="fleet")
    try:
        yield pool
    finally:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)  # after an interruption, do not wait for the rest


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
