"""What handlers share around the engine: pipelines, sessions, the store, and how a run is interrupted."""

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
from reconciler.engine.validate import ValidatedPipeline, duplicate_name_error, validate


def shown(folder: Path) -> str:
    """A pipeline's folder as the user would write it."""
    relative = os.path.relpath(folder)
    return str(folder) if relative.startswith(os.pardir) else relative


def checked(
    folders: Sequence[Path], read_options: ReadOptions, failed: Callable[[UserError], None]
) -> Iterator[ValidatedPipeline]:
    """What the files of each pipeline say, before any far end is asked; those with errors go to `failed`."""
    names: dict[str, Path] = {}
    for folder in folders:
        found = validate(folder, read_options)
        try:
            pipeline, _ = found.require_valid()
            if pipeline.name in names:
                raise duplicate_name_error(pipeline.name, names[pipeline.name], folder)
        except UserError as problem:
            failed(problem)
        else:
            names[pipeline.name] = folder
            yield found


def signed_in(
    where: TargetOptions, rps: float | None, emit: Emit, shares: int
) -> AbstractContextManager[Session]:
    """One of so many sessions that share the requests of a second. Raises UserError or StateError."""
    return session(where.target(), stores.store(emit), emit, threading.Event(), rps=rps and rps / shares)


class StopSignal(threading.Event):
    """Set once somebody wants us to stop.

    Attributes:
        stepping: whether steps run, which are let finish; without any there is nothing to wait for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stepping = False


@contextmanager
def interruptible() -> Iterator[StopSignal]:
    """What the first Ctrl-C or SIGTERM sets; the second ends the process at once.

    Raises:
        KeyboardInterrupt: at the first one, while no step runs.
    """
    stop = StopSignal()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            end_commands()
            os._exit(INTERRUPTED)
        stop.set()
        if not stop.stepping:
            raise KeyboardInterrupt
        os.write(2, b"\ninterrupted: running steps finish, no other starts; once more to stop now\n")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
