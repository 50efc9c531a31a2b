"""The protocol of state stores, and the helpers they share.

Sits between the commands and the stores. A store has no opinion on content: it keeps what it receives, and
refuses a save that would overwrite another run's work.
"""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from itertools import groupby
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct

from state.errors import CorruptStateError, LineageConflictError, SerialConflictError
from state.lock import HEARTBEAT, TTL, Lock
from state.lock_info import LockInfo
from state.outline import Outline
from state.register import Register, from_text
from state.snapshot import Snapshot


class HistoryEntry(Struct, frozen=True):
    """One save in the history.

    Attributes:
        serial: the serial of the save.
        lineage: the lineage of the state.
        written_at: time of the save, ISO 8601 with its offset from UTC.
        written_by: version of the reconciler.
        owner: the user who started the run; "" for a save without a lock, as are `host`, `command` and
            `git_commit`.
        host: the name of the machine.
        command: the command line.
        git_commit: commit of the files that the run worked from.
        ci: URL of the CI job's log, or the job's number.
        run: id of the run, shared by all its saves; "" if unknown.
        promoted_from: the environment whose image a promotion took over; "" for other runs.
        override: why the run overrode gates and reviews; "" if it kept to them.
    """

    serial: int
    lineage: str
    written_at: str
    written_by: str
    owner: str
    host: str
    command: str
    git_commit: str
    ci: str = ""
    run: str = ""
    promoted_from: str = ""
    override: str = ""

    @classmethod
    def of(cls, saved: Snapshot, run: LockInfo | None) -> "HistoryEntry":
        """The history entry for a snapshot that this run saved."""
        origin = ("",) * 8
        if run is not None:
            origin = (
                *(run.owner, run.host, run.command, run.git_commit),
                *(run.ci, run.id, run.promoted_from, run.override),
            )
        return cls(saved.serial, saved.lineage, saved.written_at, saved.written_by, *origin)


def check_head(saved: Snapshot, expected_serial: int, serial: int, lineage: str) -> None:
    """Checks that the stored state is the one that a save is based on. Shared by all stores.

    Args:
        serial, lineage: of the stored state; 0 and "" if there is none.

    Raises:
        SerialConflictError: the store has a different serial.
        LineageConflictError: the store has a different lineage.
    """
    if serial != expected_serial:
        raise SerialConflictError(saved.stack, expected=expected_serial, stored=serial)
    if serial and lineage != saved.lineage:
        raise LineageConflictError(saved.stack, expected=saved.lineage, stored=lineage)


@lru_cache(maxsize=4)  # each stack of a run reads it again, and it is seldom another one
def parse_register(text: object, scope: str, place: str) -> tuple[Register, str]:
    """The register in the text of a store, and the id of its write.

    Args:
        place: the store, for messages.

    Raises:
        CorruptStateError: it is damaged.
        NewerFormatError: a newer reconciler wrote it.
    """
    try:
        if not isinstance(text, str):
            raise CorruptStateError("it is not text")
        return from_text(text, scope)
    except CorruptStateError as problem:
        raise damaged_register(scope, place, problem.message) from None


def damaged_register(scope: str, place: str, detail: str) -> CorruptStateError:
    """The error for a register that cannot be read, with the command that makes it again."""
    return CorruptStateError(
        f"the register of {scope} in {place} is damaged: {detail}",
        hint=f"make it again from the states: reconciler state claims --rebuild {shlex.quote(scope)}",
    )


def no_announcement(_: LockInfo) -> None:
    """The default for `on_wait`: does nothing."""


class Store(Protocol):
    """Keeps the state of any number of stacks, and a register per scope. Safe to use from several threads and
    processes.

    Every method may raise StoreUnavailableError; methods that return a snapshot may also raise
    CorruptStateError and NewerFormatError. Reading creates no file or folder and takes no lock.
    """

    def load(self, stack: str) -> Snapshot | None:
        """The latest state, or None."""

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        """Saves the snapshot as serial `expected_serial` + 1. It is durable when this returns.

        Args:
            expected_serial: the serial that the snapshot is based on; 0 if there must be no state yet.
            lock: the lock of this run; None to rely on the compare-and-swap alone.

        Returns:
            The stored snapshot.

        Raises:
            InvalidSnapshotError: it breaks an invariant.
            SerialConflictError: the store has a different serial.
            LineageConflictError: the store has a different lineage.
            LostLockError: this run no longer holds the lock.
        """

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        """Saves a snapshot of another store unchanged, including serial, author and time.

        Args:
            entry: the entry in the other store's history.
            expected_serial: the serial stored here, lower than the snapshot's; 0 for no state.

        Raises: as for `save`.
        """

    def lock(
        self,
        stack: str,
        info: LockInfo,
        *,
        timeout: float,
        ttl: float = TTL,
        every: float = HEARTBEAT,
        on_wait: Callable[[LockInfo], None] = no_announcement,
    ) -> AbstractContextManager[Lock]:
        """Holds the stack's lock for the duration of the block and renews it from a thread.

        Args:
            timeout: seconds to wait for a run that holds it; 0 tries once.
            ttl: seconds from the last heartbeat until another run may take it over.
            every: seconds between two heartbeats.
            on_wait: called once for each holder that this run waits for.

        Raises:
            LockedError: another run still held it after `timeout`.
        """

    def holder(self, stack: str) -> LockInfo | None:
        """The run that holds the lock, or None. An expired lock, or that of a dead run, does not count."""

    def dead_holder(self, stack: str) -> LockInfo | None:
        """The run that ended without releasing its lock, or None once another run has taken it over."""

    def unlock(self, stack: str) -> LockInfo | None:
        """Removes the lock and returns its holder, which can no longer save. It stays the `dead_holder`."""

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        """The latest saves, latest first. Damaged ones are left out; `check_history` reports them."""

    def check_history(self, stack: str, limit: int) -> None:
        """Checks that `history` with this limit leaves nothing out, and that no save is after the state.

        Raises:
            CorruptStateError: a save is missing or damaged, or the stored state is older than the history.
        """

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        """The state at that serial, or None if it never existed or is no longer kept."""

    def outlines(self, stack: str, serials: Collection[int]) -> Mapping[int, Outline]:
        """The outlines of the state at these serials, together: `load_at` reads and checks each one whole.

        Those that are damaged, no longer kept or of an older format are left out.
        """

    def stacks(self) -> Sequence[str]:
        """The stacks that have state, sorted."""

    def exists(self) -> bool:
        """Whether there is such a file or bucket, and anything below the prefix of a bucket."""

    def names(self) -> Sequence[str]:
        """The names that may have state, sorted, for the cost of one request."""

    def move(self, before: str, after: str) -> None:
        """Renames a state together with its history.

        A killed move leaves it under both names at worst. Repeated, it is finished, unless one of them was
        saved since.

        The caller holds the locks of both names.

        Raises:
            ExistingStateError: `after` already has state.
            StaleStateError: `before` has no state.
        """

    def load_register(self, scope: str) -> Register | None:
        """The register of a scope, or None. Raises CorruptStateError and NewerFormatError."""

    def save_register(self, register: Register, *, expected_serial: int | None) -> Register:
        """Saves the register as the next serial, and returns it. It is durable when this returns.

        Args:
            expected_serial: the serial that it is based on; 0 if there must be no register yet; None to
                replace any, damaged ones included.

        Raises:
            RegisterConflictError: the store has a different serial.
        """

    def close(self) -> None:
        """Closes files and connections. Using the store again reopens them."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


ALL_SAVES = 1_000_000  # more than any stack has
_FIRST_PAGE = 64  # saves in the first read of the history; each further read doubles it


def saves_by_run(store: Store, stack: str, *, first: int = _FIRST_PAGE) -> Iterator[tuple[HistoryEntry, ...]]:
    """The saves of each run, latest first in both. A save of an unknown run is a group of its own.

    Reads at most twice as far back as the caller iterates: in a bucket each save is an object.

    Args:
        first: saves to read at first.
    """
    saves = latest_saves(store, stack, first=first)
    for _, of_run in groupby(saves, lambda entry: (entry.run or entry.serial, entry.lineage)):
        yield tuple(of_run)


def latest_saves(store: Store, stack: str, *, first: int) -> Iterator[HistoryEntry]:
    """All saves, latest first, without those made during the iteration. Reads as `saves_by_run`."""
    limit, last_serial = first, ALL_SAVES
    while True:
        for entry in store.history(stack, limit):
            if entry.serial < last_serial:
                last_serial = entry.serial
                yield entry
        # Damaged saves may be missing, so a short page does not mean the end; serial 1 does.
        if last_serial == 1 or limit >= ALL_SAVES:
            return
        limit *= 2
