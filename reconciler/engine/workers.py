"""What workers are made of: their number, and how a worker process starts and ends."""

import gc
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, Executor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import FrameType
from typing import TYPE_CHECKING

from msgspec import Struct

from providers.rate_limit import AT_ONCE
from providers.threads import start
from reconciler.starting import INTERRUPTIONS

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext

THREADS = 2 * AT_ONCE
"""Most pipelines at once, in all workers together: some compute while the requests of others are sent."""
_OURS = "reconciler.", "providers.", "state."
_MANY = 100
"""The number of pipelines from which on worker processes save time."""
_OBJECTS = 1_000_000
"""New objects in a worker process before a search for cycles, which stops all its threads. The lists of a
platform and the register have a hundred thousand, and all of them stay."""
MOST_THREADS = 1 << 10
"""More than any run uses: it hands out no more than it allows at once."""


class Workers(Struct, frozen=True):
    """An executor, with the best way to use it.

    Attributes:
        executor: runs chunks of pipelines.
        processes: number of processes, each with a session.
        at_once: number of chunks that it runs at once.
        threads: most pipelines of a process at once, if its chunks have several.
        size: number of pipelines in a chunk.
        elsewhere: whether they have files of their own, in a checkout that may be at another place.
        isolates: whether a process runs several chunks, so that a pipeline which may have killed its process
            is tried again while nothing else runs.
    """

    executor: Executor
    processes: int
    at_once: int
    threads: int
    size: int
    elsewhere: bool = False
    isolates: bool = False


OpenWorkers = Callable[[int], AbstractContextManager[Workers]]
"""Opens the workers for a number of pipelines."""


STOP = threading.Event()
"""In a worker process: set when the command is stopped, so that no further step of an apply starts."""


class LostWorkersError(BrokenExecutor):
    """The workers that ran a call are gone.

    Attributes:
        hint: what to do about it.
    """

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class FailedCallError(Exception):
    """A worker process could not run a call, or not return its result.

    Attributes:
        cause: why.
    """

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def processes_for(total: int) -> int:
    """The number of processes that save time for so many pipelines."""
    return max(1, min(cores(), THREADS, 2 * total // _MANY))


def remove_sockets() -> None:
    """Remove the sockets that workers are asked for. Before an exit of the process that cleans up nothing."""
    if "multiprocessing.forkserver" in sys.modules:
        from multiprocessing.util import get_temp_dir

        shutil.rmtree(get_temp_dir(), ignore_errors=True)


def process_context() -> "tuple[ForkServerContext | SpawnContext, dict[str, str]]":
    """A context that starts processes at any time, and the variables for `start_worker` in each of them."""
    from multiprocessing import get_all_start_methods, get_context
    from multiprocessing.resource_tracker import ensure_running

    ensure_running()  # a start of it in `without_ctrl_c` would let the signal through again
    variables = dict(os.environ)
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn"), variables
    context = get_context("forkserver")  # imports once what all workers need
    context.set_forkserver_preload([name for name in sys.modules if name.startswith(_OURS)])
    return context, variables


def start_worker(variables: Mapping[str, str]) -> None:
    """In a worker process: take over the variables, and end with the command, however it ends.

    The process that workers are forked from has the variables of the first run. Workers that
    were forked one after the other have ends of each other's pipes, so these may stay open.
    """
    from multiprocessing import parent_process

    gc.freeze()  # what the command has imported stays: no search for cycles in it, and no copy of its pages
    gc.set_threshold(_OBJECTS)
    os.environ.clear()
    os.environ.update(variables)
    parent = parent_process()
    assert parent is not None

    def end() -> None:
        parent.join()
        if (programs := sys.modules.get("providers.programs")) is not None:
            programs.end_programs()
        os._exit(1)

    with suppress(OSError):  # the connection to the command ends, too
        start(threading.Thread(target=end, name="parent", daemon=True))


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Let a process that starts in this block never receive Ctrl-C: the command handles it, after the block.

    An initializer would be too late: an interpreter that is still starting prints a traceback. So would one
    whose command ended while it was started.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        with ExitStack() as stack:
            for number in INTERRUPTIONS:  # another thread may get Ctrl-C
                stack.enter_context(_later(number))
            yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _later(number: signal.Signals) -> Iterator[None]:
    """Handle a signal after the block, if this thread has a handler for it."""
    if threading.current_thread() is not threading.main_thread() or not callable(signal.getsignal(number)):
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
