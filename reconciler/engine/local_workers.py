"""The workers of this machine: threads of this process, or threads of worker processes."""

import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Self

from providers.threads import Pool
from reconciler.engine.workers import MOST_THREADS, THREADS, Workers, processes_for

_CHUNK = 2
"""Pipelines that go to a worker process and come back together. More would wait for one whose request is
refused and sent again later."""
_CHUNKS_EACH = 32
"""Chunks that a worker process has: enough for all its requests at once while it reads the next files."""


class LocalWorkers:
    """The workers of this machine, opened when they are first needed, and kept until the block ends.

    They are threads of this process or, from 100 pipelines on, threads of worker processes.

    Args:
        stop: in worker processes, `STOP` is set after it.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop or threading.Event()
        self._processes = 0
        self._executor: Executor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._executor is not None:
            self._executor.shutdown()

    @contextmanager
    def __call__(self, total: int) -> Iterator[Workers]:
        """The workers for a number of pipelines.

        After an exception, calls in hand are not waited for: they only read, as an apply waits for its own.
        """
        if self._executor is None:
            self._processes = processes_for(total)
            self._executor = self._open()
        count = self._processes
        try:
            if count == 1:
                yield Workers(self._executor, 1, THREADS, 1, 1)
            else:
                at_once = _CHUNKS_EACH * count
                yield Workers(self._executor, count, at_once, THREADS // count, _CHUNK, isolates=True)
        except BaseException:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
            raise

    def _open(self) -> Executor:
        if self._processes == 1:
            return Pool(MOST_THREADS, thread_name_prefix="fleet")
        from reconciler.engine.worker_threads import WorkerThreads  # few runs need more than one process

        try:
            return WorkerThreads(self._processes, self._stop)
        except OSError:  # no further process, so this one does it all
            self._processes = 1
            return self._open()


@contextmanager
def local(total: int) -> Iterator[Workers]:
    """The workers of this machine for one use."""
    with LocalWorkers() as workers, workers(total) as opened:
        yield opened


def start_early(total: int) -> None:
    """Start the worker processes for so many pipelines, before there is a thread or a connection."""
    if (count := processes_for(total)) > 1:
        from reconciler.engine.worker_threads import fork_processes

        fork_processes(count)
