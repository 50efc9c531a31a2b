"""The workers of a run: threads of this process, or worker processes on this machine."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from queue import LifoQueue
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import Struct

from providers.rate_limit import AT_ONCE

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor


R = TypeVar("R")

THREADS = 2 * AT_ONCE
"""Most pipelines at once, in all workers together: some compute while the requests of others are sent."""
_OURS = "reconciler.", "providers.", "state."
_MANY = 100
"""The number of pipelines from which on worker processes save time."""
_CHUNKS_EACH = 4
"""Chunks per process: few, to keep the threads of a chunk busy, but enough to balance uneven chunks."""


class Workers(Struct, frozen=True):
    """An executor, with the best way to use it.

    Attributes:
        executor: runs chunks of pipelines.
        processes: number of processes, each with a session.
        at_once: number of chunks that it runs at once.
        threads: most pipelines of a chunk at once.
        size: number of pipelines in a chunk.
        elsewhere: whether they have files of their own, in a checkout that may be at another place.
    """

    executor: Executor
    processes: int
    at_once: int
    threads: int
    size: int
    elsewhere: bool = False


OpenWorkers = Callable[[int], AbstractContextManager[Workers]]
"""Opens the workers for a number of pipelines."""


class LostWorkersError(BrokenExecutor):
    """The workers that ran a call are gone.

    Attributes:
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@contextmanager
def local(total: int) -> Iterator[Workers]:
    """Workers on this machine: from `_MANY` pipelines on in processes, otherwise threads.

    After an exception, calls in hand are not waited for, so they must only read.
    """
    count = max(1, min(cores(), THREADS, 2 * total // _MANY))
    if count == 1:
        executor: Executor = ThreadPoolExecutor(THREADS)
        workers = Workers(executor, 1, THREADS, 1, 1)
    else:
        executor = WorkerProcesses(count)
        workers = Workers(executor, count, count, THREADS // count, -(-total // (count * _CHUNKS_EACH)))
    try:
        yield workers
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


class WorkerProcesses(Executor):
    """Worker processes, each in a standard pool of its own.

    So a process that is killed breaks only the call that it ran, and the next call gets a new process. With
    more calls than processes, `submit` waits.
    """

    def __init__(self, count: int) -> None:
        from multiprocessing import active_children

        self._others = set(active_children())
        # The last one first: after a failed sign-in, work goes to a process that was signed in.
        self._idle: LifoQueue[ProcessPoolExecutor] = LifoQueue()
        self._pools = [_one_process() for _ in range(count)]
        for pool in self._pools:
            self._idle.put(pool)

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        pool = self._idle.get()
        with _without_ctrl_c():
            future = pool.submit(call, *args, **kwargs)

        def ended(future: "Future[R]") -> None:
            if future.cancelled() or not isinstance(future.exception(), BrokenExecutor):
                self._idle.put(pool)
                return
            self._pools.append(_one_process())
            self._idle.put(self._pools[-1])

        future.add_done_callback(ended)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all processes; without `wait`, also those that run a call."""
        from multiprocessing import active_children

        if not wait:
            for child in set(active_children()) - self._others:
                child.terminate()
        for pool in self._pools:
            pool.shutdown(cancel_futures=cancel_futures)


def remove_sockets() -> None:
    """Remove the sockets that workers are asked for. Before an exit of the process that cleans up nothing."""
    if "multiprocessing.forkserver" in sys.modules:
        from multiprocessing.util import get_temp_dir

        shutil.rmtree(get_temp_dir(), ignore_errors=True)


def _one_process() -> "ProcessPoolExecutor":
    from concurrent.futures import ProcessPoolExecutor  # few runs need more than one process
    from multiprocessing import get_all_start_methods, get_context

    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    context = get_context(method)
    if method == "forkserver":  # imports once what all workers need
        context.set_forkserver_preload([name for name in sys.modules if name.startswith(_OURS)])
    variables = dict(os.environ)
    return ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker, initargs=(variables,))


def _start_worker(variables: Mapping[str, str]) -> None:
    """In a worker process: take over the variables, and end with the command, however it ends.

    The process that workers are forked from has the variables of the first run. A pool's worker would wait
    forever: it holds both ends of the pipe that its calls come through.
    """
    from multiprocessing import parent_process

    os.environ.clear()
    os.environ.update(variables)
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, name="parent", daemon=True).start()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Let a process that starts in this block never receive Ctrl-C: the command handles it, after the block.

    An initializer would be too late: an interpreter that is still starting prints a traceback. So would one
    whose command ended while it was started.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # a start of it would let the signal through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with _later(signal.SIGINT):  # another thread may get the signal
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _later(number: signal.Signals) -> Iterator[None]:
    """Handle a signal after the block, if this thread handles signals at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[FrameType | None] = []
    handler = signal.signal(number, lambda _, frame: seen.append(frame))
    try:
        yield
    finally:
        signal.signal(number, handler)
        if seen and callable(handler):
            handler(number, seen[0])


def cores() -> int:
    """The number of processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
