"""The runs in the history of a state, with how they ended. Pure."""

from enum import Enum

from msgspec import Struct

from state.stores.base import HistoryEntry


class RunOutcome(Enum):
    """How a run ended, as the history shows it."""

    APPLIED = "applied"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    ROLLED_BACK = "rolled back"  # it was applied, and a later rollback went back to before it
    UNKNOWN = "unknown"  # of a version that saved no outcome, or its content is not kept any more


class RecordedRun(Struct, frozen=True):
    """One run in the history.

    Attributes:
        saves: its entries, latest first.
        outcome: how it ended.
        version: the version of the image after it; "" if there is none, or it is unknown.
        restored: the serial that it restored, if it was a rollback; 0 otherwise.
    """

    saves: tuple[HistoryEntry, ...]
    outcome: RunOutcome
    version: str
    restored: int

    @property
    def serial(self) -> int:
        """The serial to roll back to."""
        return self.saves[0].serial

    @property
    def verb(self) -> str:
        """The command of the run: `apply`, `promote`, `rollback`, …; "" if it is unknown."""
        words = self.saves[0].command.split()[1:]
        return words[0] if words and not words[0].startswith("-") else ""
