"""The events of a run, and how they reach the caller."""

import threading
from collections.abc import Callable
from contextvars import copy_context

from reconciler.core.events import (
    Emit,
    Event,
    FleetProgress,
    Note,
    Notice,
    Outcome,
    PipelineEvent,
    Status,
    StepFinished,
    StepProgress,
    StepRetried,
    StepStarted,
    ignore,
)
from reconciler.core.runs import (
    Follow,
    PipelineFinished,
    PipelineStarted,
    RunEnded,
    RunEvent,
    RunStarted,
    WaveStarted,
)

__all__ = [
    "Emit",
    "Event",
    "EventSink",
    "FleetProgress",
    "Follow",
    "Note",
    "Notice",
    "OnEvent",
    "Outcome",
    "PipelineEvent",
    "PipelineFinished",
    "PipelineStarted",
    "RunEnded",
    "RunEvent",
    "RunStarted",
    "Status",
    "StepFinished",
    "StepProgress",
    "StepRetried",
    "StepStarted",
    "WaveStarted",
    "ignore",
]

OnEvent = Callable[[RunEvent], object]
"""Gets the events of a call, one at a time, from any thread. What it returns is ignored."""


class EventSink:
    """Passes events on, one at a time, in the context of the caller, which loggers of schedulers need.

    After an error of the receiver, it gets no further event.

    Args:
        on_event: the receiver; None for none.
        stop: is set after an error.
    """

    def __init__(self, on_event: OnEvent | None, stop: threading.Event | None = None) -> None:
        self._on_event = on_event
        self._stop = stop
        self._error: BaseException | None = None
        self._context = copy_context()
        self._lock = threading.Lock()

    def __call__(self, event: RunEvent) -> None:
        if self._on_event is None:
            return
        with self._lock:
            if self._error is not None:
                return
            try:
                self._context.run(self._on_event, event)
            except BaseException as problem:  # noqa: BLE001 - raised again by `raise_error`
                self._error = problem
                if self._stop is not None:
                    self._stop.set()

    def raise_error(self) -> None:
        """Raise the error of the receiver, if it had one."""
        if self._error is not None:
            raise self._error
