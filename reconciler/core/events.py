"""Events of a run, as data. The engine emits them and views render them."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from providers.errors import ProviderError
from providers.protocol import LiveObject, Progress
from providers.waits import Backoff, Exchange, Hashing, Repeat, Silence, SilenceEnd
from reconciler.core.plan import Step
from reconciler.core.values import Address


class Status(Enum):
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # a step that it depends on failed
    SKIPPED = "skipped"  # the run was interrupted before the step started


@dataclass(frozen=True, slots=True)
class Outcome:
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


@dataclass(frozen=True, slots=True)
class StepStarted:
    step: Step


@dataclass(frozen=True, slots=True)
class StepProgress:
    address: Address
    progress: Progress


@dataclass(frozen=True, slots=True)
class StepRetried:
    """A transient problem; the step is retried after `delay` seconds."""

    address: Address
    problem: ProviderError
    delay: float


@dataclass(frozen=True, slots=True)
class StepFinished:
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Note:
    """The present activity of the run, as one line: signing in, reading, …"""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One line that stays on the screen: waiting for a lock, or taking one over."""

    text: str


@dataclass(frozen=True, slots=True)
class FleetProgress:
    """The number of pipelines that are finished, of all pipelines of the command."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PipelineEvent:
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
