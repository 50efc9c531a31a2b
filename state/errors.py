"""Everything that can go wrong with a record, named by what the caller should do about it.

    StateError
    ├── CorruptStateError       the stored record cannot be read, or breaks an invariant
    ├── InvalidSnapshotError    a new record breaks an invariant: a bug of ours; nothing was saved
    ├── NewerFormatError        a newer reconciler wrote it; that one is needed
    ├── StoreUnavailableError   the place that keeps records could not be opened, read or written
    ├── StaleStateError         somebody else wrote in the meantime
    │   ├── SerialConflictError     … another serial of the same record
    │   ├── LineageConflictError    … a different record under the same name
    │   └── ExistingStateError      … a record under the name that another one was to get
    ├── AmbiguousStateError     several records may be the one of this stack
    ├── LockedError             another run holds the lock
    └── LostLockError           this run held the lock, and no longer does

No message ever holds a field's value.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from state.lock_info import LockInfo

VERIFY_COMMAND = "reconciler state verify STACK"


class StateError(Exception):
    """What happened to the record, in one sentence, with what to do about it.

    Args:
        message: what happened and why, without a final stop.
        hint: what to run or to change next; empty when there is nothing to say.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send errors to the process that reports them; `args` are not those of each constructor.
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(kind: type[StateError], args: tuple[object, ...]) -> StateError:
    problem = kind.__new__(kind)
    problem.args = args
    return problem


class CorruptStateError(StateError):
    """The stored record cannot be read, or breaks an invariant.

    Attributes:
        problems: the broken invariants, each beginning with its number; empty for unreadable text.
    """

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[str] = (),
        hint: str = f"{VERIFY_COMMAND} shows what is wrong and which earlier serials are whole",
    ) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)


class InvalidSnapshotError(StateError):
    """What was about to be saved breaks an invariant. A bug of ours, found before anything was written.

    Attributes:
        problems: the broken invariants, each beginning with its number.
    """

    def __init__(self, stack: str, problems: Sequence[str]) -> None:
        super().__init__(
            f"the new record of {stack} is wrong, so it was not saved: {'; '.join(problems)}",
            hint="this is a bug in reconciler, please report it with this message; "
            f"{VERIFY_COMMAND} checks the record that is stored",
        )
        self.problems = tuple(problems)


class NewerFormatError(StateError):
    """A newer reconciler wrote this; reading it with this one would lose what it does not know."""


class StoreUnavailableError(StateError):
    """The place that keeps records could not be opened, read or written."""


class StaleStateError(StateError):
    """Somebody else wrote since the record was read; nothing was saved."""


class SerialConflictError(StaleStateError):
    """The stored record has another serial than the one this change was made from.

    Attributes:
        expected: the serial the change was made from; 0 when there was no record.
        stored: the serial that is stored now; 0 when there is no record.
    """

    def __init__(self, stack: str, *, expected: int, stored: int) -> None:
        super().__init__(
            f"the record of {stack} is at serial {stored}, not at {expected} from which this change was "
            "made: another run wrote in the meantime",
            hint="run reconciler plan again to see where things stand",
        )
        self.expected = expected
        self.stored = stored


class LineageConflictError(StaleStateError):
    """The stored record descends from another first record; the two cannot be merged."""

    def __init__(self, stack: str, *, expected: str, stored: str) -> None:
        super().__init__(
            f"the record of {stack} has lineage {stored}, not {expected}: it was started anew by another run",
            hint="run reconciler plan again to see where things stand",
        )
        self.expected = expected
        self.stored = stored


class ExistingStateError(StaleStateError):
    """There is state under the name that other state was to be moved to."""

    def __init__(self, before: str, after: str) -> None:
        super().__init__(
            f"{before} cannot become {after}, which has state of its own: nothing was moved",
            hint=f"to keep both, move that one first: reconciler state move '{after}' NAME",
        )


class AmbiguousStateError(StateError):
    """Several states may be those of one stack; only the user knows which.

    Attributes:
        names: that they are kept under.
    """

    def __init__(self, stack: str, names: Sequence[str]) -> None:
        ways = "\n".join(f"  reconciler state move '{name}' '{stack}'" for name in names)
        super().__init__(
            f"{stack} has state under {len(names)} names of the same platform: {', '.join(names)}",
            hint=f"see which is right with reconciler state history NAME, and move that one:\n{ways}",
        )
        self.names = tuple(names)


class LockedError(StateError):
    """Another run holds the lock and kept it for as long as this one was willing to wait."""

    def __init__(self, stack: str, holder: "LockInfo") -> None:
        super().__init__(
            f"{stack} is locked by {holder}",
            hint="wait for that run to end; if it no longer exists its lock expires by itself, "
            f"or take it away with: reconciler state unlock {stack}",
        )
        self.holder = holder


class LostLockError(StateError):
    """This run held the lock, and no longer does; it must not write any more.

    Attributes:
        holder: who holds it now, or None when nobody does.
    """

    def __init__(self, stack: str, holder: "LockInfo | None") -> None:
        now = f"{holder} holds it now" if holder else "it was taken away by force"
        super().__init__(
            f"this run lost its lock on {stack}, so nothing was saved: {now}",
            hint="run reconciler plan again once the other run has ended",
        )
        self.holder = holder
