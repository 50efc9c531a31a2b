"""What is to be done before the command line is imported: for interruptions, and for closed streams.

Imports almost nothing itself. An exception would not do for a signal, when there is nothing to finish: some
imports turn it into another error, or drop it.
"""

import errno
import io
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_FLAGS = {"stdin": os.O_RDONLY, "stdout": os.O_RDONLY, "stderr": os.O_WRONLY}
"""Streams in the order of their numbers. Nothing can be written to a closed stdout."""
HANGUP = signal.SIGHUP if hasattr(signal, "SIGHUP") else None
"""Sent by the shell of a closed terminal, and again by the system, so a second one does not insist."""
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, *((HANGUP,) if HANGUP is not None else ()))
"""Ctrl-C, the end of a job or service, and a closed terminal."""
_INTERRUPTED = 130  # as in `core.exit_codes`, which is not imported yet


def end_on_interruption() -> None:
    """Let interruptions end the process from now on, unless they are ignored.

    In the background of a shell, Ctrl-C is; after `nohup`, a closed terminal is.
    """
    for number in INTERRUPTIONS:
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):
            signal.signal(number, end_at_once)


def end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Say so and end the process, from a signal."""
    try:
        os.write(2, b"\ninterrupted\n" if os.isatty(2) else b"interrupted\n")
    finally:  # also if stderr cannot be written
        os._exit(_INTERRUPTED)


class ClosedOutput(io.TextIOBase):
    """Stands in for a stdout that the caller closed (`>&-`): each write fails, as on a full disk."""

    name = "<stdout>"

    def write(self, text: str) -> int:
        """Raise OSError."""
        raise OSError(errno.EBADF, "It is closed", "stdout")


def replace_closed_streams() -> None:
    """Replace each stream that the caller closed, which Python has as None, and open its descriptor.

    The next file would get that descriptor, and with it what a child process prints. A closed stdin is empty,
    a closed stderr drops what is written to it, and a closed stdout refuses it.
    """
    for number, (name, flags) in enumerate(_FLAGS.items()):
        if getattr(sys, name) is None:
            opened = os.open(os.devnull, flags)  # as a rule this is the number, the lowest free one
            os.set_inheritable(os.dup2(opened, number), True)
            stream = os.fdopen(number, "w" if name == "stderr" else "r", closefd=False)
            setattr(sys, name, ClosedOutput() if name == "stdout" else stream)
