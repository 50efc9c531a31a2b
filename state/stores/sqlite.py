"""The local store: one SQLite file with state, history and locks of all stacks, and the registers.

A save is one short transaction (WAL, synchronous=FULL) that checks lock, lineage and serial and adds one
row; rows are never changed or dropped. The first save of a run stores the whole document, later saves only
the changes, until these add up to more than the document. The cost of an apply thus grows linearly with its
changes. Has no opinion on the content of the state.
"""

import errno
import os
import shlex
import sqlite3
import stat
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from msgspec import Struct
from msgspec.structs import astuple, replace

from state.document import bodies, dumps, from_document, header, loads, to_json, with_change
from state.errors import (
    CorruptStateError,
    ExistingStateError,
    InvalidNameError,
    InvalidSnapshotError,
    NewerFormatError,
    RegisterConflictError,
    StaleStateError,
    StoreUnavailableError,
)
from state.invariants import verify
from state.lock import (
    HEARTBEAT,
    POLL,
    REMOVED,
    TTL,
    WATCH,
    Lock,
    check_ownership,
    hold_lock,
    is_held,
    is_running,
    read_lock_info,
)
from state.lock_info import LockInfo
from state.outline import Outline, outlines_of
from state.register import Register
from state.register import to_text as register_text
from state.snapshot import Snapshot, UncheckedJSON, difference
from state.stores.base import HistoryEntry, check_head, damaged_register, no_announcement, parse_register
from state.stores.group_commit import GroupCommit
from state.stores.sqlite_rows import (
    ANY,
    BODY,
    EXPIRES,
    FENCE,
    HOLDER,
    LINEAGE,
    REGISTER,
    SERIAL,
    SERIAL_OR_NULL,
    STACK,
    WHOLE,
    Column,
    DamagedRowError,
    query,
    read_text,
)
from state.typed_fields import typed

if TYPE_CHECKING:
    from tenacity import Retrying

_SCHEMA_VERSION = 6
_REGISTERS: Final = """
    CREATE TABLE IF NOT EXISTS registers (
        scope TEXT PRIMARY KEY, serial INTEGER NOT NULL,
        body TEXT NOT NULL       -- the register as JSON
    )
    """
_UPGRADES = {
    1: "ALTER TABLE saves ADD COLUMN ci TEXT NOT NULL DEFAULT ''",
    2: "ALTER TABLE saves ADD COLUMN run TEXT NOT NULL DEFAULT ''",
    3: _REGISTERS,
    4: "ALTER TABLE saves ADD COLUMN promoted_from TEXT NOT NULL DEFAULT ''",
    5: "ALTER TABLE saves ADD COLUMN override TEXT NOT NULL DEFAULT ''",
}
"""Upgrades by source version. The first write runs them, so reads support every version."""

_FIRST_WITH_REGISTERS: Final = 4  # schema version

T = TypeVar("T")

_BUSY_TIMEOUT = 30.0  # seconds to wait for another process's transaction, which takes milliseconds
_SCHEMA = (
    """
    CREATE TABLE saves (
        stack TEXT NOT NULL, serial INTEGER NOT NULL, lineage TEXT NOT NULL,
        written_at TEXT NOT NULL, written_by TEXT NOT NULL,
        owner TEXT NOT NULL, host TEXT NOT NULL, command TEXT NOT NULL, git_commit TEXT NOT NULL,
        ci TEXT NOT NULL, run TEXT NOT NULL, promoted_from TEXT NOT NULL, override TEXT NOT NULL,
        PRIMARY KEY (stack, serial)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE contents (
        stack TEXT NOT NULL, serial INTEGER NOT NULL,
        whole INTEGER NOT NULL,  -- 1: the document; 0: the changes since the previous serial
        body BLOB NOT NULL,      -- JSON, compressed by zlib
        PRIMARY KEY (stack, serial)
    )
    """,
    """
    CREATE TABLE locks (
        stack TEXT PRIMARY KEY, fence INTEGER NOT NULL,
        holder TEXT,             -- LockInfo as JSON; NULL for a free lock
        expires REAL NOT NULL    -- seconds since 1970
    )
    """,
    _REGISTERS,
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)


_MAGIC: Final = b"SQLite format 3\x00"
"""The first bytes of every SQLite file: https://sqlite.org/fileformat.html"""

_DAMAGE: Final = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""Error codes of a damaged file; SQLITE_ERROR means a missing table or column."""

_UNWRITABLE: Final = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}
_NO_SPACE: Final = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
}
"""Extended codes of a read for which a full disk has no room: SQLite writes an index beside the file."""

_DENIED: Final = {errno.EROFS, errno.EACCES, errno.EPERM}
_RESTORE: Final = (
    "restore it from a backup, or move it away and apply again: existing objects are found by name, "
    "and only the history of changes is lost"
)
_READ_ONLY: Final = (
    "plan and drift only read it; to apply, make file and folder writable, or continue with a copy: "
    "reconciler state copy FROM TO, then set RECONCILER_STATE to it"
)
_UNREADABLE: Final = (
    "nothing can be read from it, nor copied; make it readable for this user, as its owner or an "
    "administrator can, or set RECONCILER_STATE to another file"
)
_CHECK: Final = "check the file, its folder and the free space, or set RECONCILER_STATE to another file"
_READ_ATTEMPTS = 20  # for a file that changes during the read
_READ_ONLY_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
)
_LOCK: Final = "SELECT fence, holder, expires FROM locks WHERE stack = ?"
_LOCK_COLUMNS: Final = FENCE, HOLDER, EXPIRES
_LATEST_SAVES: Final = "SELECT * FROM saves WHERE stack = ? ORDER BY serial DESC LIMIT ?"


class _LastSave(Struct, frozen=True):
    """The last save of a stack by this store; the next save may store only the changes since.

    Attributes:
        snapshot: the saved snapshot.
        whole: size of the last whole document in bytes.
        changes: total size of the changes stored after it in bytes.
    """

    snapshot: Snapshot
    whole: int
    changes: int


_LockRow = tuple[int, str | None, float]
"""Fence, holder as JSON, and expiry of a lock."""


class _Expired(Struct, frozen=True):
    """An expired lock whose holder may be live."""

    holder: LockInfo
    row: _LockRow


class SqliteStore:
    """A `Store` in one SQLite file. The protocol documents its methods.

    Args:
        path: path of the file. The first write creates it and its folder, accessible to this user only.
        clock: returns seconds since 1970; for tests.
        monotonic: returns monotonic seconds; for tests.
        sleep: sleeps a number of seconds; for tests.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.path = path
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._mutex = threading.RLock()  # one connection, used by one thread at a time
        self._connection: sqlite3.Connection | None = None
        self._transact: GroupCommit[sqlite3.Connection] = GroupCommit(self._commit, self._mutex)
        self._last_saves: dict[str, _LastSave] = {}
        self._loaded: dict[str, Snapshot] = {}  # the latest load per stack; later serials build on it
        self._read_registers: dict[str, Register] = {}  # the last ones that were read

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

    # -- state

    def load(self, stack: str) -> Snapshot | None:
        rows = self._read(
            """SELECT serial, body, (SELECT max(serial) FROM saves WHERE stack = ?) FROM contents
               WHERE stack = ? AND serial >= (SELECT max(serial) FROM contents WHERE stack = ? AND whole)
               ORDER BY serial""",
            *(stack, stack, stack),
            columns=(SERIAL, BODY, SERIAL_OR_NULL),
            stack=stack,
        )
        if rows and rows[-1][0] == rows[-1][2]:
            newest = self._read("SELECT * FROM saves WHERE stack = ? AND serial = ?", stack, rows[-1][2])
            for row in newest:
                self._entry(stack, row)
            return self._assembled(stack, rows[-1][0], [(serial, body) for serial, body, _ in rows])
        return self._load_incomplete(stack)

    def _load_incomplete(self, stack: str) -> Snapshot | None:
        """The state of a stack that has none, or a damaged one. Raises CorruptStateError."""
        rows = self._read(
            "SELECT (SELECT max(serial) FROM saves WHERE stack = ?),"
            " (SELECT max(serial) FROM contents WHERE stack = ?)",
            *(stack, stack),
            columns=(SERIAL_OR_NULL, SERIAL_OR_NULL),
            stack=stack,
        )
        newest, content = rows[0] if rows else (None, None)
        if content is not None and (newest is None or newest < content):
            raise self._damage_error(stack, content, "its history is missing")
        if newest is None:
            return None
        snapshot = self.load_at(stack, newest)
        if snapshot is None:
            raise self._damage_error(stack, newest, "its content is missing")
        return snapshot

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        rows = self._read(
            """SELECT serial, body FROM contents WHERE stack = ? AND serial <= ? AND serial >= (
                   SELECT max(serial) FROM contents WHERE stack = ? AND serial <= ? AND whole)
               ORDER BY serial""",
            *(stack, serial, stack, serial),
            columns=(SERIAL, BODY),
            stack=stack,
        )
        if not rows or rows[-1][0] != serial:
            return None
        return self._assembled(stack, serial, rows)

    def outlines(self, stack: str, serials: Collection[int]) -> Mapping[int, Outline]:
        if not serials:
            return {}
        try:
            rows = self._read(
                """SELECT serial, whole, body FROM contents WHERE stack = ? AND serial <= ? AND serial >= (
                       SELECT coalesce(max(serial), ?) FROM contents
                       WHERE stack = ? AND serial <= ? AND whole)
                   ORDER BY serial""",
                *(stack, max(serials), min(serials), stack, min(serials)),
                columns=(SERIAL, WHOLE, BODY),
                stack=stack,
            )
        except CorruptStateError:
            return {}  # the caller reads each one whole, and reports it
        documents = ((serial, bool(whole), partial(_unchecked, body)) for serial, whole, body in rows)
        return outlines_of(documents, serials)

    def _assembled(self, stack: str, serial: int, rows: Sequence[tuple[int, bytes]]) -> Snapshot:
        """The state at a serial, from the last whole document before it and all changes since."""
        if len(rows) != serial - rows[0][0] + 1:
            raise self._damage_error(stack, serial, "an earlier change is missing")
        before = self._loaded.get(stack)
        if before is None or not rows[0][0] <= before.serial <= serial:
            before = from_document(self._document(stack, *rows[0]))
        for number, body in rows[before.serial - rows[0][0] + 1 :]:
            try:
                before = with_change(before, self._document(stack, number, body))
            except CorruptStateError as problem:
                detail = f"an earlier change does not apply: {problem.message}"
                raise self._damage_error(stack, serial, detail) from None
        if before.serial != serial:
            raise self._damage_error(stack, serial, f"its content is that of serial {before.serial}")
        self._loaded[stack] = before
        return before

    def _document(self, stack: str, serial: int, body: bytes) -> UncheckedJSON:
        try:
            return loads(zlib.decompress(body).decode("ascii"))
        except (zlib.error, UnicodeDecodeError, TypeError) as error:
            raise self._damage_error(stack, serial, str(error)) from None

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        saved = snapshot.written(serial=expected_serial + 1, by=snapshot.written_by, at=snapshot.written_at)
        self._write(saved, HistoryEntry.of(saved, lock.info if lock else None), expected_serial, lock)
        return saved

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        self._write(snapshot, entry, expected_serial, None)

    def _write(self, saved: Snapshot, entry: HistoryEntry, expected_serial: int, lock: Lock | None) -> None:
        stack = saved.stack
        last = self._last_saves.get(stack)
        if last and (last.snapshot.serial, last.snapshot.lineage) != (saved.serial - 1, saved.lineage):
            last = None
        problems = verify(saved, since=last.snapshot if last else None)
        if problems:
            raise InvalidSnapshotError(stack, problems)
        whole, body = _content(saved, last)

        def write(connection: sqlite3.Connection) -> None:
            if lock is not None:
                self._check_lock(connection, lock)
            head = self._query(
                connection,
                "SELECT serial, lineage FROM saves WHERE stack = ? ORDER BY serial DESC LIMIT 1",
                (stack,),
                columns=(SERIAL, LINEAGE),
                stack=stack,
            )
            check_head(saved, expected_serial, *(head[0] if head else (0, "")))
            _insert(connection, stack, entry, whole=whole, body=body)

        self._transact(write)
        if whole or last is None:
            self._last_saves[stack] = _LastSave(saved, len(body), 0)
        else:
            self._last_saves[stack] = _LastSave(saved, last.whole, last.changes + len(body))

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        # By position, as a file with an older schema has fewer columns.
        rows = self._read(_LATEST_SAVES, stack, limit)
        entries = []
        for row in rows:
            with suppress(CorruptStateError):
                entries.append(self._entry(stack, row))
        if rows and not entries:
            self._entry(stack, rows[0])  # raises
        return entries

    def check_history(self, stack: str, limit: int) -> None:
        for row in self._read(_LATEST_SAVES, stack, limit):
            self._entry(stack, row)
        rows = self._read(
            """SELECT max(serial) FROM contents WHERE stack = ? AND serial >= (
                   SELECT CASE WHEN count(*) < ? THEN 0 ELSE min(serial) END FROM (
                       SELECT serial FROM saves WHERE stack = ? ORDER BY serial DESC LIMIT ?))
               AND serial NOT IN (SELECT serial FROM saves WHERE stack = ?)""",
            *(stack, limit, stack, limit, stack),
            columns=(SERIAL_OR_NULL,),
            stack=stack,
        )
        if rows and rows[0][0] is not None:
            raise self._damage_error(stack, rows[0][0], "its history is missing")

    def _entry(self, stack: str, row: Sequence[Any]) -> HistoryEntry:
        """The save in a row of all columns. Raises CorruptStateError."""
        try:
            entry = typed(HistoryEntry(*row[1:]))
        except TypeError as problem:
            raise self._damage_of(stack, f"a save in its history is invalid: {problem}") from None
        if not (entry.serial and entry.lineage):
            raise self._damage_of(stack, "a save in its history has no serial or no lineage")
        return entry

    def stacks(self) -> Sequence[str]:
        sql = "SELECT stack FROM saves UNION SELECT stack FROM contents ORDER BY stack"
        return [stack for (stack,) in self._read(sql, columns=(STACK,))]

    def exists(self) -> bool:
        return self.path.exists()

    def names(self) -> Sequence[str]:
        return self.stacks()

    def move(self, before: str, after: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            newest = "SELECT lineage FROM saves WHERE stack = ? ORDER BY serial DESC LIMIT 1"
            moved = connection.execute(newest, (before,)).fetchone()
            if moved is None:
                raise StaleStateError(f"cannot move {before}: it has no state")
            if existing := connection.execute(newest, (after,)).fetchone():
                raise ExistingStateError(before, after, is_same=existing == moved)
            rows = connection.execute("SELECT rowid, body FROM contents WHERE stack = ?", (before,))
            for row, body in rows.fetchall():
                connection.execute(
                    "UPDATE contents SET stack = ?, body = ? WHERE rowid = ?",
                    (after, _renamed(body, after), row),
                )
            connection.execute("UPDATE saves SET stack = ? WHERE stack = ?", (after, before))

        self._transact(write)
        self._last_saves.pop(before, None)
        self._loaded.pop(before, None)

    # -- registers

    def load_register(self, scope: str) -> Register | None:
        # An older file has no such table until the first write upgrades it.
        layouts = self._read("SELECT user_version FROM pragma_user_version")
        if not layouts or layouts[0][0] < _FIRST_WITH_REGISTERS:
            return None
        known = self._read_registers.get(scope)
        sql = "SELECT serial, CASE WHEN serial = ? THEN NULL ELSE body END FROM registers WHERE scope = ?"
        columns, damage = (SERIAL, REGISTER), partial(damaged_register, scope, str(self.path))
        last = known.serial if known is not None else -1
        for serial, body in self._read(sql, last, scope, columns=columns, damage=damage):
            if known is None or body is not None:
                known, _ = parse_register(body, scope, str(self.path))
                if known.serial != serial:
                    raise damage(f"its serial is {known.serial}, not {serial}")
                self._read_registers[scope] = known
            return known
        return None

    def save_register(self, register: Register, *, expected_serial: int | None) -> Register:
        def write(connection: sqlite3.Connection) -> Register:
            sql = "SELECT serial FROM registers WHERE scope = ?"
            stored = 0
            for (serial,) in query(connection, sql, (register.scope,), (ANY,)):
                stored = serial if SERIAL.accepts(serial) else 0  # a damaged one
            if expected_serial is not None and stored != expected_serial:
                raise RegisterConflictError(register.scope)
            saved = replace(register, serial=stored + 1)
            connection.execute(
                "INSERT OR REPLACE INTO registers VALUES (?, ?, ?)",
                (saved.scope, saved.serial, register_text(saved)),
            )
            return saved

        return self._transact(write)

    # -- locks

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
        return hold_lock(
            stack,
            lambda announce: self._attempt(stack, info, ttl, announce),
            lambda lock: self._renew(lock, ttl),
            self._release,
            timeout=timeout,
            every=every,
            clock=self._monotonic,
            sleep=self._sleep,
            on_wait=on_wait,
        )

    def holder(self, stack: str) -> LockInfo | None:
        holder, is_locked = self._lock_of(stack)
        return holder if is_locked else None

    def dead_holder(self, stack: str) -> LockInfo | None:
        holder, is_locked = self._lock_of(stack)
        return None if is_locked else holder

    def _lock_of(self, stack: str) -> tuple[LockInfo | None, bool]:
        """The run in the stack's lock, and whether it still keeps other runs out."""
        for _, text, expires in self._read(
            _LOCK, stack, columns=_LOCK_COLUMNS, damage=partial(self._lock_damage, stack)
        ):
            holder = self._lock_info(stack, text)
            is_live = is_held(holder, expires=expires, now=self._clock())
            return holder, is_live or _may_be_live(holder, expires)
        return None, False

    def unlock(self, stack: str) -> LockInfo | None:
        with suppress(CorruptStateError):
            rows = self._read(_LOCK, stack, columns=_LOCK_COLUMNS, damage=partial(self._lock_damage, stack))
            if all(holder is None for _, holder, _ in rows):
                return None

        def write(connection: sqlite3.Connection) -> LockInfo | None:
            try:
                fence, holder, expires = self._lock_row(connection, stack) or (0, None, REMOVED)
                info = self._lock_info(stack, holder)
            except CorruptStateError:  # the lock is removed, readable or not
                fence, info, holder, expires = int(self._clock()), None, None, REMOVED
            connection.execute(
                "UPDATE locks SET fence = ?, holder = ?, expires = ? WHERE stack = ?",
                (fence + 1, holder, REMOVED, stack),
            )
            return None if expires == REMOVED else info

        return self._transact(write)

    def _attempt(
        self, stack: str, info: LockInfo, ttl: float, announce: Callable[[LockInfo], None]
    ) -> Lock | LockInfo:
        """The lock, or its current holder.

        If the clock was set forward, or the machine slept, the lock of a live run looks expired until its
        next heartbeat. So one whose process still runs is taken over only if no heartbeat is seen.
        """
        result = self._acquire(stack, info, ttl)
        if not isinstance(result, _Expired):
            return result
        announce(result.holder)
        for _ in range(round(WATCH / POLL)):
            self._sleep(POLL)
            if self._read(_LOCK, stack) != [result.row]:
                return result.holder
        acquired = self._acquire(stack, info, ttl, unrenewed=result.row)
        return acquired.holder if isinstance(acquired, _Expired) else acquired

    def _acquire(
        self, stack: str, info: LockInfo, ttl: float, *, unrenewed: _LockRow | None = None
    ) -> "Lock | LockInfo | _Expired":
        """The lock, its current holder, or an expired lock whose holder may be live.

        Args:
            unrenewed: an expired lock that was not renewed for a while.
        """

        def write(connection: sqlite3.Connection) -> Lock | LockInfo | _Expired:
            row = self._lock_row(connection, stack)
            fence, holder, expires = row or (0, None, 0.0)
            before = self._lock_info(stack, holder)
            now = self._clock()
            if before is not None and is_held(before, expires=expires, now=now):
                if expires > now + ttl:  # the clock was set back since: a live holder renews the lock soon
                    connection.execute("UPDATE locks SET expires = ? WHERE stack = ?", (now + ttl, stack))
                return before
            if row and before is not None and _may_be_live(before, expires) and row != unrenewed:
                return _Expired(before, row)
            connection.execute(
                "INSERT OR REPLACE INTO locks (stack, fence, holder, expires) VALUES (?, ?, ?, ?)",
                (stack, fence + 1, info.to_json(), now + ttl),
            )
            return Lock(stack, info, fence + 1, before)

        return self._transact(write)

    def _renew(self, lock: Lock, ttl: float) -> None:
        def write(connection: sqlite3.Connection) -> None:
            self._check_lock(connection, lock)
            connection.execute(
                "UPDATE locks SET expires = ? WHERE stack = ?", (self._clock() + ttl, lock.stack)
            )

        self._transact(write)

    def _release(self, lock: Lock) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE locks SET holder = NULL WHERE stack = ? AND fence = ?", (lock.stack, lock.fence)
            )

        self._transact(write)

    def _lock_row(self, connection: sqlite3.Connection, stack: str) -> _LockRow | None:
        damage = partial(self._lock_damage, stack)
        rows = self._query(connection, _LOCK, (stack,), columns=_LOCK_COLUMNS, damage=damage)
        return rows[0] if rows else None

    def _lock_info(self, stack: str, holder: str | None) -> LockInfo | None:
        try:
            return read_lock_info(holder)
        except CorruptStateError as problem:
            raise self._lock_damage(stack, problem.message) from None

    def _lock_damage(self, stack: str, detail: str) -> CorruptStateError:
        return CorruptStateError(
            f"the lock of {stack} in {self.path} is damaged: {detail}",
            hint=f"remove it with: reconciler state unlock {shlex.quote(stack)}",
        )

    def _check_lock(self, connection: sqlite3.Connection, lock: Lock) -> None:
        fence, holder, _ = self._lock_row(connection, lock.stack) or (0, None, 0.0)
        check_ownership(lock, fence, self._lock_info(lock.stack, holder))

    # -- the file

    def _query(
        self,
        connection: sqlite3.Connection,
        sql: str,
        values: Sequence[object],
        *,
        columns: Sequence[Column] | None = None,
        stack: str = "",
        damage: Callable[[str], CorruptStateError] | None = None,
    ) -> list[tuple[Any, ...]]:
        """The rows of a query.

        Args:
            columns: what its columns may have; None for anything.
            stack: the stack that the rows are of; "" for several.
            damage: makes the error for a damaged row; None for that of the stack, or of the file.
        """
        try:
            return query(connection, sql, values, columns)
        except DamagedRowError as problem:
            raise (damage or partial(self._damage_of, stack))(str(problem)) from None

    def _damage_of(self, stack: str, detail: str) -> CorruptStateError:
        """The error for damaged rows of a stack, or of an unknown one."""
        if stack:
            return CorruptStateError(f"the state of {stack} in {self.path} is damaged: {detail}")
        return CorruptStateError(f"the state file {self.path} is damaged: {detail}", hint=_RESTORE)

    def _read(
        self,
        sql: str,
        *values: object,
        columns: Sequence[Column] | None = None,
        stack: str = "",
        damage: Callable[[str], CorruptStateError] | None = None,
    ) -> list[tuple[Any, ...]]:
        """As `_query`; no rows without a file."""
        run = partial(self._checked_rows, sql=sql, values=values, columns=columns, stack=stack, damage=damage)
        with self._mutex, self._translate_errors():
            if self._connection is None and not self._file_exists():
                return []
            try:
                return retry_while_busy(lambda: run(self._connect()))
            except sqlite3.OperationalError as problem:
                if _code(problem) not in _UNWRITABLE and _extended_code(problem) not in _NO_SPACE:
                    raise
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None
            return self._read_only(run)

    def _read_only(self, run: Callable[[sqlite3.Connection], list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
        """The rows of a query on a read-only or full file system, where SQLite cannot write beside the file.

        A WAL file, left by a killed run, contains the latest saves; then a copy of both is read. Another
        user's run may write meanwhile, so a result counts only if the files did not change.
        """
        log = Path(f"{self.path}-wal")
        for _ in range(_READ_ATTEMPTS):
            before = _stamp(self.path), _stamp(log)
            try:
                if before[1] and before[1][1]:
                    with tempfile.TemporaryDirectory() as folder:
                        copy = Path(folder) / "state.db"
                        _copy(self.path, copy)
                        _copy(log, Path(f"{copy}-wal"))
                        with closing(sqlite3.connect(copy)) as connection:
                            rows = run(connection)
                else:
                    url = f"{self.path.absolute().as_uri()}?mode=ro&immutable=1"
                    with closing(sqlite3.connect(url, uri=True)) as connection:
                        rows = run(connection)
            except (sqlite3.Error, OSError):
                if (_stamp(self.path), _stamp(log)) == before:
                    raise
            else:
                if (_stamp(self.path), _stamp(log)) == before:
                    return rows
            self._sleep(0.01)
        raise StoreUnavailableError(
            f"the state file {self.path} changed during {_READ_ATTEMPTS} reads", hint="try again"
        )

    def _checked_rows(
        self, connection: sqlite3.Connection, *, sql: str, values: Sequence[object], **named: Any
    ) -> list[tuple[Any, ...]]:
        connection.text_factory = read_text
        self._check_schema(connection)
        return self._query(connection, sql, values, **named)

    def _commit(self, works: Sequence[Callable[[sqlite3.Connection], Any]]) -> list[Any]:
        """Run these in one exclusive write transaction, which is rolled back if one of them raises."""
        with self._translate_errors("written"):
            if self._connection is None and not self._file_exists():
                self._create()
            connection = retry_while_busy(self._begin_transaction)
            try:
                for statement in self._upgrades(connection):
                    connection.execute(statement)
                results = [work(connection) for work in works]
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        return results

    def _file_exists(self) -> bool:
        """Whether the state file exists.

        The file is created atomically, so an empty one was cut off.

        Raises:
            CorruptStateError: it is not an SQLite file.
            StoreUnavailableError: it is not a file, or it is a broken link.
        """
        found = _stat(self.path)
        if found is None and self.path.is_symlink():
            raise StoreUnavailableError(
                f"the state file {self.path} is a link to {self.path.readlink()}, which does not exist",
                hint="mount or restore the link's target, or remove the link to start with empty state",
            )
        if found is None:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise StoreUnavailableError(
                f"{self.path} is not a file, so it cannot contain state",
                hint="set RECONCILER_STATE to a file",
            )
        # SQLite tells whether a longer one is a database. To close it here would release the locks of other
        # connections of this process: https://sqlite.org/howtocorrupt.html, section 2.2
        if found.st_size >= len(_MAGIC):
            return True
        # Some files in /proc are regular, and a read of them would wait without an end.
        descriptor = os.open(self.path, _READ_ONLY_FLAGS)
        try:
            start = os.read(descriptor, len(_MAGIC))
        except BlockingIOError:
            raise StoreUnavailableError(
                f"{self.path} cannot contain state: a read of it would block",
                hint="set RECONCILER_STATE to a file",
            ) from None
        finally:
            os.close(descriptor)
        if start != _MAGIC:
            size = f"{found.st_size} bytes" if found.st_size != 1 else "1 byte"
            raise CorruptStateError(
                f"the state file {self.path} is damaged: its {size} do not start as an SQLite database",
                hint=_RESTORE,
            )
        return True

    def _create(self) -> None:
        """Creates the file atomically, unless another process was faster."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")  # mode 0600
        os.close(handle)
        try:
            with closing(sqlite3.connect(name, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA journal_mode = WAL")  # persistent; not allowed in a transaction
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

    def _begin_transaction(self) -> sqlite3.Connection:
        """The connection, in an exclusive write transaction."""
        connection = self._connect()
        self._check_schema(connection)
        connection.execute("BEGIN IMMEDIATE")
        return connection

    def _connect(self) -> sqlite3.Connection:
        """The connection to the file, which must exist."""
        if self._connection is None:
            connection = sqlite3.connect(
                f"{self.path.absolute().as_uri()}?mode=rw",
                uri=True,
                timeout=_BUSY_TIMEOUT,
                isolation_level=None,  # explicit transactions
                check_same_thread=False,  # guarded by the mutex
            )
            connection.text_factory = read_text
            try:
                connection.execute("PRAGMA synchronous = FULL")
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _damage_error(self, stack: str, serial: int, detail: str) -> CorruptStateError:
        return CorruptStateError(
            f"the state of {stack} at serial {serial} in {self.path} is damaged: {detail}"
        )

    def _upgrades(self, connection: sqlite3.Connection) -> Sequence[str]:
        """The statements that upgrade the file to the current schema."""
        upgrades = [_UPGRADES[step] for step in range(self._check_schema(connection), _SCHEMA_VERSION)]
        return [*upgrades, _SCHEMA[-1]] if upgrades else []

    def _check_schema(self, connection: sqlite3.Connection) -> int:
        """The schema version of the file. Raises NewerFormatError, or CorruptStateError without one."""
        version: int
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > _SCHEMA_VERSION:
            raise NewerFormatError(
                f"a newer reconciler created {self.path}: "
                f"it has layout {version}, this version reads up to {_SCHEMA_VERSION}",
                hint="pip install --upgrade picsellia-reconciler",
            )
        if version < 1:
            raise CorruptStateError(
                f"the database {self.path} contains no state: it is damaged or belongs to another program",
                hint=f"{_RESTORE}; or set RECONCILER_STATE to another file",
            )
        return version

    @contextmanager
    def _translate_errors(self, use: str = "used") -> Iterator[None]:
        """Translates errors of SQLite and the operating system to errors of the store.

        Args:
            use: the operation, as a participle for the message.
        """
        try:
            yield
        except UnicodeEncodeError as error:  # only names are passed to SQLite as they are
            raise InvalidNameError(error.object) from None
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            # SQLite's message about a damaged schema contains bytes of it.
            is_decoding = isinstance(error, UnicodeDecodeError) or "decode to UTF-8" in str(error)
            if _code(error) in _DAMAGE or is_decoding:
                message = f"the state file {self.path} is damaged: {error}"
                raise CorruptStateError(message, hint=_RESTORE) from error
            denied = isinstance(error, OSError) and error.errno in _DENIED
            hint = _READ_ONLY if denied or _code(error) in _UNWRITABLE else _CHECK
            if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
                hint = "raise the limit of open files: ulimit -n"
            if hint == _READ_ONLY and _is_unreadable(self.path):
                hint = _UNREADABLE
            message = f"the state file {self.path} cannot be {use}: {error}"
            raise StoreUnavailableError(message, hint=hint) from error


def _copy(source: Path, target: Path) -> None:
    """Copy a file in another process, as closing it in this one would release the locks of connections."""
    import subprocess  # takes a while

    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            "import shutil, sys; shutil.copyfile(*sys.argv[1:])",
            source,
            target,
        ],
        capture_output=True,
        check=False,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise OSError(f"{source} cannot be copied: {reason}")


def _is_unreadable(path: Path) -> bool:
    """Whether this user may not even read the file. Does not open it: closing it would release its locks."""
    try:
        path.stat()
    except OSError as problem:
        return isinstance(problem, PermissionError)  # of a folder above
    return not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids)


def _code(problem: BaseException) -> int | None:
    """SQLite's primary error code; None for any other error."""
    code = _extended_code(problem)
    return None if code is None else code & 0xFF  # the higher bytes are the extended code


def _extended_code(problem: BaseException) -> int | None:
    """SQLite's extended error code; None for any other error, and for one that Python itself raises."""
    code: int | None = getattr(problem, "sqlite_errorcode", None)
    return code


def _stat(path: Path) -> os.stat_result | None:
    """The file's status, or None if it does not exist. Raises OSError if access is denied."""
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """Modification time, size in bytes and inode, to detect changes; None without a file."""
    found = _stat(path)
    return found and (found.st_mtime_ns, found.st_size, found.st_ino)


def retry_while_busy(call: Callable[[], T]) -> T:
    """Repeats the call while the file is busy in a way that SQLite's own timeout does not cover.

    That timeout covers other transactions, but neither another process's switch to WAL nor the clean-up when
    the last connection closes (https://sqlite.org/wal.html, "Sometimes Queries Return SQLITE_BUSY").
    """
    try:
        return call()  # without the policy, which takes longer than most queries
    except sqlite3.Error as problem:
        if not _is_busy(problem):
            raise
    return _busy_retry()(call)


def _is_busy(problem: BaseException) -> bool:
    return _code(problem) == sqlite3.SQLITE_BUSY


@cache
def _busy_retry() -> "Retrying":
    from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random  # few files are busy

    return Retrying(
        retry=retry_if_exception(_is_busy),
        wait=wait_random(0.002, 0.02),
        stop=stop_after_delay(_BUSY_TIMEOUT),
        reraise=True,
    )


def _content(saved: Snapshot, last: _LastSave | None) -> tuple[bool, bytes]:
    """Whether to store the whole document, and the bytes of the document or of the changes."""
    if last is not None:
        changed = difference(last.snapshot, saved)
        change = {
            **header(saved),
            "resources": bodies(changed.resources.values()),
            "intents": bodies(changed.intents.values()),
            "removed": {"resources": changed.removed_resources, "intents": changed.removed_intents},
        }
        body = zlib.compress(dumps(change).encode("ascii"))
        if last.changes + len(body) <= last.whole:
            return False, body
    return True, zlib.compress(to_json(saved).encode("ascii"))


def _unchecked(body: bytes) -> UncheckedJSON:
    """A stored document, read fast. Raises ValueError: it is damaged, or has half a surrogate pair."""
    import orjson

    try:
        return orjson.loads(zlib.decompress(body))
    except (zlib.error, TypeError) as error:
        raise ValueError(str(error)) from None


def _renamed(body: bytes, stack: str) -> bytes:
    """The stored document or change with a new stack name; a damaged one unchanged."""
    try:
        document = loads(zlib.decompress(body).decode("ascii"))
        return zlib.compress(dumps(document | {"stack": stack}).encode("ascii"))
    except (CorruptStateError, zlib.error, UnicodeDecodeError, TypeError):
        return body


def _may_be_live(holder: LockInfo | None, expires: float) -> bool:
    """Whether the process in an expired lock still runs. The lock was not removed by force."""
    return holder is not None and expires != REMOVED and is_running(holder)


def _insert(
    connection: sqlite3.Connection, stack: str, entry: HistoryEntry, *, whole: bool, body: bytes
) -> None:
    # File names on the command line and variables may be any bytes; SQLite stores UTF-8 only.
    fields = (
        field.encode("utf-8", "backslashreplace").decode() if isinstance(field, str) else field
        for field in astuple(entry)
    )
    connection.execute("INSERT INTO saves VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (stack, *fields))
    connection.execute("INSERT INTO contents VALUES (?, ?, ?, ?)", (stack, entry.serial, int(whole), body))
