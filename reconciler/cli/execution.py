"""Shared by the handlers: validated pipelines, sessions, and the interruption of a run."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from reconciler.api.requests import ReadOptions
from reconciler.api.validating import ValidatedPipeline, validate
from reconciler.cli import interruption
from reconciler.core.events import Emit


def validated(folder: Path, read_options: ReadOptions, emit: Emit) -> ValidatedPipeline:
    """The pipeline in a folder. Raises UserError if its files have errors."""
    found = validate(folder, read_options, emit=emit)
    found.require_valid()
    return found


class StopSignal(threading.Event):
    """Set at the first Ctrl-C or SIGTERM.

    Attributes:
        steps_running: whether the run has to wait for running steps to finish.
        is_shown: whether a view reports the interruption, because a message of its own would spoil its table.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps_running = False
        self.is_shown = False


@contextmanager
def interruptible() -> Iterator[StopSignal]:
    """Handles Ctrl-C and SIGTERM: the first one sets the signal, the second ends the process at once.

    `interruption.GRACE` seconds after the first one, the process is ended in the same way: a server that does
    not answer may keep a step waiting for much longer.

    Raises:
        KeyboardInterrupt: at the first one, if no step runs.
    """
    stop = StopSignal()

    grace = interruption.end_later()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            interruption.end_now()
        stop.set()
        grace.start()
        if not stop.steps_running:
            raise KeyboardInterrupt
        if not stop.is_shown:
            text = f"interrupted: waiting up to {interruption.GRACE:g} s for running steps to finish"
            os.write(2, f"\n{text}; interrupt again to stop now\n".encode())

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        grace.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
