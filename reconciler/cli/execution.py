"""Shared by the handlers: validated pipelines, sessions, and the interruption of a run."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

from providers.rate_limit import AT_ONCE
from reconciler.cli import interruption, stores
from reconciler.cli.options import TargetOptions
from reconciler.core.events import Emit
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session, session
from reconciler.engine.validate import ValidatedPipeline, validate
from reconciler.workspace.discovery import stacks_below


def validated(folder: Path, read_options: ReadOptions, emit: Emit) -> ValidatedPipeline:
    """The pipeline in a folder. Raises UserError if its files have errors."""
    found = validate(folder, read_options, emit=emit)
    found.require_valid()
    return found


def shared_session(
    where: TargetOptions,
    rps: float | None,
    emit: Emit,
    shares: int,
    *,
    verb: str = "apply",
    stop: threading.Event | None = None,
    override: str = "",
) -> AbstractContextManager[Session]:
    """A session that gets an equal share of the allowed requests, at once and per second.

    Args:
        rps: requests per second of all sessions together; None for no limit.
        shares: number of sessions.
        verb: the command that hints suggest.
        stop: when it is set, no further step of an apply starts.
        override: why gates and reviews are overridden; "" to keep to them.

    Raises:
        UserError, StateError: as `session`.
    """
    return session(
        where.target(),
        stores.store(emit),
        emit,
        stop or threading.Event(),
        verb=verb,
        rps=rps and rps / shares,
        at_once=max(1, AT_ONCE // shares),
        stacks_below=stacks_below,
        find_target=where.beside,
        override=override,
    )


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
