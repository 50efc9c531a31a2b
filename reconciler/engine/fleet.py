"""Runs one task for many pipelines on an executor: threads, worker processes, or a cluster.

A failing pipeline hides no other, and a chunk whose worker dies is tried again. Decides nothing about a
pipeline; `chunks` has the part that the executor runs.
"""

import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from itertools import islice
from pathlib import Path
from typing import Any, Generic

from reconciler.core.diagnostics import error
from reconciler.core.events import Emit
from reconciler.engine import chunks
from reconciler.engine.chunks import A, Chunk, Outcomes, Problem, T, Task, run_chunk
from reconciler.engine.session import CannotCheckError

_ATTEMPTS = 2
"""Attempts at a pipeline whose worker dies or cannot sign in."""
_KILLED = (
    "the worker process that was working on it was killed",
    "Was there too little memory? Run the same command again.",
)


def run(
    jobs: Mapping[Path, A],
    task: Task[A, T],
    executor: Executor,
    emit: Emit,
    *,
    chunk: int = 1,
    at_once: int,
    stop: threading.Event | None = None,
) -> Generator[tuple[Path, T | Problem], None, None]:
    """Yield the outcome of each pipeline when its chunk finishes.

    Closing the generator (`contextlib.closing`) starts nothing new and waits for the chunks in hand. Only
    KeyboardInterrupt does not wait.

    Args:
        jobs: the folder of each pipeline, with its argument.
        executor: gets at most `at_once` chunks, so that none waits in its queue.
        emit: gets a `PipelineEvent` when it happens in this process, or with the outcomes of another one.
        chunk: number of pipelines in a chunk.
        stop: once it is set, nothing new starts. Pipelines that never started have no outcome.

    Raises:
        UserError, StateError: no session could be opened, for a reason that is not transient. Raised after
            the outcomes of pipelines whose files have errors.
    """
    queue: _Queue[A, T] = _Queue(jobs, chunk, at_once)
    in_hand: dict[Future[Outcomes[T]], Chunk[A]] = {}
    chunks.emits[task.key] = emit
    try:
        while True:
            while not (stop and stop.is_set()) and (part := queue.next(len(in_hand))) is not None:
                in_hand[executor.submit(run_chunk, task, part)] = part
            if not in_hand:
                break
            for future in wait(in_hand, return_when=FIRST_COMPLETED).done:
                part = in_hand.pop(future)
                try:
                    outcomes = future.result()
                except BrokenExecutor:
                    yield from queue.killed(part)
                else:
                    for event in outcomes.events:
                        emit(event)
                    yield from queue.ended(part, outcomes)
        if not (stop and stop.is_set()):
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


class _Queue(Generic[A, T]):
    """The chunks that are not in hand. Its generators yield outcomes."""

    def __init__(self, jobs: Mapping[Path, A], chunk: int, at_once: int) -> None:
        rest = iter(jobs.items())
        self._waiting = deque(iter(lambda: Chunk(dict(islice(rest, chunk))), Chunk({})))
        self._lost: list[Chunk[A]] = []  # their processes could not sign in
        self._at_once = at_once
        self._is_signed_in = False
        self._sign_in_error: Problem | None = None

    def next(self, in_hand: int) -> Chunk[A] | None:
        """The chunk to start next; None to start nothing."""
        if in_hand == 0 and self._is_signed_in and self._lost and not (self._waiting and self._at_once):
            self._waiting.extend(self._lost)
            self._lost, self._at_once = [], max(self._at_once, 1)
        return self._waiting.popleft() if self._waiting and in_hand < self._at_once else None

    def killed(self, chunk: Chunk[A]) -> Iterator[tuple[Path, Problem]]:
        """The worker of this chunk died: try its pipelines one by one, to find the one that kills it."""
        if chunk.attempt < _ATTEMPTS:
            self._waiting += [chunk.again([folder]) for folder in chunk.jobs]
        else:
            yield from ((folder, CannotCheckError(error(*_KILLED))) for folder in chunk.jobs)

    def ended(self, chunk: Chunk[A], outcomes: Outcomes[T]) -> Iterator[tuple[Path, T | Problem]]:
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
