"""The bound of an interruption: whatever hangs, a command ends soon after the first Ctrl-C."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from reconciler.core.exit_codes import INTERRUPTED

GRACE = 30.0
"""Seconds that a run has to end after Ctrl-C: running steps finish, and locks are released."""


@contextmanager
def bounded() -> Iterator[None]:
    """Bounds the end of a command after Ctrl-C, as a server that it says goodbye to may not answer, either.

    The first one raises KeyboardInterrupt. The second one, or `GRACE` seconds, end the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # which gets the signals
        return
    grace = end_later()
    is_interrupted = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        if is_interrupted:
            end_now()
        is_interrupted = True
        grace.start()
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored in the background of a shell
        yield
        return
    signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        grace.cancel()
        signal.signal(signal.SIGINT, before)


def end_later() -> threading.Timer:
    """A timer, not started yet, that ends the process `GRACE` seconds after its start."""

    def give_up() -> None:
        text = f"\nstopped {GRACE:g} s after the interruption; the next run settles what this one left open\n"
        os.write(2, text.encode())
        end_now()

    timer = threading.Timer(GRACE, give_up)
    timer.daemon = True
    return timer


def end_now() -> NoReturn:
    """End the process, and what it started."""
    for module, name in (
        ("providers.docker.builders.command_line", "end_commands"),
        ("reconciler.engine.workers", "remove_sockets"),
    ):
        if module in sys.modules:
            getattr(sys.modules[module], name)()
    os._exit(INTERRUPTED)
