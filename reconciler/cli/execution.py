"""Shared by the handlers: validated pipelines, sessions, and the interruption of a run."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from providers.text import shown_names
from reconciler.api.requests import ReadOptions
from reconciler.api.validating import ValidatedPipeline, validate
from reconciler.cli import interruption
from reconciler.core.events import Emit, PipelineEvent, Status, StepFinished, StepStarted
from reconciler.core.plan import Action, Step
from reconciler.starting import HANGUP, INTERRUPTIONS
from reconciler.views.counting import plural
from reconciler.views.safe import one_line


def validated(folder: Path, read_options: ReadOptions, emit: Emit) -> ValidatedPipeline:
    """The pipeline in a folder. Raises UserError if its files have errors."""
    found = validate(folder, read_options, emit=emit)
    found.require_valid()
    return found


def _name(step: Step, folder: str) -> str:
    return f"{step.address} of {folder}" if folder else str(step.address)


class StopSignal(threading.Event):
    """Set at the first Ctrl-C, SIGTERM or SIGHUP.

    Attributes:
        steps_running: whether the run has to wait for running steps to finish.
        is_shown: whether a view reports the interruption, because a message of its own would spoil its table.
    """

    def __init__(self) -> None:
        super().__init__()
        self.steps_running = False
        self.is_shown = False
        self._under_way: dict[str, None] = {}
        self._done = 0

    def note(self, event: object, folder: str = "") -> None:
        """Note the changes that the run starts and makes. Other events are ignored.

        Args:
            folder: the pipeline, in a run of several.
        """
        match event:
            case PipelineEvent(name, inner):
                self.note(inner, name)
            case StepStarted(step) if step.action is not Action.NOOP:
                self._under_way[_name(step, folder)] = None
            case StepFinished(outcome) if outcome.step.action is not Action.NOOP:
                self._under_way.pop(_name(outcome.step, folder), None)
                self._done += outcome.status is Status.DONE

    @property
    def last_words(self) -> str:
        """What a run that stops now has done, what it leaves open, and what to do next; for a terminal."""
        names = one_line(shown_names(list(self._under_way), 8))
        left = f"; under way, so unknown: {names}" if names else ""
        made = plural(self._done, "change")
        return f"{made} made{left}. Run the same command again: it settles what is open, and does the rest"


@contextmanager
def interruptible() -> Iterator[StopSignal]:
    """Handles interruptions: the first one sets the signal, the second ends the process at once.

    `interruption.GRACE` seconds after the first one, the process is ended in the same way: a server that does
    not answer may keep a step waiting for much longer.

    Raises:
        KeyboardInterrupt: at the first one, if no step runs.
    """
    stop = StopSignal()

    grace = interruption.end_later(lambda: stop.last_words if stop.steps_running else interruption.OPEN)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            if number == HANGUP:
                return
            if stop.steps_running:
                interruption.say(f"\nstopped: {stop.last_words}\n")
            interruption.end_now()
        stop.set()
        grace.start()
        if not stop.steps_running:
            raise KeyboardInterrupt
        if not stop.is_shown:
            text = f"interrupted: waiting up to {interruption.GRACE:g} s for running steps to finish"
            interruption.say(f"\n{text}; interrupt again to stop now\n")

    is_kept = HANGUP is not None and signal.getsignal(HANGUP) is signal.SIG_IGN  # after `nohup`
    handled = [number for number in INTERRUPTIONS if not (is_kept and number == HANGUP)]
    before = {number: signal.signal(number, on_signal) for number in handled}
    try:
        yield stop
    finally:
        grace.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
