"""Runs one task for many pipelines on an executor: threads, worker processes, or a cluster.

A failing pipeline hides no other, and a chunk whose worker dies is tried again. Decides nothing about a
pipeline; `chunks` has the part that the executor runs.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, wait
from itertools import islice
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Generic

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.diagnostics import CannotCheckError, error
from reconciler.core.events import Emit
from reconciler.engine import chunks
from reconciler.engine.chunks import A, Chunk, Outcomes, Problem, T, Task, as_outcome, run_chunk
from reconciler.engine.workers import FailedCallError, LostWorkersError

_ATTEMPTS = 2
"""Attempts at a pipeline whose worker dies or cannot sign in."""
_KILLED = (
    "the worker process that was working on it was killed",
    "Was there too little memory? Run the same command again.",
)


class Lane(Struct, Generic[A], frozen=True):
    """Pipelines of which only some are in hand at once, whatever the other lanes do.

    Attributes:
        jobs: the folder of each pipeline, with its argument.
        at_once: most chunks in hand.
    """

    jobs: Mapping[Path, A]
    at_once: int


def run(
    lanes: Sequence[Lane[A]],
    task: Task[A, T],
    executor: Executor,
    emit: Emit,
    *,
    chunk: int = 1,
    stop: threading.Event | None = None,
    key_of_files: Callable[[Path], str] | None = None,
    isolates: bool = False,
) -> Generator[tuple[Path, T | Problem], None, None]:
    """Yield the outcome of each pipeline when its chunk finishes.

    Closing the generator (`contextlib.closing`) starts nothing new and waits for the chunks in hand. Only
    KeyboardInterrupt does not wait.

    Args:
        lanes: the pipelines.
        executor: gets only the chunks that the lanes allow, so that none waits in its queue.
        emit: gets a `PipelineEvent` when it happens in this process or is sent to it, else with the outcomes.
        chunk: number of pipelines in a chunk.
        stop: once it is set, nothing new starts. Pipelines that never started have no outcome.
        key_of_files: the key that the files of a folder must have; None for workers with the same files. With
            it, workers get folders relative to the current folder.
        isolates: whether a chunk that may have killed its process is tried again while nothing else runs.

    Raises:
        UserError, StateError: no session could be opened, for a reason that is not transient. Raised after
            the outcomes of pipelines whose files have errors.
    """
    queues: list[_Queue[A, T]] = [_Queue(lane, chunk) for lane in lanes]
    in_hand: dict[Future[Outcomes[T]], tuple[_Queue[A, T], Chunk[A]]] = {}
    done: SimpleQueue[Future[Outcomes[T]]] = SimpleQueue()
    chunks.emits[task.key] = emit
    try:
        while True:
            for queue in queues:
                while not (stop and stop.is_set()):
                    is_alone = isolates and any(part.attempt > 1 for _, part in in_hand.values())
                    if is_alone or (part := queue.start(may_retry=not (isolates and in_hand))) is None:
                        break
                    sent = _elsewhere(part, key_of_files) if key_of_files else part
                    future = executor.submit(run_chunk, task, sent)
                    in_hand[future] = queue, part
                    future.add_done_callback(done.put)
            if not in_hand:
                break
            future = done.get()
            queue, part = in_hand.pop(future)
            try:
                outcomes = future.result()
            except BrokenExecutor as problem:
                yield from queue.killed(part, problem)
            except FailedCallError as problem:
                yield from queue.failed(part, problem)
            else:
                for event in outcomes.events:
                    emit(event)
                yield from queue.ended(part, _here(outcomes, part) if key_of_files else outcomes)
        if not (stop and stop.is_set()):
            for queue in queues:
                yield from queue.not_signed_in()
    except KeyboardInterrupt:
        _cancel(in_hand)
        raise
    except BaseException:
        _cancel(in_hand)
        wait(in_hand)
        raise
    finally:
        chunks.end(task.key)


def _cancel(in_hand: Iterable[Future[Any]]) -> None:
    for future in in_hand:
        future.cancel()


def _elsewhere(chunk: Chunk[A], key_of_files: Callable[[Path], str]) -> Chunk[A]:
    """The chunk for workers with a checkout at another place."""
    jobs = {_relative(folder): argument for folder, argument in chunk.jobs.items()}
    return Chunk(jobs, chunk.attempt, {_relative(folder): key_of_files(folder) for folder in chunk.jobs})


def _here(outcomes: Outcomes[T], chunk: Chunk[Any]) -> Outcomes[T]:
    """The outcomes of a worker with the folders of this checkout."""
    of = {folder: outcomes.of[_relative(folder)] for folder in chunk.jobs if _relative(folder) in outcomes.of}
    return replace(outcomes, of=of)


def _relative(folder: Path) -> Path:
    return Path(os.path.relpath(folder))


class _Queue(Generic[A, T]):
    """The chunks of a lane that are not in hand. Its generators yield outcomes."""

    def __init__(self, lane: Lane[A], chunk: int) -> None:
        rest = iter(lane.jobs.items())
        self._waiting = deque(iter(lambda: Chunk(dict(islice(rest, chunk))), Chunk({})))
        self._lost: list[Chunk[A]] = []  # their processes could not sign in
        self._at_once = lane.at_once
        self._in_hand = 0
        self._is_signed_in = False
        self._sign_in_error: Problem | None = None

    def start(self, *, may_retry: bool) -> Chunk[A] | None:
        """The chunk to start now; None to start nothing."""
        if self._in_hand == 0 and self._is_signed_in and self._lost and not (self._waiting and self._at_once):
            self._waiting.extend(self._lost)
            self._lost, self._at_once = [], max(self._at_once, 1)
        if not self._waiting or self._in_hand >= self._at_once:
            return None
        if self._waiting[0].attempt > 1 and not may_retry:
            return None
        self._in_hand += 1
        return self._waiting.popleft()

    def killed(self, chunk: Chunk[A], problem: BrokenExecutor) -> Iterator[tuple[Path, Problem]]:
        """The worker of this chunk died: try its pipelines one by one, to find the one that kills it."""
        self._in_hand -= 1
        if chunk.attempt < _ATTEMPTS:
            self._waiting += [chunk.again([folder]) for folder in chunk.jobs]
        else:
            text = (problem.message, problem.hint) if isinstance(problem, LostWorkersError) else _KILLED
            yield from ((folder, CannotCheckError(error(*text, may_pass=True))) for folder in chunk.jobs)

    def failed(self, chunk: Chunk[A], problem: FailedCallError) -> Iterator[tuple[Path, Problem]]:
        """The worker of this chunk could not run it, or not return its outcomes."""
        if not isinstance(problem.cause, Exception):
            raise problem.cause
        self._in_hand -= 1
        yield from ((folder, as_outcome(problem.cause)) for folder in chunk.jobs)

    def ended(self, chunk: Chunk[A], outcomes: Outcomes[T]) -> Iterator[tuple[Path, T | Problem]]:
        self._in_hand -= 1
        yield from outcomes.of.items()
        self._is_signed_in = self._is_signed_in or outcomes.is_signed_in
        if outcomes.sign_in_error is None:
            return
        self._sign_in_error = outcomes.sign_in_error
        self._at_once -= 1  # leave the rest to processes that can sign in
        unread = [folder for folder in chunk.jobs if folder not in outcomes.of]
        if chunk.attempt < _ATTEMPTS:
            self._lost.append(chunk.again(unread))
        else:
            yield from ((folder, outcomes.sign_in_error) for folder in unread)

    def not_signed_in(self) -> Iterator[tuple[Path, Problem]]:
        """The pipelines that are left because no process could sign in. Raises a lasting error."""
        rest = [folder for chunk in (*self._waiting, *self._lost) for folder in chunk.jobs]
        if rest and self._sign_in_error is not None:
            if not isinstance(self._sign_in_error, CannotCheckError):
                raise self._sign_in_error
            yield from ((folder, self._sign_in_error) for folder in rest)
