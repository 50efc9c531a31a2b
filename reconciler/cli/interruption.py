"""The bound of an interruption: whatever hangs, a command ends soon after Ctrl-C, SIGTERM or SIGHUP."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from reconciler.core.exit_codes import INTERRUPTED
from reconciler.starting import HANGUP, INTERRUPTIONS, end_at_once

_WAKING = 1.0
"""Seconds after which the main thread looks for a signal that came just before it began to wait."""
GRACE = 30.0
"""Seconds that a run has to end after a signal: running steps finish, and locks are released."""

OPEN = "the next run settles what this one left open"


@contextmanager
def bounded() -> Iterator[None]:
    """Bounds the end of a command after a signal, as a server that it says goodbye to may not answer, either.

    The first signal raises KeyboardInterrupt. The second one, or `GRACE` seconds, end the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # which gets the signals
        return
    grace = end_later()
    is_interrupted = False

    def on_signal(number: int, frame: FrameType | None) -> None:
        nonlocal is_interrupted
        if is_interrupted:
            if number == HANGUP:
                return
            end_now()
        is_interrupted = True
        grace.start()
        raise KeyboardInterrupt

    usual = (signal.default_int_handler, signal.SIG_DFL, end_at_once)
    before = {number: signal.getsignal(number) for number in INTERRUPTIONS}
    handled = [number for number in before if before[number] in usual]
    if not handled:  # ignored; in the background of a shell, Ctrl-C is
        yield
        return

    def on_unraisable(problem: "sys.UnraisableHookArgs") -> None:
        # Raised in a callback that cannot pass it on, so it would be lost, with a traceback.
        if problem.exc_type is KeyboardInterrupt:
            end_at_once(signal.SIGINT, None)
        report(problem)

    report = sys.unraisablehook
    sys.unraisablehook = on_unraisable
    for number in handled:
        signal.signal(number, on_signal)
    try:
        with _waking():
            yield
    finally:
        grace.cancel()
        for number in handled:
            signal.signal(number, before[number])
        sys.unraisablehook = report


@contextmanager
def _waking() -> Iterator[None]:
    """Wake the main thread regularly with a signal that does nothing.

    Python handles a signal in the main thread, between two instructions. One that comes after the last of
    them before that thread waits for a lock, or that the system delivers to another thread, ends no wait.
    """
    if not hasattr(signal, "SIGALRM"):  # Windows
        yield
        return
    before = signal.signal(signal.SIGALRM, lambda *_: None)
    timer = signal.setitimer(signal.ITIMER_REAL, _WAKING, _WAKING)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, before)


def end_later(last_words: Callable[[], str] = lambda: OPEN) -> threading.Timer:
    """A timer, not started yet, that ends the process `GRACE` seconds after its start.

    Args:
        last_words: what is left to do.
    """

    def give_up() -> None:
        text = f"\nstopped {GRACE:g} s after the interruption; {last_words()}\n"
        say(text)
        end_now()

    timer = threading.Timer(GRACE, give_up)
    timer.daemon = True
    return timer


def say(text: str) -> None:
    """Write to stderr from a signal handler or a timer, which must go on if that fails."""
    with suppress(OSError):
        os.write(2, text.encode())


def end_now() -> NoReturn:
    """End the process, and what it started."""
    for module, name in (
        ("providers.programs", "end_programs"),
        ("reconciler.engine.workers", "remove_sockets"),
    ):
        if module in sys.modules:
            getattr(sys.modules[module], name)()
    os._exit(INTERRUPTED)
