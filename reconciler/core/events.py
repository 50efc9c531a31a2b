"""What happens while the engine works, as data. The engine emits, views render; nothing here prints."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from providers.errors import ProviderError
from providers.protocol import LiveObject, Progress
from providers.waits import Backoff, Repeat, Silence, SilenceEnd
from reconciler.core.plan import Step
from reconciler.core.values import Address


class Status(Enum):
    DONE = "done"
    FAILED = "failed"
    BLOCKED = "blocked"  # something that it depends on failed
    SKIPPED = "skipped"  # the run was interrupted before it started


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one step ended.

    Attributes:
        step: which one.
        status: how it ended.
        error: what went wrong, for a failed one.
        live: the object as read back, where there is one.
        blocked_by: the failed address that a blocked one waited for.
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
    """A transient problem; the step tries again after `delay` seconds."""

    address: Address
    problem: ProviderError
    delay: float


@dataclass(frozen=True, slots=True)
class StepFinished:
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Note:
    """One line about what the run is doing now: signing in, reading, …"""

    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One line that is worth reading afterwards, too: a lock was waited for, or taken over."""

    text: str


@dataclass(frozen=True, slots=True)
class Counted:
    """So many of all pipelines have been looked at."""

    done: int
    total: int


ServerDelay = Backoff | Silence | Repeat | SilenceEnd
"""A server makes the run wait, or does so no longer."""

Event = StepStarted | StepProgress | StepRetried | StepFinished | Note | Notice | ServerDelay | Counted
Emit = Callable[[Event], None]


def ignore(_: Event) -> None:
    """An `Emit` for when nobody is watching."""
