"""The store in a bucket, for teams: one head and immutable history objects per stack.

`bucket_layout` has the paths and formats. A save first writes its history object and then swaps the head, so
a run killed in between leaves an unreferenced object that no reader sees; the head never names a missing
object. State and lock share the head: taking over the lock changes it, so the swap of the run that lost the
lock fails. Has no opinion on the content of the state.
"""

import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import Self
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace

from state.document import from_document, to_document
from state.errors import (
    CorruptStateError,
    ExistingStateError,
    InvalidSnapshotError,
    LockedError,
    RegisterConflictError,
    StaleStateError,
    StateError,
    StoreUnavailableError,
    UnreadableStateError,
)
from state.invariants import verify
from state.lock import HEARTBEAT, REMOVED, TTL, Lock, check_ownership, hold_lock, is_held
from state.lock_info import LockInfo
from state.outline import Outline, Row, outlines_of
from state.register import Register
from state.register import to_text as register_text
from state.snapshot import Snapshot, UncheckedJSON
from state.stores.base import HistoryEntry, check_head, damaged_register, no_announcement, parse_register
from state.stores.bucket_layout import (
    Head,
    HistoryObject,
    digits,
    head_from_bytes,
    head_path,
    history_folder,
    new_name,
    register_path,
    save_from_bytes,
    serial_of,
    stack_of,
    to_bytes,
)
from state.stores.objects import WITNESS, Objects, PreconditionFailedError, Version

_SWAP_TIMEOUT = 60.0  # seconds to retry the swap of a contended head
_MAX_REFUSALS = 8  # consecutive refused swaps of an unchanged head; more cannot be a race
_PARALLEL = 16  # requests
_MOST_SAVES = 200  # in memory; each has a whole state document


class _CachedHead(Struct, frozen=True):
    """A head as last read or written; without a version if it did not exist."""

    head: Head
    version: Version | None
    modified: float


class _CachedRegister(Struct, frozen=True):
    """A register as last read or written.

    Attributes:
        serial: 0 if it did not exist, -1 if it was damaged.
        write: unique id of this version; a writer that got no response recognizes its own.
        version: None if it did not exist.
    """

    serial: int
    write: str
    version: Version | None


class _History(Struct, frozen=True):
    """The latest saves of a stack.

    Attributes:
        entries: latest first.
        lost: the names of history objects among them that are missing or damaged.
        newest: the head that it should have, if it has an older one.
    """

    entries: tuple[HistoryEntry, ...]
    lost: tuple[str, ...]
    newest: Head | None


def _empty_head(seen: _CachedHead) -> Head:
    """A head for a stack without one. Written before the first save, so history without a head is damage."""
    return seen.head if seen.version is not None else replace(seen.head, write="begun")


class BucketStore:
    """A `Store` in a bucket. The protocol documents its methods.

    Args:
        objects: the bucket.
        clock: returns monotonic seconds; for tests.
        sleep: sleeps a number of seconds; for tests.
    """

    def __init__(
        self,
        objects: Objects,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.objects = objects
        self._clock = clock
        self._sleep = sleep
        self._mutex = threading.Lock()  # guards the turns and the order of the saves
        self._turns: dict[str, threading.RLock] = {}  # one swap of an object at a time: threads do not race
        self._seen: dict[str, _CachedHead] = {}
        # Immutable: history objects by stack and name, the last used last, and the names of committed saves.
        self._saves: OrderedDict[tuple[str, str], HistoryObject] = OrderedDict()
        self._names: dict[tuple[str, int], str] = {}
        self._registers: dict[str, _CachedRegister] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._mutex:
            self._seen.clear()
            self._saves.clear()
            self._names.clear()
            self._registers.clear()
            self.objects.close()

    # -- state

    def load(self, stack: str) -> Snapshot | None:
        head = self._read_head(stack).head
        return self._snapshot(stack, head.serial, head.content) if head.content else None

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        name = self._name_at(stack, self._head_for(stack, serial), serial)
        return self._snapshot(stack, serial, name) if name else None

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        saved = snapshot.written(serial=expected_serial + 1, by=snapshot.written_by, at=snapshot.written_at)
        self._write(saved, HistoryEntry.of(saved, lock.info if lock else None), expected_serial, lock)
        return saved

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        self._write(snapshot, entry, expected_serial, None)

    def outlines(self, stack: str, serials: Collection[int]) -> Mapping[int, Outline]:
        head = self._head_for(stack, max(serials, default=0))

        def rows() -> Iterator[Row]:
            for serial in sorted(serials):
                if name := self._name_at(stack, head, serial):
                    yield serial, True, partial(self._document_of, stack, name)

        return outlines_of(rows(), serials)

    def _document_of(self, stack: str, name: str) -> UncheckedJSON:
        return self._save(stack, name).document

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        return [*self._history(stack, self._readable_head(stack), limit).entries]

    def check_history(self, stack: str, limit: int) -> None:
        head = self._read_head(stack).head
        found = self._history(stack, head, limit)
        if found.newest is not None:
            raise self._older_head_error(stack, head, found.newest)
        if found.lost:
            raise CorruptStateError(
                f"the history of {stack} in {self.objects.url} is damaged: missing or unreadable: "
                f"{', '.join(found.lost)}",
                hint="restore these objects, or continue with a copy of the rest: "
                "reconciler state copy FROM TO",
            )

    def _history(self, stack: str, head: Head, limit: int) -> _History:
        """The latest saves. Continues before damaged ones, and after a head that is an older one."""
        if not head.content:
            return _History((), (), None)
        names = self.objects.names(history_folder(stack), since=digits(max(head.serial - limit + 1, 1)))
        older, head = head, self._newest(stack, head, names) or head
        first = head.serial - limit + 1
        names = [name for name in names if serial_of(name) >= first]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            saves = dict(
                zip(names, pool.map(lambda name: self._history_object(stack, name), names), strict=True)
            )
        if head.content not in saves and self.objects.get(f"{history_folder(stack)}/{head.content}"):
            raise StoreUnavailableError(
                f"{self.objects.url} contains {head.content} of {stack} but does not list it",
                hint="check the endpoint and the proxies on the way to it",
            )
        entries: list[HistoryEntry] = []
        lost: list[str] = []
        name = head.content  # follow the chain back from the head, which skips unreferenced objects
        while name and len(entries) < limit:
            save = saves.get(name)
            if save is not None:
                entries.append(save.entry)
                name = save.before
                continue
            if serial_of(name) >= first:  # damaged or deleted: continue with the serial before it
                lost.append(name)
            name = max((other for other in names if serial_of(other) < serial_of(name)), default="")
        return _History(tuple(entries), tuple(lost), None if head is older else head)

    def stacks(self) -> Sequence[str]:
        names = [stack_of(folder) for folder in self.objects.folders()]
        with ThreadPoolExecutor(_PARALLEL) as pool:
            return sorted(
                name for name, exists in zip(names, pool.map(self._has_state, names), strict=True) if exists
            )

    def exists(self) -> bool:
        if self.objects.folders():  # raises, if there is no such bucket
            return True
        _, _, prefix = self.objects.url.partition("://")[2].strip("/").partition("/")
        return not prefix or self.objects.get(WITNESS) is not None

    def names(self) -> Sequence[str]:
        return [stack_of(folder) for folder in self.objects.folders()]

    def move(self, before: str, after: str) -> None:
        head = self._read_head(before).head

        if not head.content:
            raise StaleStateError(f"cannot move {before}: it has no state")

        def commit(seen: _CachedHead) -> Head:
            if seen.head.content == head.content:
                return seen.head  # of a move that was killed
            if seen.head.content:
                raise ExistingStateError(before, after, is_same=seen.head.lineage == head.lineage)
            return replace(seen.head, serial=head.serial, lineage=head.lineage, content=head.content)

        self._swap(after, _empty_head)
        names = self.objects.names(history_folder(before))
        with ThreadPoolExecutor(_PARALLEL) as pool:  # unreferenced until the head is swapped
            list(pool.map(lambda name: self._copy(name, before, after), names))
        self._swap(after, commit, fresh=True)
        self._swap(before, lambda seen: replace(seen.head, serial=0, lineage="", content=""), fresh=True)

    def _copy(self, name: str, before: str, after: str) -> None:
        """Copies a history object to another stack; damaged ones are copied unchanged."""
        found = self.objects.get(f"{history_folder(before)}/{name}")
        if found is None:
            return
        body = found.body
        with suppress(CorruptStateError, TypeError):
            save = save_from_bytes(body, before, name)
            body = to_bytes(replace(save, document=save.document | {"stack": after}))
        self.objects.put(f"{history_folder(after)}/{name}", body)

    # -- registers

    def load_register(self, scope: str) -> Register | None:
        found = self.objects.get(register_path(scope))
        cached = _CachedRegister(0, "", None)
        register = None
        if found is not None:
            cached = _CachedRegister(-1, "", found.version)
            self._registers[scope] = cached  # a damaged one can be replaced
            register, write = self._register(scope, found.body)
            cached = _CachedRegister(register.serial, write, found.version)
        self._registers[scope] = cached
        return register

    def save_register(self, register: Register, *, expected_serial: int | None) -> Register:
        scope = register.scope
        with self._turn(register_path(scope)):
            seen = self._registers.get(scope)
            if seen is None or expected_serial is None or seen.serial != expected_serial:
                seen = self._read_register(scope)
            if expected_serial is not None and seen.serial != expected_serial:
                raise RegisterConflictError(scope)
            saved, write = replace(register, serial=max(seen.serial, 0) + 1), str(uuid4())
            body = register_text(saved, write).encode("ascii")
            if seen.version is None:
                self.objects.write_witness()
            try:
                version = self.objects.swap(register_path(scope), body, seen.version)
            except (PreconditionFailedError, StoreUnavailableError) as problem:
                now = self._read_register(scope)
                if now.write == write:
                    return saved  # it succeeded, and its response was lost
                if isinstance(problem, StoreUnavailableError) and now.version == seen.version:
                    raise
                raise RegisterConflictError(scope) from None
            self._registers[scope] = _CachedRegister(saved.serial, write, version)
        return saved

    def _read_register(self, scope: str) -> _CachedRegister:
        with suppress(CorruptStateError):
            self.load_register(scope)
        return self._registers[scope]

    def _register(self, scope: str, body: bytes) -> tuple[Register, str]:
        """The register in an object, and the id of this version of it."""
        try:
            text = body.decode("ascii")
        except UnicodeDecodeError as problem:
            raise damaged_register(scope, self.objects.url, str(problem)) from None
        register, write = parse_register(text, scope, self.objects.url)
        if not write:
            raise damaged_register(scope, self.objects.url, "it lacks the id of its write")
        return register, write

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
            lambda _: self._acquire(stack, info, ttl),
            self._renew,
            self._release,
            timeout=timeout,
            every=every,
            clock=self._clock,
            sleep=self._sleep,
            on_wait=on_wait,
        )

    def holder(self, stack: str) -> LockInfo | None:
        seen = self._read_head(stack)
        return seen.head.holder if self._is_locked(seen) else None

    def dead_holder(self, stack: str) -> LockInfo | None:
        seen = self._read_head(stack)
        return None if self._is_locked(seen) else seen.head.holder

    def unlock(self, stack: str) -> LockInfo | None:
        def end(seen: _CachedHead) -> Head:
            if seen.head.holder is None or seen.head.ttl == REMOVED:
                return seen.head
            return replace(seen.head, fence=seen.head.fence + 1, ttl=REMOVED)

        before = self._swap(stack, end, fresh=True).head
        return None if before.ttl == REMOVED else before.holder

    def _acquire(self, stack: str, info: LockInfo, ttl: float) -> Lock | LockInfo:
        """The lock, or its current holder."""

        def set_holder(seen: _CachedHead) -> Head:
            if seen.head.holder is not None and self._is_locked(seen):
                raise LockedError(stack, seen.head.holder)
            if (newest := self._newest(stack, seen.head)) is not None:
                raise self._older_head_error(stack, seen.head, newest)
            return replace(seen.head, fence=seen.head.fence + 1, holder=info, ttl=ttl)

        try:
            before = self._swap(stack, set_holder, fresh=True).head
        except LockedError as locked:
            return locked.holder
        return Lock(stack, info, before.fence + 1, before.holder)

    def _renew(self, lock: Lock) -> None:
        def touch(seen: _CachedHead) -> Head:
            check_ownership(lock, seen.head.fence, seen.head.holder)
            return replace(seen.head, write="")  # a rewrite without changes

        self._swap(lock.stack, touch)

    def _release(self, lock: Lock) -> None:
        def clear_holder(seen: _CachedHead) -> Head:
            return replace(seen.head, holder=None) if seen.head.fence == lock.fence else seen.head

        self._swap(lock.stack, clear_holder)

    def _is_locked(self, seen: _CachedHead) -> bool:
        """Whether the holder still keeps other runs out. Every write of the head counts as a heartbeat.

        Both times come from the bucket; the current time is requested only if the lock has a holder.
        """
        holder = seen.head.holder
        if seen.head.ttl == REMOVED or not is_held(holder, expires=1, now=0):
            return False
        return is_held(holder, expires=seen.modified + seen.head.ttl, now=self.objects.now())

    # -- objects

    def _write(self, saved: Snapshot, entry: HistoryEntry, expected_serial: int, lock: Lock | None) -> None:
        stack, name = saved.stack, new_name(saved.serial)
        problems = verify(saved)
        if problems:
            raise InvalidSnapshotError(stack, problems)
        if lock is None and expected_serial == 0:  # acquiring a lock creates the head
            self._swap(stack, _empty_head)
        written = False

        def commit(seen: _CachedHead) -> Head:
            nonlocal written
            if written and self._name_at(stack, seen.head, saved.serial) == name:
                # The swap succeeded, its response was lost, and other runs continued from it.
                return seen.head
            if lock is not None:
                check_ownership(lock, seen.head.fence, seen.head.holder)
            check_head(saved, expected_serial, seen.head.serial, seen.head.lineage)
            if not written:
                save = HistoryObject(seen.head.content, entry, to_document(saved))
                self.objects.put(f"{history_folder(stack)}/{name}", to_bytes(save))
                written = True
            return replace(seen.head, serial=saved.serial, lineage=saved.lineage, content=name)

        self._swap(stack, commit)

    def _swap(self, stack: str, change: Callable[[_CachedHead], Head], *, fresh: bool = False) -> _CachedHead:
        """Replaces the head by the result of `change` and returns the head before it.

        After a refusal or a lost response, this reads the head again: the swap may have succeeded.

        Args:
            change: returns the new head, or the same one to change nothing. Its errors propagate, except
                those based on a cached head: then it runs again with the current one.
            fresh: start with the current head instead of the cached one.
        """
        with self._turn(head_path(stack)):
            fresh = fresh or stack not in self._seen
            seen = self._read_head(stack) if fresh else self._seen[stack]
            end, refusals = self._clock() + _SWAP_TIMEOUT, 0
            while True:
                try:
                    head = change(seen)
                except StateError:
                    if fresh:
                        raise
                    seen, fresh = self._read_head(stack), True
                    continue
                if head == seen.head:
                    return seen
                head = replace(head, write=str(uuid4()))
                if seen.version is None:
                    self.objects.write_witness()
                try:
                    version = self.objects.swap(head_path(stack), to_bytes(head), seen.version)
                except (PreconditionFailedError, StoreUnavailableError) as problem:
                    before, seen, fresh = seen, self._read_head(stack), True
                    if seen.head.write == head.write:
                        return before
                    if isinstance(problem, StoreUnavailableError) and seen.version == before.version:
                        raise
                    refusals = refusals + 1 if seen.version == before.version else 0
                    if refusals == _MAX_REFUSALS:
                        raise StoreUnavailableError(
                            f"{self.objects.url} refuses to replace the unchanged head of {stack}",
                            hint="it must honour If-Match and If-None-Match; see docs/reference/state.md",
                        ) from None
                    if self._clock() > end:
                        message = f"other runs keep writing the state of {stack} in {self.objects.url}"
                        raise StoreUnavailableError(message, hint="try again") from None
                    self._sleep(random.uniform(0.005, 0.05))
                else:
                    self._seen[stack] = _CachedHead(head, version, seen.modified)
                    return seen

    def _turn(self, path: str) -> threading.RLock:
        with self._mutex:
            return self._turns.setdefault(path, threading.RLock())

    def _read_head(self, stack: str) -> _CachedHead:
        """The current head."""
        found = self.objects.get(head_path(stack))
        # The head is created before the first save; it may have appeared since the first read.
        if found is None and self.objects.names(history_folder(stack)):
            found = self.objects.get(head_path(stack))
            if found is None:
                raise CorruptStateError(
                    f"the state of {stack} in {self.objects.url} is damaged: its head is missing, "
                    "but its history exists"
                )
        if found is None:
            seen = _CachedHead(Head(), None, 0.0)
        else:
            with self._located():
                seen = _CachedHead(head_from_bytes(found.body, stack), found.version, found.modified)
        self._seen[stack] = seen
        return seen

    @contextmanager
    def _located(self) -> Iterator[None]:
        """Adds the bucket to errors of damage, as the endpoint may not be a bucket at all."""
        try:
            yield
        except CorruptStateError as problem:
            message = f"{problem.message}, in {self.objects.url}"
            raise CorruptStateError(message, problems=problem.problems, hint=problem.hint) from None

    def _readable_head(self, stack: str) -> Head:
        """The head; if it is damaged or missing, one that points to the newest remaining save."""
        try:
            return self._read_head(stack).head
        except CorruptStateError:
            newest = max(self.objects.names(history_folder(stack)), key=serial_of, default="")
            return Head(serial=serial_of(newest), content=newest)

    def _head_for(self, stack: str, serial: int) -> Head:
        """The head for reading a serial, which may be after an older one that replaced the newest."""
        head = self._readable_head(stack)
        return (self._newest(stack, head) if serial > head.serial else None) or head

    def _newest(self, stack: str, head: Head, names: Sequence[str] | None = None) -> Head | None:
        """The head that a stack should have, if an older one replaced it; None if it has the newest one.

        A save that was cut off leaves an object, too, but none that follows one after the head. The objects
        of another lineage are those of a state that was moved away.

        Args:
            names: those of the history objects, at least from the head on; None to list them.
        """
        if not head.content:
            return None
        if names is None:  # from the head on, as a list that is not empty needs no check
            names = self.objects.names(history_folder(stack), since=digits(head.serial))
        later = [name for name in names if serial_of(name) > head.serial + 1]

        def follows_later(name: str) -> bool:
            save = self._history_object(stack, name)
            return (
                save is not None
                and save.entry.lineage == head.lineage
                and serial_of(save.before) > head.serial
            )

        first = next((serial_of(name) for name in later if self._history_object(stack, name)), 0)
        if not any(follows_later(name) for name in later if serial_of(name) == first):
            return None
        now = self._read_head(stack).head
        if (now.serial, now.content) != (head.serial, head.content):  # another run saved in the meantime
            return self._newest(stack, now, names)
        newest = next(name for name in reversed(later) if follows_later(name))
        return replace(head, serial=serial_of(newest), content=newest)

    def _older_head_error(self, stack: str, head: Head, newest: Head) -> CorruptStateError:
        return CorruptStateError(
            f"the state of {stack} in {self.objects.url} is damaged: its head is an older one, of serial "
            f"{head.serial}, but its history goes on to serial {newest.serial}",
            hint=f"put the newest version of {head_path(stack)} back, or continue with a copy of all "
            "serials: reconciler state copy FROM TO",
        )

    def _has_state(self, stack: str) -> bool:
        """Whether the stack was ever saved. An unreadable head counts as unreadable state."""
        try:
            return bool(self._read_head(stack).head.content)
        except UnreadableStateError:
            return True

    def _name_at(self, stack: str, head: Head, serial: int) -> str:
        """The name of the history object of that serial; "" if there is none or it is no longer kept."""
        if not 0 < serial <= head.serial:
            return ""
        self._remember(stack, head.content)
        if (stack, serial) not in self._names:
            names = self.objects.names(history_folder(stack), since=digits(serial), until=digits(serial + 1))
            if len(names) <= 1:
                return "".join(names)
            # A killed run left a second one: only the one in the head's chain was committed.
            name = head.content
            while serial_of(name) > serial:
                name = self._save(stack, name).before
            return name if name in names else ""
        return self._names[stack, serial]

    def _remember(self, stack: str, name: str) -> None:
        """Notes that this history object was committed: the head or a later object refers to it."""
        if name:
            self._names[stack, serial_of(name)] = name

    def _snapshot(self, stack: str, serial: int, name: str) -> Snapshot:
        snapshot = from_document(self._save(stack, name).document)
        if (snapshot.stack, snapshot.serial) != (stack, serial):
            raise CorruptStateError(
                f"the state of {stack} at serial {serial} in {self.objects.url} is damaged: "
                f"{name} contains serial {snapshot.serial} of {snapshot.stack}"
            )
        return snapshot

    def _history_object(self, stack: str, name: str) -> HistoryObject | None:
        """The history object, or None if it is damaged."""
        try:
            return self._save(stack, name)
        except CorruptStateError:
            return None

    def _save(self, stack: str, name: str) -> HistoryObject:
        with self._mutex:
            if (kept := self._saves.get((stack, name))) is not None:
                self._saves.move_to_end((stack, name))
                return kept
        found = self.objects.get(f"{history_folder(stack)}/{name}")
        if found is None:
            raise CorruptStateError(
                f"the state of {stack} in {self.objects.url} is damaged: its content {name} is missing"
            )
        with self._located():
            save = save_from_bytes(found.body, stack, name)
        with self._mutex:
            self._saves[stack, name] = save
            if len(self._saves) > _MOST_SAVES:
                self._saves.popitem(last=False)
        self._remember(stack, save.before)
        return save
