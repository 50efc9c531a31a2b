"""The runs in the history of a state, with their commands and how they ended. Pure."""

from enum import Enum
from itertools import dropwhile, pairwise

from msgspec import Struct

from state.stores.base import HistoryEntry


def verb_of(command: str) -> str:
    """The verb of a recorded command line, such as `apply`; "" if there is none."""
    return next(iter(_arguments(command)), "")


def target_of(command: str) -> str:
    """The serial or version that a recorded command line rolls back to; "" if it is none that names one."""
    words = _arguments(command)
    words = [part for word in words for part in (word.split("=", 1) if word.startswith("--to=") else [word])]
    named = [target for option, target in pairwise(words) if option == "--to"]
    return named[-1] if named and words[0] == "rollback" else ""


def _arguments(command: str) -> list[str]:
    """The words of a recorded command line from its verb on. The options before the verb take no value."""
    return [*dropwhile(lambda word: word.startswith("-"), command.split()[1:])]


class RunOutcome(Enum):
    """How a run ended, as the history shows it."""

    APPLIED = "applied"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    PARTIAL = "partial"  # it left a state that need not have all that ran, as `state forget` does
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
        return verb_of(self.saves[0].command)
