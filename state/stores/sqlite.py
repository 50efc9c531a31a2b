"""The store on this machine: one SQLite file for all stacks, with its history and its locks.

A save is one short transaction (WAL, synchronous=FULL) that checks lock, lineage and serial and adds one
row; rows are never changed, and none is dropped. The first save of a run stores the whole document, later
ones only what changed, until those add up to more than the document: so the cost of an apply grows with its
changes, not with their square. Never decides what a record should hold.
"""

import errno
import os
import shutil
import sqlite3
import stat
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from state.document import bodies, dumps, from_document, header, loads, to_json, with_change
from state.errors import (
    CorruptStateError,
    ExistingStateError,
    InvalidSnapshotError,
    NewerFormatError,
    StaleStateError,
    StoreUnavailableError,
)
from state.invariants import verify
from state.lock import HEARTBEAT, TTL, Lock, check_held, holding, is_held, read_lock_info
from state.lock_info import LockInfo
from state.snapshot import JSON, Snapshot, difference
from state.stores.base import HistoryEntry, check_head, no_announcement

_SCHEMA_VERSION = 3
_UPGRADES = {
    1: "ALTER TABLE saves ADD COLUMN ci TEXT NOT NULL DEFAULT ''",
    2: "ALTER TABLE saves ADD COLUMN run TEXT NOT NULL DEFAULT ''",
}
"""From a layout to what makes the next one of it; done by the first write, so reading copes with all."""

T = TypeVar("T")

_BUSY = 30.0  # seconds to wait for another process's transaction, each of which takes milliseconds
_SCHEMA = (
    """
    CREATE TABLE saves (
        stack TEXT NOT NULL, serial INTEGER NOT NULL, lineage TEXT NOT NULL,
        written_at TEXT NOT NULL, written_by TEXT NOT NULL,
        owner TEXT NOT NULL, host TEXT NOT NULL, command TEXT NOT NULL, git_commit TEXT NOT NULL,
        ci TEXT NOT NULL, run TEXT NOT NULL,
        PRIMARY KEY (stack, serial)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE contents (
        stack TEXT NOT NULL, serial INTEGER NOT NULL,
        whole INTEGER NOT NULL,  -- 1: the document; 0: what changed since the serial before
        body BLOB NOT NULL,      -- JSON, compressed by zlib
        PRIMARY KEY (stack, serial)
    )
    """,
    """
    CREATE TABLE locks (
        stack TEXT PRIMARY KEY, fence INTEGER NOT NULL,
        holder TEXT,             -- LockInfo as JSON; NULL when nobody holds it
        expires REAL NOT NULL    -- seconds since 1970
    )
    """,
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)


_MAGIC: Final = b"SQLite format 3\x00"
"""How every such file begins: https://sqlite.org/fileformat.html"""

_DAMAGE: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Codes of errors of a file that is not as it was written; SQLITE_ERROR: a table or a column is missing."""

_UNWRITABLE: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_DENIED: Final = {errno.EROFS, errno.EACCES, errno.EPERM}
_RESTORE: Final = (
    "restore it from a backup, or move it away and apply again: what exists is found by its name, "
    "and only who changed what is lost"
)
_READ_ONLY: Final = (
    "plan and drift only read it; to apply, make file and folder writable, or go on with a copy elsewhere: "
    "reconciler state copy FROM TO, and name it with RECONCILER_STATE"
)
_CHECK: Final = "check the file, its folder and the free space, or name another file with RECONCILER_STATE"
_ATTEMPTS = 20  # to read a file that changes while it is read


@dataclass(frozen=True, slots=True)
class _Tail:
    """What this store saved last of a stack: the next save may store only what changed since.

    Attributes:
        snapshot: as it was saved.
        whole: bytes of the last whole document.
        changes: bytes of the changes stored after it.
    """

    snapshot: Snapshot
    whole: int
    changes: int


class SqliteStore:
    """A `Store` in one SQLite file. See the protocol for what its methods promise.

    Args:
        path: of the file; it and its folder are made by the first write, for this user only.
        clock: seconds since 1970; for tests.
        sleep: waits so many seconds; for tests.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._clock = clock
        self._sleep = sleep
        self._mutex = threading.RLock()  # one connection, used by one thread at a time
        self._connection: sqlite3.Connection | None = None
        self._tails: dict[str, _Tail] = {}
        self._loaded: dict[str, Snapshot] = {}  # the latest load per stack: the next serial starts from it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._mutex:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._loaded.clear()

    # -- records

    def load(self, stack: str) -> Snapshot | None:
        rows = self._read(
            "SELECT (SELECT max(serial) FROM saves WHERE stack = ?1),"
            " (SELECT max(serial) FROM contents WHERE stack = ?1)",
            stack,
        )
        newest, content = rows[0] if rows else (None, None)
        if content is not None and (newest is None or newest < content):
            raise self._damaged(stack, content, "its history is missing")
        if newest is None:
            return None
        snapshot = self.load_at(stack, newest)
        if snapshot is None:
            raise self._damaged(stack, newest, "its content is missing")
        return snapshot

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        rows = self._read(
            """SELECT serial, body FROM contents WHERE stack = ?1 AND serial <= ?2 AND serial >= (
                   SELECT max(serial) FROM contents WHERE stack = ?1 AND serial <= ?2 AND whole)
               ORDER BY serial""",
            stack,
            serial,
        )
        if not rows or rows[-1][0] != serial:
            return None
        if len(rows) != serial - rows[0][0] + 1:
            raise self._damaged(stack, serial, "a change on the way to it is missing")
        before = self._loaded.get(stack)
        if before is None or not rows[0][0] <= before.serial <= serial:
            before = from_document(self._document(stack, *rows[0]))
        for number, body in rows[before.serial - rows[0][0] + 1 :]:
            try:
                before = with_change(before, self._document(stack, number, body))
            except CorruptStateError as problem:
                told = f"a change on the way to it does not fit: {problem.message}"
                raise self._damaged(stack, serial, told) from None
        self._loaded[stack] = before
        return before

    def _document(self, stack: str, serial: int, body: bytes) -> JSON:
        try:
            return loads(zlib.decompress(body).decode("ascii"))
        except (zlib.error, UnicodeDecodeError, TypeError) as error:
            raise self._damaged(stack, serial, str(error)) from None

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        saved = snapshot.written(serial=expected_serial + 1, by=snapshot.written_by, at=snapshot.written_at)
        self._keep(saved, HistoryEntry.of(saved, lock.info if lock else None), expected_serial, lock)
        return saved

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        self._keep(snapshot, entry, expected_serial, None)

    def _keep(self, saved: Snapshot, entry: HistoryEntry, expected_serial: int, lock: Lock | None) -> None:
        stack = saved.stack
        with self._mutex:
            tail = self._tails.get(stack)
            if tail and (tail.snapshot.serial, tail.snapshot.lineage) != (saved.serial - 1, saved.lineage):
                tail = None
            problems = verify(saved, since=tail.snapshot if tail else None)
            if problems:
                raise InvalidSnapshotError(stack, problems)
            whole, body = _content(saved, tail)
            with self._transaction() as connection:
                if lock is not None:
                    row = connection.execute("SELECT fence, holder FROM locks WHERE stack = ?", (stack,))
                    _check_lock(lock, row.fetchone())
                head = connection.execute(
                    "SELECT serial, lineage FROM saves WHERE stack = ? ORDER BY serial DESC LIMIT 1", (stack,)
                )
                check_head(saved, expected_serial, *(head.fetchone() or (0, "")))
                _insert(connection, stack, entry, whole=whole, body=body)
            if whole or tail is None:
                self._tails[stack] = _Tail(saved, len(body), 0)
            else:
                self._tails[stack] = _Tail(saved, tail.whole, tail.changes + len(body))

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        # The columns in their order, as a file of an older layout has fewer of them.
        sql = "SELECT * FROM saves WHERE stack = ? ORDER BY serial DESC LIMIT ?"
        return [HistoryEntry(*row[1:]) for row in self._read(sql, stack, limit)]

    def stacks(self) -> Sequence[str]:
        sql = "SELECT stack FROM saves UNION SELECT stack FROM contents ORDER BY stack"
        return [stack for (stack,) in self._read(sql)]

    def names(self) -> Sequence[str]:
        return self.stacks()

    def move(self, before: str, after: str) -> None:
        with self._transaction() as connection:
            exists = "SELECT 1 FROM saves WHERE stack = ? LIMIT 1"
            if connection.execute(exists, (before,)).fetchone() is None:
                raise StaleStateError(f"there is no state of {before} to be moved")
            if connection.execute(exists, (after,)).fetchone():
                raise ExistingStateError(before, after)
            rows = connection.execute("SELECT serial, body FROM contents WHERE stack = ?", (before,))
            for serial, body in rows.fetchall():
                connection.execute(
                    "UPDATE contents SET stack = ?, body = ? WHERE stack = ? AND serial = ?",
                    (after, _renamed(body, after), before, serial),
                )
            connection.execute("UPDATE saves SET stack = ? WHERE stack = ?", (after, before))
        for known in (self._tails, self._loaded):
            known.pop(before, None)

    # -- locks

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
        return holding(
            stack,
            lambda: self._take(stack, info, ttl),
            lambda lock: self._renew(lock, ttl),
            self._release,
            timeout=timeout,
            every=every,
            clock=self._clock,
            sleep=self._sleep,
            waiting=waiting,
        )

    def holder(self, stack: str) -> LockInfo | None:
        holder, held = self._lock_of(stack)
        return holder if held else None

    def abandoned(self, stack: str) -> LockInfo | None:
        holder, held = self._lock_of(stack)
        return None if held else holder

    def _lock_of(self, stack: str) -> tuple[LockInfo | None, bool]:
        """The run in the stack's lock, and whether it still keeps others out."""
        for text, expires in self._read("SELECT holder, expires FROM locks WHERE stack = ?", stack):
            holder = read_lock_info(text)
            return holder, is_held(holder, expires=expires, now=self._clock())
        return None, False

    def unlock(self, stack: str) -> LockInfo | None:
        if not self._read("SELECT 1 FROM locks WHERE stack = ? AND holder IS NOT NULL", stack):
            return None
        with self._transaction() as connection:
            row = connection.execute("SELECT holder FROM locks WHERE stack = ?", (stack,)).fetchone()
            connection.execute("UPDATE locks SET holder = NULL WHERE stack = ?", (stack,))
        with suppress(CorruptStateError):  # it is gone now, whatever it was
            return read_lock_info(row[0])
        return None

    def _take(self, stack: str, info: LockInfo, ttl: float) -> Lock | LockInfo:
        """The lock, or who holds it."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT fence, holder, expires FROM locks WHERE stack = ?", (stack,)
            ).fetchone()
            fence, holder, expires = row or (0, None, 0.0)
            before = read_lock_info(holder)
            if before is not None and is_held(before, expires=expires, now=self._clock()):
                return before
            connection.execute(
                "INSERT OR REPLACE INTO locks (stack, fence, holder, expires) VALUES (?, ?, ?, ?)",
                (stack, fence + 1, info.to_json(), self._clock() + ttl),
            )
        return Lock(stack, info, fence + 1, before)

    def _renew(self, lock: Lock, ttl: float) -> None:
        with self._transaction() as connection:
            row = connection.execute("SELECT fence, holder FROM locks WHERE stack = ?", (lock.stack,))
            _check_lock(lock, row.fetchone())
            connection.execute(
                "UPDATE locks SET expires = ? WHERE stack = ?", (self._clock() + ttl, lock.stack)
            )

    def _release(self, lock: Lock) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE locks SET holder = NULL WHERE stack = ? AND fence = ?", (lock.stack, lock.fence)
            )

    # -- the file

    def _read(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a query; none when there is no file."""
        with self._mutex, self._explained():
            if self._connection is None and not self._is_there():
                return []
            try:
                return retry_while_busy(lambda: self._rows(self._connected(), sql, values))
            except sqlite3.OperationalError as problem:
                if _code(problem) not in _UNWRITABLE:
                    raise
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
            return self._read_only(sql, values)

    def _read_only(self, sql: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """The rows of a query where nothing can be written: SQLite itself wants to, beside the file.

        A log beside the file, as a killed run leaves it, holds the latest saves: both are read from a copy.
        Another user's run may write meanwhile, so what was read counts only if the files are as they were.
        """
        log = Path(f"{self.path}-wal")
        for _ in range(_ATTEMPTS):
            before = _stamp(self.path), _stamp(log)
            try:
                if before[1] and before[1][1]:
                    with tempfile.TemporaryDirectory() as folder:
                        copy = Path(folder) / "state.db"
                        shutil.copyfile(self.path, copy)
                        shutil.copyfile(log, f"{copy}-wal")
                        with closing(sqlite3.connect(copy)) as connection:
                            rows = self._rows(connection, sql, values)
                else:
                    url = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
                    with closing(sqlite3.connect(url, uri=True)) as connection:
                        rows = self._rows(connection, sql, values)
            except (sqlite3.Error, OSError):
                if (_stamp(self.path), _stamp(log)) == before:
                    raise
            else:
                if (_stamp(self.path), _stamp(log)) == before:
                    return rows
            self._sleep(0.01)
        raise StoreUnavailableError(f"the state file {self.path} changes all the time", hint="try again")

    def _rows(
        self, connection: sqlite3.Connection, sql: str, values: Sequence[object]
    ) -> list[tuple[Any, ...]]:
        self._layout(connection)
        return connection.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other writer shares; undone when the block raises."""
        with self._mutex, self._explained("written"):
            if self._connection is None and not self._is_there():
                self._create()
            connection = retry_while_busy(self._begin)
            try:
                for statement in self._upgrades(connection):
                    connection.execute(statement)
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _is_there(self) -> bool:
        """Whether there is a state file.

        It is made whole or not at all, so one without content was cut off, and is not an empty one.

        Raises:
            CorruptStateError: there is a file, and it is none of SQLite's.
            StoreUnavailableError: it is no file, or a link that leads nowhere.
        """
        found = _stat(self.path)
        if found is None and self.path.is_symlink():
            raise StoreUnavailableError(
                f"the state file {self.path} is a link to {self.path.readlink()}, which is not there",
                hint="mount or restore what it leads to, or remove the link to begin anew",
            )
        if found is None:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailableError(
                f"{self.path} is no file, so it cannot hold state", hint="name a file with RECONCILER_STATE"
            )
        with self.path.open("rb") as file:
            begins = file.read(len(_MAGIC))
        if begins != _MAGIC:
            size = f"{found.st_size} bytes" if found.st_size != 1 else "1 byte"
            raise CorruptStateError(
                f"the state file {self.path} is damaged: its {size} do not begin as a database",
                hint=_RESTORE,
            )
        return True

    def _create(self) -> None:
        """Makes the file, whole, unless another process was quicker."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # mode 0600
        os.close(handle)
        try:
            with closing(sqlite3.connect(name, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA journal_mode = WAL")  # kept in the file; not within a transaction
                connection.execute("BEGIN")
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("COMMIT")
            try:
                os.link(name, self.path)
            except FileExistsError:
                return
            except OSError:  # a file system without hard links
                if not self.path.exists():
                    Path(name).rename(self.path)
        finally:
            for leftover in (name, f"{name}-wal", f"{name}-shm"):
                Path(leftover).unlink(missing_ok=True)

    def _begin(self) -> sqlite3.Connection:
        """The connection, in a transaction that no other writer shares."""
        connection = self._connected()
        self._layout(connection)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _connected(self) -> sqlite3.Connection:
        """The connection to the file, which must exist."""
        if self._connection is None:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY,
                isolation_level=None,  # transactions begin and end where it is written
                check_same_thread=False,  # the mutex sees to it
            )
            connection.execute("PRAGMA synchronous = FULL")
            self._connection = connection
        return self._connection

    def _damaged(self, stack: str, serial: int, what: str) -> CorruptStateError:
        return CorruptStateError(
            f"the record of {stack} at serial {serial} in {self.path} is damaged: {what}"
        )

    def _upgrades(self, connection: sqlite3.Connection) -> Sequence[str]:
        """The statements that bring the file to the present layout."""
        upgrades = [_UPGRADES[step] for step in range(self._layout(connection), _SCHEMA_VERSION)]
        return [*upgrades, _SCHEMA[-1]] if upgrades else []

    def _layout(self, connection: sqlite3.Connection) -> int:
        """The layout of the file. Raises NewerFormatError, or CorruptStateError when it has none."""
        version: int
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise NewerFormatError(
                f"{self.path} was made by a newer reconciler: "
                f"it has layout {version}, this one knows up to {_SCHEMA_VERSION}",
                hint="pip install --upgrade picsellia-reconciler",
            )
        if version < 1:
            raise CorruptStateError(
                f"the database {self.path} holds no state: it is damaged, or it is not reconciler's",
                hint=f"{_RESTORE}; or name another file with RECONCILER_STATE",
            )
        return version

    @contextmanager
    def _explained(self, use: str = "used") -> Iterator[None]:
        """Errors of SQLite and of the system as errors of the store.

        Args:
            use: what was about to be done, as a participle.
        """
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if _code(error) in _DAMAGE or "decode to UTF-8" in str(error):
                told = f"the state file {self.path} is damaged: {error}"
                raise CorruptStateError(told, hint=_RESTORE) from error
            denied = isinstance(error, OSError) and error.errno in _DENIED
            hint = _READ_ONLY if denied or _code(error) in _UNWRITABLE else _CHECK
            told = f"the state file {self.path} cannot be {use}: {error}"
            raise StoreUnavailableError(told, hint=hint) from error


def _code(problem: BaseException) -> int | None:
    """SQLite's own code for what went wrong, without its details; None for any other error."""
    code = getattr(problem, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF  # the low byte; the rest says more of the same


def _stat(path: Path) -> os.stat_result | None:
    """None when there is nothing; what may not be looked at is there for all we know, and raises OSError."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever a file does: time, size in bytes, identity; None when there is no file."""
    found = _stat(path)
    return found and (found.st_mtime_ns, found.st_size, found.st_ino)


def retry_while_busy(call: Callable[[], T]) -> T:
    """Call it again while the file is busy with something that SQLite itself does not wait for.

    Its timeout covers other transactions, but neither the change to WAL by another process nor the clean-up
    when the last connection closes (https://sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY").
    """
    return _PATIENTLY(call)


def _is_busy(problem: BaseException) -> bool:
    return _code(problem) == sqlite3.SQLITE_BUSY


_PATIENTLY = Retrying(
    retry=retry_if_exception(_is_busy),
    wait=wait_random(0.002, 0.02),
    stop=stop_after_delay(_BUSY),
    reraise=True,
)


def _content(saved: Snapshot, tail: _Tail | None) -> tuple[bool, bytes]:
    """Whether the whole document is stored, and the bytes of it or of what changed."""
    if tail is not None:
        changed = difference(tail.snapshot, saved)
        change = {
            **header(saved),
            "resources": bodies(changed.resources.values()),
            "intents": bodies(changed.intents.values()),
            "removed": {"resources": changed.removed_resources, "intents": changed.removed_intents},
        }
        body = zlib.compress(dumps(change).encode("ascii"))
        if tail.changes + len(body) <= tail.whole:
            return False, body
    return True, zlib.compress(to_json(saved).encode("ascii"))


def _renamed(body: bytes, stack: str) -> bytes:
    """The stored document, or change, under another name; what is damaged stays so."""
    try:
        document = loads(zlib.decompress(body).decode("ascii"))
        return zlib.compress(dumps(document | {"stack": stack}).encode("ascii"))
    except (CorruptStateError, zlib.error, UnicodeDecodeError, TypeError):
        return body


def _check_lock(lock: Lock, row: tuple[int, str | None] | None) -> None:
    fence, holder = row or (0, None)
    check_held(lock, fence, read_lock_info(holder))


def _insert(
    connection: sqlite3.Connection, stack: str, entry: HistoryEntry, *, whole: bool, body: bytes
) -> None:
    connection.execute("INSERT INTO saves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (stack, *astuple(entry)))
    connection.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", (stack, entry.serial, int(whole), body))
