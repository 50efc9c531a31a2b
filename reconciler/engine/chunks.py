"""The part of a fleet's run that a worker executes: one task, for the pipelines of a chunk.

Everything that comes and goes can be pickled, so a worker is a thread, a process or a machine of a cluster.
"""

import pickle
import socket
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

from msgspec import Struct, field
from msgspec.structs import astuple, replace

from providers.rate_limit import AT_ONCE
from providers.threads import Pool
from providers.waits import Hashing
from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.events import Emit, Event, Note, PipelineEvent
from reconciler.engine.files_key import key_of
from reconciler.engine.problems import unexpected
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline, validate
from reconciler.engine.workers import cores
from reconciler.system.files import display_path
from state.errors import StateError

A = TypeVar("A")
T = TypeVar("T")
Problem = UserError | StateError
SignIn = Callable[[Emit, int], AbstractContextManager[Session]]
"""Opens a session. The number is that of all sessions, which share the allowed requests per second."""


class Task(Struct, Generic[A, T], frozen=True, dict=True):
    """The work for each pipeline. To run in other processes, all of it must support pickling.

    It goes there with each chunk, but is pickled once, and unpickled once in each process.

    Attributes:
        read_options: how to read the files.
        sign_in: opens the session of a process when its first pipeline needs it.
        work: called once per pipeline whose files have no errors, from several threads, with its argument.
        sessions: number of processes, which share the allowed requests per second.
        threads: most pipelines of a process at once, if its chunks have several.
        total: number of all pipelines.
        writes: whether the work writes. If not, a list that several pipelines need is read once for all.
        key: identifies the task within a process.
    """

    read_options: ReadOptions
    sign_in: SignIn
    work: Callable[[Session, ValidatedPipeline, A], T]
    sessions: int = 1
    threads: int = 1
    total: int = 1
    writes: bool = False
    key: str = field(default_factory=lambda: uuid4().hex)

    @cached_property
    def _pickled(self) -> bytes:
        return pickle.dumps(astuple(self))

    def __reduce__(self) -> tuple[Callable[[bytes], "Task[A, T]"], tuple[bytes]]:
        return _unpickled, (self._pickled,)


def _unpickled(body: bytes) -> "Task[Any, Any]":
    # One thread at a time: it may import the module of the work, and if that fails, the threads that wait for
    # this module get a KeyError instead of the reason, such as too many open files.
    with _unpickling:
        return _unpickled_once(body)


@lru_cache(maxsize=8)
def _unpickled_once(body: bytes) -> "Task[Any, Any]":
    return Task(*pickle.loads(body))


class Chunk(Struct, Generic[A], frozen=True):
    """Some pipelines.

    Attributes:
        jobs: the folder of each, with its argument.
        keys: the key of the files that each must have; empty for workers with the same files.
    """

    jobs: Mapping[Path, A]
    attempt: int = 1
    keys: Mapping[Path, str] = field(default_factory=dict)

    def again(self, folders: Collection[Path]) -> "Chunk[A]":
        """Another attempt at these pipelines."""
        return Chunk({folder: self.jobs[folder] for folder in folders}, self.attempt + 1)


class Outcomes(Struct, Generic[T], frozen=True):
    """The outcomes of a chunk: of all its pipelines, unless signing in failed.

    Attributes:
        events: events of a worker process that sent none as they happened.
    """

    of: Mapping[Path, T | Problem]
    is_signed_in: bool
    sign_in_error: Problem | None
    events: Sequence[Event]


emits: dict[str, Emit] = {}
"""In the process of the command: task key -> receives the events."""
send_event: Callable[[str, Event], None] | None = None
"""In a worker process that sends events as they happen: sends one to the command, with the task's key."""
_processes: "dict[str, _Process[Any, Any]]" = {}
"""Task key -> the task's part of this process."""
_processes_lock = threading.Lock()
_unpickling = threading.Lock()


def run_chunk(task: Task[A, T], chunk: Chunk[A]) -> Outcomes[T]:
    """In the process of a worker: run the task for the pipelines of a chunk."""
    if send_event is not None and task.key not in _processes:
        close_idle()  # the session of the plan, when its apply begins
    with _processes_lock:
        if task.key not in _processes:
            _processes[task.key] = _Process(task)
        process: _Process[A, T] = _processes[task.key]
        process.in_hand += 1
    try:
        return process.run(chunk)
    finally:
        with _processes_lock:
            process.in_hand -= 1


def close_idle() -> None:
    """In the process of a worker: close the sessions of all tasks that it runs no chunk of."""
    with _processes_lock:
        idle = [key for key, process in _processes.items() if process.in_hand == 0]
        closing = [_processes.pop(key) for key in idle]
    for process in closing:
        process.close()


def end(key: str) -> None:
    """In the process of the command: close the session of a task, if one was opened here."""
    del emits[key]
    with _processes_lock:
        process = _processes.pop(key, None)
    if process is not None:
        process.close()


class _Process(Generic[A, T]):
    """One session for all chunks of a task that run in this process. Thread-safe.

    In a worker, the session stays open for further chunks, until `close_idle` or the end of the process.

    Attributes:
        in_hand: number of chunks that run.
    """

    def __init__(self, task: Task[A, T]) -> None:
        self.in_hand = 0
        self._task = task
        self._emit = emits.get(task.key) or (self._send if send_event else self._collect)
        self._events: deque[Event] = deque()
        self._session: Session | None = None
        self._sign_in_error: tuple[int, Problem] | None = None  # after the number of an attempt
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._threads = self._open.enter_context(Pool(task.threads))
        # Reading files and evaluating classes keeps a core busy.
        self._computing = threading.Semaphore(max(1, cores() // task.sessions))

    def close(self) -> None:
        self._open.close()

    def run(self, chunk: Chunk[A]) -> Outcomes[T]:
        outcomes: dict[Path, T | Problem] = {}
        works: list[Callable[[], object]] = []
        with self._computing:
            for folder, argument in chunk.jobs.items():
                if (validated := self._read(chunk, folder, outcomes)) is None:
                    continue
                work = partial(self._work, chunk, folder, validated, argument, outcomes)
                # This thread goes on computing; the others mostly wait for servers.
                works.append(work if len(chunk.jobs) == 1 else self._threads.submit(work).result)
        for finish in works:
            finish()
        events: list[Event] = []
        with suppress(IndexError):  # another thread takes events, too
            while True:
                events.append(self._events.popleft())
        failed = self._sign_in_error[1] if self._sign_in_error and len(outcomes) < len(chunk.jobs) else None
        return Outcomes(outcomes, self._session is not None, failed, events)

    def _read(
        self, chunk: Chunk[A], folder: Path, outcomes: dict[Path, T | Problem]
    ) -> ValidatedPipeline | None:
        """A pipeline whose files have no errors; None after an error, which becomes its outcome."""
        try:
            validated = validate(folder, self._task.read_options, emit=self._emit_of(folder))
            if expected := chunk.keys.get(folder):
                _require_same_files(folder, validated, expected)
            validated.require_valid()
        except Exception as problem:  # noqa: BLE001 - a bug hides no other pipeline
            outcomes[folder] = as_outcome(problem)
            return None
        return validated

    def _work(
        self,
        chunk: Chunk[A],
        folder: Path,
        validated: ValidatedPipeline,
        argument: A,
        outcomes: dict[Path, T | Problem],
    ) -> None:
        try:
            if (session := self._signed_in(chunk.attempt)) is not None:
                # A cluster, which gets the keys of files, repeats chunks of dead workers by itself.
                is_retry = chunk.attempt > 1 or bool(chunk.keys)
                session = replace(session, emit=self._emit_of(folder), is_retry=is_retry)
                outcomes[folder] = self._task.work(session, validated, argument)
        except Exception as problem:  # noqa: BLE001 - as above
            outcomes[folder] = as_outcome(problem)

    def _emit_of(self, folder: Path) -> Emit:
        return lambda event: self._emit(PipelineEvent(display_path(folder), event))

    def _signed_in(self, attempt: int) -> Session | None:
        """The session; None if signing in failed in this or a later attempt."""
        with self._lock:
            failed_in = self._sign_in_error[0] if self._sign_in_error else 0
            if self._session is None and failed_in < attempt:
                try:
                    session = self._open.enter_context(self._task.sign_in(self._emit, self._task.sessions))
                except (UserError, StateError) as problem:
                    self._sign_in_error = attempt, problem
                else:
                    if not self._task.writes:
                        session.platform.expect(self._task.total)
                    self._session = replace(session, threads=max(1, AT_ONCE // self._task.total))
            return self._session

    def _send(self, event: Event) -> None:
        """Send an event as it happens; of a task that reads, none that only describes the present."""
        assert send_event is not None
        if self._task.writes or not _is_of_the_present(event):
            send_event(self._task.key, event)

    def _collect(self, event: Event) -> None:
        """Keep an event until its chunk ends."""
        if not _is_of_the_present(event):
            self._events.append(event)


def as_outcome(problem: Exception) -> Problem:
    """The error of a pipeline, which may be a bug."""
    return problem if isinstance(problem, UserError | StateError) else CannotCheckError(unexpected(problem))


def _is_of_the_present(event: Event) -> bool:
    """Whether an event only describes what is being done."""
    inner = event.event if isinstance(event, PipelineEvent) else event
    return isinstance(inner, Note | Hashing)


def _require_same_files(folder: Path, validated: ValidatedPipeline, expected: str) -> None:
    """Raise CannotCheckError if a worker has other files of a pipeline than the command."""
    pipeline, source_key = validated.pipeline, validated.key
    key = key_of(pipeline, source_key.key) if pipeline and source_key else "none"
    if key != expected:
        detail = (
            f"The key of its files is {key} in {Path.cwd()} on {socket.gethostname()}, and {expected} here. "
            "Check out the same commit there, without other changes."
        )
        raise CannotCheckError(error(f"a worker has other files of {folder.as_posix()}", detail))
