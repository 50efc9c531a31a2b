"""What a place that keeps records must offer, and which one a URL names.

Stands between the commands and the stores. Decides nothing about content: it keeps what it is given, and
refuses what would overwrite somebody else's work.
"""

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from state.errors import StoreUnavailableError
from state.lock import HEARTBEAT, TTL, Lock, LockInfo
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
    """

    serial: int
    lineage: str
    written_at: str
    written_by: str
    owner: str
    host: str
    command: str
    git_commit: str


def nobody_told(_: LockInfo) -> None:
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

    def lock(
        self,
        stack: str,
        info: LockInfo,
        *,
        timeout: float,
        ttl: float = TTL,
        every: float = HEARTBEAT,
        waiting: Callable[[LockInfo], None] = nobody_told,
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

    def unlock(self, stack: str) -> LockInfo | None:
        """Takes the lock away from whoever has it, and says from whom; that run can no longer save."""

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        """The latest saves, latest first."""

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        """The record as it was at that serial, or None when it never was or is no longer kept."""

    def stacks(self) -> Sequence[str]:
        """The stacks of which there is a record, in order."""

    def close(self) -> None:
        """Lets go of files and connections. The store may be used again, and opens them anew."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_store(url: str | None) -> Store:
    """The store that this URL names. Opens nothing yet: a store that is only read from never makes a file.

    Args:
        url: a path, `sqlite:///relative/path`, `sqlite:////absolute/path`, or None for the file in the
            user's own state folder.

    Raises:
        StoreUnavailableError: the URL names no kind of store that this version has.
    """
    from state.sqlite import SqliteStore

    if not url:
        from platformdirs import user_state_path

        return SqliteStore(user_state_path("reconciler") / "state.db")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", url)  # two letters at least: C:\state.db is a path
    if scheme is None:
        return SqliteStore(Path(url).expanduser())
    path = url.removeprefix("sqlite:///")
    if path == url or not path:
        raise StoreUnavailableError(
            f"there is no state store for {scheme[1]}:// URLs like this one",
            hint="give a path, sqlite:///relative/path or sqlite:////absolute/path; "
            "without RECONCILER_STATE the file in your own state folder is used",
        )
    return SqliteStore(Path(path).expanduser())
