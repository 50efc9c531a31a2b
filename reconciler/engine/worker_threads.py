"""Threads in worker processes on this machine: one executor, which uses every core.

A call runs on a thread of one of the processes. Its events arrive as they happen, and the signal that stops
the command reaches every process. A process that is killed breaks the calls that it ran, and no others.
"""

import atexit
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeVar

from msgspec import Struct

from providers.threads import Pool, start
from reconciler.core.events import Event
from reconciler.engine import chunks
from reconciler.engine.workers import (
    MOST_THREADS,
    STOP,
    FailedCallError,
    process_context,
    start_worker,
    without_ctrl_c,
)
from reconciler.starting import INTERRUPTIONS

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkContext

R = TypeVar("R")
_WATCH = 0.05
"""Seconds between two looks at the signal that stops the command."""


class WorkerThreads(Executor):
    """Threads of worker processes. Calls, results and errors must support pickling.

    Args:
        count: number of processes. Each has as many threads as it has calls.
        stop: when it is set, `STOP` is set in all processes.

    Raises:
        OSError: the operating system allows no further process, or no thread to follow it.
    """

    def __init__(self, count: int, stop: threading.Event) -> None:
        self._stop = stop
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._processes: list[_Process | None] = [None] * count
        self._is_full = False
        self._watch = threading.Thread(target=self._pass_on_stop, name="stop", daemon=True)
        start(self._watch)
        try:
            self._process()
        except OSError:
            self._ended.set()
            raise

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        """As that of every executor: starts a process if there are too few, or one was killed."""
        body = pickle.dumps((call, args, kwargs))
        future: Future[R] = Future()
        future.set_running_or_notify_cancel()
        self._process().run(body, future)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes after the calls that they run; without `wait`, at once."""
        self._ended.set()
        self._watch.join()
        running = [process for process in self._processes if process is not None]
        for process in running:
            process.end() if wait else process.kill()
        if wait:
            for process in running:
                process.join()

    def _process(self) -> "_Process":
        """The process with the fewest calls, if possible one that could sign in: the other fails at once."""
        with self._lock:
            for place, process in enumerate(self._processes):
                if (process is None and not self._is_full) or (process is not None and process.is_gone):
                    if process is not None:
                        process.join()
                        self._processes[place] = None
                    try:
                        self._processes[place] = started = _early.pop() if _early else _Process().follow()
                    except OSError:
                        if not any(self._processes):
                            raise
                        self._is_full = True  # go on with fewer
                        continue
                    if self._stop.is_set():
                        started.stop()
                    return started
            return min(filter(None, self._processes), key=_load)

    def _pass_on_stop(self) -> None:
        while not self._ended.wait(_WATCH):
            if self._stop.is_set():
                with self._lock:
                    for process in filter(None, self._processes):
                        process.stop()
                return


def _load(process: "_Process") -> tuple[bool, int]:
    return process.is_signed_out, len(process.calls)


_early: "list[_Process]" = []
"""Worker processes that `fork_processes` started, and that have no executor yet."""


def fork_processes(count: int) -> None:
    """Start processes for the next executor, if this process can be forked now.

    A fork takes over everything that is imported, so it costs next to nothing. But it must happen before the
    command has a thread or a connection, which would be broken in the worker. Other processes are started in
    another way when they are needed. A command that needs fewer ends the rest.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return
    from multiprocessing import get_context

    context = get_context("fork")
    with suppress(OSError):  # there may be no more processes
        for _ in range(count):
            _early.append(_Process(context, [process.connection for process in _early]))
    for process in list(_early):
        try:
            process.follow()
        except OSError:
            _early.remove(process)
    atexit.register(_end_early)  # after that of multiprocessing, which is called later and waits for them


def _end_early() -> None:
    while _early:
        process = _early.pop()
        process.end()
        process.join()


class _Returned(Struct, frozen=True):
    """The result of a call, or its error."""

    number: int
    result: Any = None
    problem: BaseException | None = None


class _Happened(Struct, frozen=True):
    """An event of a task."""

    key: str
    event: Event


class _Process:
    """A worker process, as the process of the command has it. Thread-safe.

    Attributes:
        calls: those in hand, by number.
        connection: to the process.
        is_gone: whether it ended, so that it takes no further calls.
        is_signed_out: whether its last chunk could not sign in.

    Args:
        context: forks it; None to start it in a way that works at any time.
        others: the connections to earlier processes, which a fork inherits.
    """

    def __init__(
        self, context: "ForkContext | None" = None, others: "Sequence[Connection[Any, Any]]" = ()
    ) -> None:
        self.calls: dict[int, Future[Any]] = {}
        self.is_gone = False
        self.is_signed_out = False
        self._number = 0
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        starter, variables = process_context() if context is None else (context, dict(os.environ))
        ours, theirs = starter.Pipe()
        self.connection: Connection[Any, Any] = ours
        inherited = () if context is None else (*others, ours)
        self._process = starter.Process(target=_serve, args=(theirs, variables, inherited))
        with without_ctrl_c():
            self._process.start()
        theirs.close()  # so that the connection ends with the process
        self._reader = threading.Thread(target=self._receive, name="worker", daemon=True)

    def follow(self) -> Self:
        """Receive what it sends, from now on. Raises OSError, after its end, if no thread can do that."""
        try:
            start(self._reader)
        except OSError:
            self.kill()
            self._process.join()
            raise
        return self

    def run(self, body: bytes, future: "Future[Any]") -> None:
        with self._lock:
            is_gone = self.is_gone
            if not is_gone:
                self._number += 1
                number = self._number
                self.calls[number] = future
        if is_gone:
            future.set_exception(_killed())
        else:
            self._send((number, body))

    def stop(self) -> None:
        self._send((0, b""))

    def end(self) -> None:
        """Let it end after the calls that it runs."""
        self._send(None)

    def kill(self) -> None:
        """End it at once, so it must only read."""
        with suppress(ValueError):  # it was closed
            self._process.kill()

    def join(self) -> None:
        self._reader.join()
        self._process.join()
        self._process.close()

    def _send(self, message: object) -> None:
        with suppress(OSError), self._sending:  # if it was killed, the reader settles the calls
            self.connection.send(message)

    def _receive(self) -> None:
        problem: BaseException = _killed()
        try:
            while True:
                match self.connection.recv():
                    case _Happened(key, event):
                        chunks.emits.get(key, _ignore)(event)
                    case _Returned(number, result, None):
                        if isinstance(result, chunks.Outcomes):
                            self.is_signed_out = result.sign_in_error is not None
                        self._take(number).set_result(result)
                    case _Returned(number, _, BaseException() as failed):
                        self._take(number).set_exception(FailedCallError(failed))
        except (EOFError, OSError):
            pass
        except BaseException as failed:  # noqa: BLE001 - a receiver of events failed: raised by each call
            problem = failed
        with self._lock:
            self.is_gone = True
            left, self.calls = self.calls, {}
        for future in left.values():
            future.set_exception(problem)
        self.connection.close()

    def _take(self, number: int) -> "Future[Any]":
        with self._lock:
            return self.calls.pop(number)


def _ignore(_: Event) -> None:
    """For an event that arrives after its run."""


def _killed() -> BrokenExecutor:
    return BrokenExecutor("the worker process was killed")


def _serve(
    connection: "Connection[Any, Any]",
    variables: dict[str, str],
    inherited: "Sequence[Connection[Any, Any]]",
) -> None:
    """In a worker process: run the calls that arrive, until none can arrive any more.

    Args:
        inherited: ends of connections that are the command's, which a fork keeps open.
    """
    for end in inherited:
        end.close()
    start_worker(variables)
    _leave_signals_to_the_command()
    sending = threading.Lock()

    def send(message: object) -> None:
        body = pickle.dumps(message)
        with suppress(OSError), sending:  # without the command, this process ends, too
            connection.send_bytes(body)

    def answer(number: int, body: bytes) -> None:
        try:
            call, args, kwargs = pickle.loads(body)
            send(_Returned(number, call(*args, **kwargs)))
        except BaseException as problem:  # noqa: BLE001 - raised again in the process of the command
            where = traceback.format_exc()
            try:
                send(_Returned(number, problem=problem))
            except Exception:  # noqa: BLE001 - it cannot be pickled
                send(_Returned(number, problem=RuntimeError(where)))

    chunks.send_event = lambda key, event: send(_Happened(key, event))
    with Pool(MOST_THREADS, thread_name_prefix="fleet") as pool, suppress(EOFError):
        while (message := connection.recv()) is not None:
            number, body = message
            if number:
                pool.submit(answer, number, body)
            else:
                STOP.set()
    chunks.close_idle()
    connection.close()


def _leave_signals_to_the_command() -> None:
    """Let no interruption end this process, which all processes of a terminal or a service get.

    The signals are handled, neither ignored nor blocked: that would go for the programs that build, too.
    """
    for number in INTERRUPTIONS:
        signal.signal(number, lambda *_: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # see `without_ctrl_c`
