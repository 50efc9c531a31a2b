"""Runs pipelines on an executor of the caller: threads, processes, or a cluster."""

from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from reconciler.engine.local_workers import LocalWorkers, local, start_early
from reconciler.engine.workers import THREADS, OpenWorkers, Workers, cores

__all__ = [
    "BorrowedExecutor",
    "LocalWorkers",
    "OpenWorkers",
    "borrowed",
    "count_of",
    "is_of_threads",
    "open_workers",
    "start_early",
]

R = TypeVar("R")
_CHUNKS_EACH = 4
"""Chunks for each process: few, to keep its threads busy, but enough to balance uneven chunks."""


class BorrowedExecutor(Executor):
    """The executor of a caller, who shuts it down."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        """As the caller's, but one that is broken returns a failed call."""
        try:
            return self._executor.submit(call, *args, **kwargs)
        except BrokenExecutor as problem:
            failed: Future[R] = Future()
            failed.set_exception(problem)
            return failed

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Nothing."""


def is_of_threads(executor: Executor | None) -> bool:
    """Whether the executor runs its calls in threads of this process, as far as that is known."""
    return executor is None or isinstance(executor, ThreadPoolExecutor)


def count_of(executor: Executor) -> int:
    """The number of calls that the executor runs at once; that of the cores if it does not say."""
    count = getattr(executor, "_max_workers", None)
    return count if isinstance(count, int) and count > 0 else cores()


def open_workers(executor: Executor | None, here: OpenWorkers = local) -> OpenWorkers:
    """The workers of a call.

    Args:
        executor: of the caller; None for the workers of this machine.
        here: opens these.
    """
    return here if executor is None else partial(borrowed, executor)


@contextmanager
def borrowed(executor: Executor, total: int) -> Iterator[Workers]:
    """The workers of an executor for a number of pipelines. The executor stays open."""
    count = count_of(executor)
    if is_of_threads(executor):
        yield Workers(BorrowedExecutor(executor), 1, count, 1, 1)
        return
    size = max(1, -(-total // (count * _CHUNKS_EACH)))
    yield Workers(BorrowedExecutor(executor), count, count, max(1, THREADS // count), size)
