"""Shared by the handlers: validated pipelines, sessions, and the interruption of a run."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

from providers.docker.builders.command_line import end_commands
from reconciler.cli import stores
from reconciler.cli.options import TargetOptions
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit
from reconciler.core.exit_codes import INTERRUPTED
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session, session
from reconciler.engine.validate import ValidatedPipeline, duplicate_stack_error, validate
from reconciler.workspace.discovery import stacks_below


def validated_pipelines(
    folders: Sequence[Path], read_options: ReadOptions, failed: Callable[[UserError], None], emit: Emit
) -> Iterator[ValidatedPipeline]:
    """Reads the pipelines offline, and yields those whose files have no errors.

    Args:
        failed: called with the errors of the other pipelines.
    """
    first: dict[str, Path] = {}  # name of a stack -> its folder
    for folder in folders:
        validated = validate(folder, read_options, emit=emit)
        try:
            pipeline, _ = validated.require_valid()
            name = pipeline.config.stack_name
            if name in first:
                raise duplicate_stack_error(name, first[name], folder)
        except UserError as problem:
            failed(problem)
        else:
            first[name] = folder
            yield validated


def shared_session(
    where: TargetOptions, rps: float | None, emit: Emit, shares: int
) -> AbstractContextManager[Session]:
    """A session that gets an equal share of the allowed requests per second.

    Args:
        rps: requests per second of all sessions together; None for no limit.
        shares: number of sessions.

    Raises:
        UserError, StateError: as `session`.
    """
    return session(
        where.target(),
        stores.store(emit),
        emit,
        threading.Event(),
        rps=rps and rps / shares,
        stacks_below=stacks_below,
    )


class StopSignal(threading.Event):
    """Set at the first Ctrl-C or SIGTERM.

    Attributes:
        steps_running: whether the run has to wait for running steps to finish.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps_running = False


@contextmanager
def interruptible() -> Iterator[StopSignal]:
    """Handles Ctrl-C and SIGTERM: the first one sets the signal, the second ends the process at once.

    Raises:
        KeyboardInterrupt: at the first one, if no step runs.
    """
    stop = StopSignal()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            end_commands()
            os._exit(INTERRUPTED)
        stop.set()
        if not stop.steps_running:
            raise KeyboardInterrupt
        os.write(2, b"\ninterrupted: waiting for running steps to finish; interrupt again to stop now\n")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
