"""What a place that keeps records must offer, and which one a URL names.

Stands between the commands and the stores. Decides nothing about content: it keeps what it is given, and
refuses what would overwrite somebody else's work.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Protocol, Self

from state.errors import LineageConflictError, SerialConflictError
from state.lock import HEARTBEAT, TTL, Lock
from state.lock_info import LockInfo
from state.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One save, as the history tells it.

    Attributes:
        serial: that it made.
        lineage: of the record.
        written_at: when, ISO 8601 with its offset from UTC.
        written_by: version of the reconciler.
        owner: who ran it; "" when it was saved without a lock, as are `host`, `command` and `git_commit`.
        host: on which machine.
        command: what was asked for.
        git_commit: of the files it worked from.
        ci: where the log of the CI job that did it can be read, or its number.
        run: the same for all saves of one run; "" when nobody knows.
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

    @classmethod
    def of(cls, saved: Snapshot, run: LockInfo | None) -> "HistoryEntry":
        """How the history tells that this run saved this snapshot."""
        who = (run.owner, run.host, run.command, run.git_commit, run.ci, run.id) if run else ("",) * 6
        return cls(saved.serial, saved.lineage, saved.written_at, saved.written_by, *who)


def check_head(saved: Snapshot, expected_serial: int, serial: int, lineage: str) -> None:
    """Whether what is stored now is what a save was made from: the same for every store.

    Args:
        serial, lineage: of the stored record; 0 and "" when there is none.

    Raises:
        SerialConflictError: another serial is stored now.
        LineageConflictError: another lineage is stored now.
    """
    if serial != expected_serial:
        raise SerialConflictError(saved.stack, expected=expected_serial, stored=serial)
    if serial and lineage != saved.lineage:
        raise LineageConflictError(saved.stack, expected=saved.lineage, stored=lineage)


def no_announcement(_: LockInfo) -> None:
    """For `waiting`, when nobody wants to know."""


class Store(Protocol):
    """Keeps the records of any number of stacks. Safe to use from several threads and processes.

    Every method may raise StoreUnavailableError; those that give a snapshot, CorruptStateError and
    NewerFormatError as well. Reading makes no file, no folder and takes no lock.
    """

    def load(self, stack: str) -> Snapshot | None:
        """The latest record, or None when there is none."""

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        """Keeps the snapshot as serial `expected_serial` + 1; when this returns, it is on the disk.

        Args:
            expected_serial: the serial this one was made from; 0 when there must be no record yet.
            lock: of this run; None for a write that relies on the compare-and-swap alone.

        Returns:
            The snapshot as it was stored.

        Raises:
            InvalidSnapshotError: it breaks an invariant.
            SerialConflictError: another serial is stored now.
            LineageConflictError: another lineage is stored now.
            LostLockError: the lock is no longer this run's.
        """

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        """Keeps what another store had as it was there: serial, author and time included.

        Args:
            entry: how the other store's history tells it.
            expected_serial: the serial that is stored here now, lower than the snapshot's; 0 for no record.

        Raises: as of `save`.
        """

    def lock(
        self,
        stack: str,
        info: LockInfo,
        *,
        timeout: float,
        ttl: float = TTL,
        every: float = HEARTBEAT,
        waiting: Callable[[LockInfo], None] = no_announcement,
    ) -> AbstractContextManager[Lock]:
        """Holds the stack's lock for the length of the block, renewing it from a thread.

        Args:
            timeout: seconds to wait for a run that holds it; 0 tries once.
            ttl: seconds after the last heartbeat at which others may take it over.
            every: seconds between two heartbeats.
            waiting: told of each holder that has to be waited for, once.

        Raises:
            LockedError: another run still held it after that time.
        """

    def holder(self, stack: str) -> LockInfo | None:
        """Who holds the lock now, or None; a run that is gone or whose lock has expired holds nothing."""

    def abandoned(self, stack: str) -> LockInfo | None:
        """The run that ended without giving its lock back, until another run takes it over, or None."""

    def unlock(self, stack: str) -> LockInfo | None:
        """Takes the lock away from whoever has it, and says from whom; that run can no longer save."""

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        """The latest saves, latest first."""

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        """The record as it was at that serial, or None when it never was or is no longer kept."""

    def stacks(self) -> Sequence[str]:
        """The stacks of which there is a record, in order."""

    def names(self) -> Sequence[str]:
        """The names under which there may be a record, in order, for the price of one request."""

    def move(self, before: str, after: str) -> None:
        """Gives a record another name, with its history. Killed meanwhile, it is there under both at worst.

        The caller holds the locks of both names.

        Raises:
            ExistingStateError: there is a record under `after`.
            StaleStateError: there is none under `before`.
        """

    def close(self) -> None:
        """Lets go of files and connections. The store may be used again, and opens them anew."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


EVERYTHING = 1_000_000  # saves; more than any stack has
_FIRST_LOOK = 64  # saves of the history that are read at first, and then twice as many


def runs(store: Store, stack: str) -> Iterator[tuple[HistoryEntry, ...]]:
    """The saves of each run, latest first in both; a save of which nobody knows the run is one of its own.

    Reads no more than twice as far back as it is asked for: in a bucket each save is an object.
    """
    for _, saves in groupby(_saves(store, stack), lambda entry: (entry.run or entry.serial, entry.lineage)):
        yield tuple(saves)


def _saves(store: Store, stack: str) -> Iterator[HistoryEntry]:
    """All saves, latest first; those that are made meanwhile are left out."""
    limit, told = _FIRST_LOOK, EVERYTHING
    while True:
        for entry in store.history(stack, limit):
            if entry.serial < told:
                told = entry.serial
                yield entry
        # Damaged ones may be missing, so that a short answer is no end; the first save is.
        if told == 1 or limit >= EVERYTHING:
            return
        limit *= 2
