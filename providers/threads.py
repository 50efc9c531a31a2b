"""Threads that the operating system may refuse to start, as containers limit them.

Below all providers. A pool does with the threads that it gets, and without any, in the thread of the caller.
"""

import errno
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

R = TypeVar("R")


class Pool(ThreadPoolExecutor):
    """A `ThreadPoolExecutor` that needs no thread. Without one, `submit` returns after the call."""

    def submit(self, call: Callable[..., R], /, *args: Any, **kwargs: Any) -> "Future[R]":
        future = super().submit(call, *args, **kwargs)
        if self._threads or not future.cancel():
            return future
        done: Future[R] = Future()
        try:
            done.set_result(call(*args, **kwargs))
        except BaseException as problem:  # noqa: BLE001 - raised by the result, as from a thread
            done.set_exception(problem)
        return done

    def _adjust_thread_count(self) -> None:
        with suppress(RuntimeError):  # the call waits for a thread that there is
            super()._adjust_thread_count()


def start(thread: threading.Thread) -> None:
    """Start a thread. Raises OSError if the operating system refuses it: Python raises RuntimeError."""
    try:
        thread.start()
    except RuntimeError:
        raise BlockingIOError(errno.EAGAIN, f"No more threads: {os.strerror(errno.EAGAIN)}") from None
