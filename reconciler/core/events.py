"""Events of a run, as data. The engine emits them and views render them."""

from collections.abc import Callable
from enum import Enum

from msgspec import Struct

from providers.errors import ProviderError
from providers.protocol import LiveObject, Progress
from providers.waits import Backoff, Exchange, Hashing, Repeat, Silence, SilenceEnd
from reconciler.core.plan import Step
from reconciler.core.values import Address


class Status(Enum):
    """How a step ended."""

    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # a step that it depends on failed
    SKIPPED = "skipped"  # the run was interrupted before the step started


class Outcome(Struct, frozen=True):
    """The outcome of one step.

    Attributes:
        step: the step.
        status: how it ended.
        error: the error of a failed step.
        live: the object as read back, or None.
        blocked_by: the address whose failure blocked the step.
        seconds: how long it took.
    """

    step: Step
    status: Status
    error: ProviderError | None = None
    live: LiveObject | None = None
    blocked_by: Address | None = None
    seconds: float = 0.0


class StepStarted(Struct, frozen=True):
    """A step of a plan starts."""

    step: Step


class StepProgress(Struct, frozen=True):
    """What a step is doing, for one that takes a while."""

    address: Address
    progress: Progress


class StepRetried(Struct, frozen=True):
    """A transient problem; the step is retried after `delay` seconds."""

    address: Address
    problem: ProviderError
    delay: float


class StepFinished(Struct, frozen=True):
    """A step is done, failed or was not started."""

    outcome: Outcome


class Note(Struct, frozen=True):
    """The present activity of the run, as one line: signing in, reading, …"""

    text: str


class Notice(Struct, frozen=True):
    """One line that stays on the screen: waiting for a lock, or taking one over."""

    text: str


class FleetProgress(Struct, frozen=True):
    """The number of pipelines that are finished, of all pipelines of the command."""

    done: int
    total: int


class PipelineEvent(Struct, frozen=True):
    """An event of one of many pipelines, with the folder of that pipeline as it is displayed."""

    folder: str
    event: "Event"


ServerDelay = Backoff | Silence | Repeat | SilenceEnd
"""A server delays the run, or no longer does."""

Event = (
    StepStarted
    | StepProgress
    | StepRetried
    | StepFinished
    | Note
    | Notice
    | ServerDelay
    | Exchange
    | Hashing
    | FleetProgress
    | PipelineEvent
)
Emit = Callable[[Event], None]


def ignore(_: Event) -> None:
    """An `Emit` that drops all events."""
