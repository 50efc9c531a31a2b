"""The workers of a Dask cluster, as an executor. Needs the extra `dask`.

Workers have a checkout of the same files, and look up tokens in their own environment. They run in the top
folder of the checkout: RECONCILER_WORKSPACE, else the folder that they were started in.
"""

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from providers.threads import start
from reconciler.core.diagnostics import CannotCheckError, Diagnostic, UserError, error
from reconciler.engine import chunks
from reconciler.engine.chunks import Task
from reconciler.engine.workers import THREADS, LostWorkersError, Workers

if TYPE_CHECKING:
    from distributed import Client

R = TypeVar("R")
WORKSPACE = "RECONCILER_WORKSPACE"
PATIENCE = 30.0
"""Seconds to wait for the scheduler, and for the first worker."""
GONE = 60.0
"""Seconds without any worker after which a run gives up."""
_CHUNKS_EACH = 8
"""Chunks per thread of a worker: enough to balance uneven chunks."""
_profiler_lock = threading.Lock()
"""Held while Dask's profiler is stopped on a worker."""


@contextmanager
def connect(
    address: str,
    describe: Callable[[], Mapping[str, str]],
    prepare: Callable[[Task[Any, Any]], Task[Any, Any]],
    total: int,
) -> Iterator[Workers]:
    """The workers of a cluster.

    Args:
        address: `HOST:PORT` of the scheduler.
        describe: what has to be equal here and on every worker, by name; called on each.
        prepare: called on a worker with each task, and returns the task for its checkout.
        total: number of pipelines.

    Raises:
        UserError: Dask is not installed.
        CannotCheckError: the scheduler cannot be reached, there are no workers, or one of them differs.
    """
    if sys.modules.get("tornado", sys) is None:  # see `cli._UNUSED`
        del sys.modules["tornado"]
    try:
        from distributed import Client
    except ImportError:
        detail = "Install it: pip install 'picsellia-reconciler[dask]'"
        raise UserError(error("--executor needs Dask, which is not installed", detail)) from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)  # lost connections are reported as errors
    here = describe()
    try:
        client = Client(f"tcp://{address}", timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError, RuntimeError) as problem:
        detail = f"{problem}. Start one with: dask scheduler"
        raise CannotCheckError(error(f"no Dask scheduler answers at {address}", detail)) from None
    with client:
        _require_equal(client, address, describe, here)
        threads = client.nthreads()
        at_once = min(sum(threads.values()), THREADS)
        size = max(1, total // (at_once * _CHUNKS_EACH))
        executor = _Cluster(client, prepare)
        try:
            together = max(1, THREADS // len(threads))
            yield Workers(executor, len(threads), at_once, together, size, elsewhere=True)
        finally:
            executor.shutdown(wait=False)
            with suppress(Exception):
                client.run(chunks.close_idle, on_error="ignore")


def _require_equal(
    client: "Client", address: str, describe: Callable[[], Mapping[str, str]], here: Mapping[str, str]
) -> None:
    """Raise CannotCheckError without workers, or with the differences of those that differ."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        detail = f"Start some in a checkout of this workspace: dask worker tcp://{address}"
        raise CannotCheckError(error(f"the Dask cluster at {address} has no workers", detail)) from None
    problems: list[Diagnostic] = []
    for worker, found in client.run(_in_workspace, describe, on_error="return").items():
        if isinstance(found, UserError):
            problems += found.diagnostics
        elif isinstance(found, Exception):
            detail = f"It answers: {type(found).__name__}: {found}. Install the same version there as here."
            problems.append(error(f"the worker {worker} cannot run reconciler", detail))
        else:
            problems += [
                error(f"the worker {worker} has another {name}", f"There: {found[name]}. Here: {value}.")
                for name, value in here.items()
                if found[name] != value
            ]
    if problems:
        raise CannotCheckError(*problems)


def _in_workspace(call: Callable[..., R], *args: Any) -> R:
    """On a worker: call it in the top folder of the checkout."""
    if folder := os.environ.get(WORKSPACE):
        try:
            os.chdir(folder)
        except OSError as problem:
            raise UserError(error(f"{WORKSPACE} of a worker: {folder}: {problem.strerror}")) from None
    return call(*args)


def _run_prepared(
    prepare: Callable[[Task[Any, Any]], Task[Any, Any]],
    call: Callable[..., R],
    task: Task[Any, Any],
    *args: Any,
) -> R:
    _stop_profiler()
    return call(prepare(task), *args)


def _stop_profiler() -> None:
    """On a worker: stop Dask's profiler where Python can lock up in it.

    Before Python 3.11.9, `sys._current_frames` may wait forever for a thread that is starting. The scheduler
    gives the pipelines of such a worker to others, but only after five minutes without a sign of life.

    Source: https://github.com/dask/distributed/issues/8616, https://github.com/python/cpython/issues/106883
    """
    if sys.version_info >= (3, 11, 9):
        return
    from distributed import get_worker

    worker = get_worker()
    with _profiler_lock:  # no other task begins, either, before it is stopped
        if profiler := worker.periodic_callbacks.pop("profile", None):
            is_stopped = threading.Event()
            worker.loop.add_callback(profiler.stop)  # in the thread that runs it
            worker.loop.add_callback(is_stopped.set)
            is_stopped.wait()


class _Cluster(Executor):
    """Runs calls on the workers. A call whose workers are lost fails with LostWorkersError."""

    def __init__(self, client: "Client", prepare: Callable[[Task[Any, Any]], Task[Any, Any]]) -> None:
        self._client = client
        self._prepare = prepare
        self._executor = client.get_executor(pure=False)
        self._pending: set[Future[Any]] = set()
        self._lost: LostWorkersError | None = None
        self._lock = threading.Lock()
        self._ended = threading.Event()
        start(threading.Thread(target=self._watch, name="cluster", daemon=True))

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._pending.add(future)
        if self._lost is not None:
            self._settle(future, self._lost)
            return future
        inner = self._executor.submit(_in_workspace, _run_prepared, self._prepare, call, *args)
        inner.add_done_callback(lambda done: self._settle(future, done))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._ended.set()
        with suppress(Exception):  # the scheduler may be gone
            self._executor.shutdown(wait=wait)

    def _settle(self, future: "Future[Any]", result: "Future[Any] | LostWorkersError") -> None:
        """Give a call its result, once."""
        from distributed import KilledWorker

        with self._lock:
            if future not in self._pending:
                return
            self._pending.remove(future)
        if isinstance(result, LostWorkersError):
            future.set_exception(result)
        elif result.cancelled():  # the connection to the scheduler is lost
            future.set_exception(_no_scheduler())
        elif (problem := result.exception()) is None:
            future.set_result(result.result())
        elif isinstance(problem, KilledWorker):
            future.set_exception(LostWorkersError("the workers that were working on it were killed", _RETRY))
        else:
            future.set_exception(problem)

    def _watch(self) -> None:
        """Give all calls up once there was no worker for `GONE` seconds: Dask would wait forever."""
        silent = 0.0
        while not self._ended.wait(1.0):
            try:
                silent = 0.0 if self._client.nthreads() else silent + 1.0
            except Exception:  # noqa: BLE001 - whatever a lost connection raises
                silent += 1.0
            if silent >= GONE:
                self._lost = _no_scheduler()
                for future in list(self._pending):
                    self._settle(future, self._lost)


_RETRY = "Was there too little memory? Run the same command again."


def _no_scheduler() -> LostWorkersError:
    return LostWorkersError("the Dask cluster was lost", "Check its scheduler and workers, and run it again.")
