"""The store in a bucket, for teams: a head and immutable history objects per stack.

`layout` says what lies where. A save writes its history object first and then moves the head to it, so a
run that is killed in between leaves an object that nothing refers to and that no reader sees; the head
never names what is not there. Record and lock share the head: whoever takes the lock over changes it, and
the swap of a run that lost the lock fails, whatever that run believes. Never decides what a record should
hold.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self
from uuid import uuid4

from state.document import from_document, to_document
from state.errors import (
    CorruptStateError,
    ExistingStateError,
    InvalidSnapshotError,
    LockedError,
    StaleStateError,
    StateError,
    StoreUnavailableError,
)
from state.invariants import verify
from state.lock import HEARTBEAT, TTL, Lock, check_held, holding, is_held
from state.lock_info import LockInfo
from state.snapshot import Snapshot
from state.stores.base import HistoryEntry, check_head, no_announcement
from state.stores.bucket_layout import (
    Head,
    HistoryObject,
    digits,
    head_from_bytes,
    head_path,
    history_folder,
    new_name,
    save_from_bytes,
    serial_of,
    stack_of,
    to_bytes,
)
from state.stores.objects import Objects, PreconditionFailedError, Version

_PATIENCE = 60.0  # seconds to go on trying to swap a head that others swap as well
_REFUSALS = 8  # in a row of a swap, while the head stays what it was: that is no race
_AT_ONCE = 16  # requests


@dataclass(frozen=True, slots=True)
class _Seen:
    """A head as it was read or written last; no version when there was none."""

    head: Head
    version: Version | None
    modified: float


def _empty_head(seen: _Seen) -> Head:
    """A head where there is none: a history without one is damage, not a first save that was cut off."""
    return seen.head if seen.version is not None else replace(seen.head, write="begun")


class BucketStore:
    """A `Store` in a bucket. See the protocol for what its methods promise.

    Args:
        objects: the bucket.
        clock: seconds, of which only differences matter; for tests.
        sleep: waits so many seconds; for tests.
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
        self._mutex = threading.RLock()  # one swap at a time, so that our threads do not contend
        self._seen: dict[str, _Seen] = {}
        # What never changes: history objects by stack and name, and the names that were the record once.
        self._saves: dict[tuple[str, str], HistoryObject] = {}
        self._names: dict[tuple[str, int], str] = {}

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
            self.objects.close()

    # -- records

    def load(self, stack: str) -> Snapshot | None:
        head = self._look(stack).head
        return self._snapshot(stack, head.serial, head.content) if head.content else None

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        name = self._name_at(stack, self._readable_head(stack), serial)
        return self._snapshot(stack, serial, name) if name else None

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        saved = snapshot.written(serial=expected_serial + 1, by=snapshot.written_by, at=snapshot.written_at)
        self._keep(saved, HistoryEntry.of(saved, lock.info if lock else None), expected_serial, lock)
        return saved

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        self._keep(snapshot, entry, expected_serial, None)

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        head = self._readable_head(stack)
        if not head.content:
            return []
        names = self.objects.names(history_folder(stack), since=digits(max(head.serial - limit + 1, 1)))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            saves = dict(
                zip(names, pool.map(lambda name: self._history_object(stack, name), names), strict=True)
            )
        entries: list[HistoryEntry] = []
        name = head.content  # back from the head, past whatever nothing refers to
        while name and len(entries) < limit:
            save = saves.get(name)
            if save is not None:
                entries.append(save.entry)
                name = save.before
            else:  # damaged or deleted: what came before it is told all the same
                name = max((other for other in names if serial_of(other) < serial_of(name)), default="")
        return entries

    def stacks(self) -> Sequence[str]:
        names = [stack_of(folder) for folder in self.objects.folders()]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return sorted(
                name for name, there in zip(names, pool.map(self._has_record, names), strict=True) if there
            )

    def names(self) -> Sequence[str]:
        return [stack_of(folder) for folder in self.objects.folders()]

    def move(self, before: str, after: str) -> None:
        head = self._look(before).head

        if not head.content:
            raise StaleStateError(f"there is no state of {before} to be moved")

        def moved(seen: _Seen) -> Head:
            if seen.head.content:
                raise ExistingStateError(before, after)
            return replace(seen.head, serial=head.serial, lineage=head.lineage, content=head.content)

        self._swap(after, _empty_head)
        names = self.objects.names(history_folder(before))
        with ThreadPoolExecutor(_AT_ONCE) as pool:  # nothing refers to them before the head does
            list(pool.map(lambda name: self._copy(name, before, after), names))
        self._swap(after, moved, fresh=True)
        self._swap(before, lambda seen: replace(seen.head, serial=0, lineage="", content=""), fresh=True)

    def _copy(self, name: str, before: str, after: str) -> None:
        """Copies a history object to another stack's; what is damaged stays so."""
        found = self.objects.get(f"{history_folder(before)}/{name}")
        if found is None:
            return
        body = found.body
        with suppress(CorruptStateError, TypeError):
            save = save_from_bytes(body, before, name)
            body = to_bytes(replace(save, document=save.document | {"stack": after}))
        self.objects.put(f"{history_folder(after)}/{name}", body)

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
            self._renew,
            self._release,
            timeout=timeout,
            every=every,
            clock=self._clock,
            sleep=self._sleep,
            waiting=waiting,
        )

    def holder(self, stack: str) -> LockInfo | None:
        seen = self._look(stack)
        return seen.head.holder if self._holds(seen) else None

    def abandoned(self, stack: str) -> LockInfo | None:
        seen = self._look(stack)
        return None if self._holds(seen) else seen.head.holder

    def unlock(self, stack: str) -> LockInfo | None:
        before = self._swap(stack, lambda seen: replace(seen.head, holder=None), fresh=True)
        return before.head.holder

    def _take(self, stack: str, info: LockInfo, ttl: float) -> Lock | LockInfo:
        """The lock, or who holds it."""

        def taken(seen: _Seen) -> Head:
            if seen.head.holder is not None and self._holds(seen):
                raise LockedError(stack, seen.head.holder)
            return replace(seen.head, fence=seen.head.fence + 1, holder=info, ttl=ttl)

        try:
            before = self._swap(stack, taken, fresh=True).head
        except LockedError as locked:
            return locked.holder
        return Lock(stack, info, before.fence + 1, before.holder)

    def _renew(self, lock: Lock) -> None:
        def renewed(seen: _Seen) -> Head:
            check_held(lock, seen.head.fence, seen.head.holder)
            return replace(seen.head, write="")  # written anew, that is all

        self._swap(lock.stack, renewed)

    def _release(self, lock: Lock) -> None:
        def released(seen: _Seen) -> Head:
            return replace(seen.head, holder=None) if seen.head.fence == lock.fence else seen.head

        self._swap(lock.stack, released)

    def _holds(self, seen: _Seen) -> bool:
        """Whether the holder still keeps others out. Every write of the head is a sign of life.

        Both times are the bucket's; the time now is asked for only when somebody holds the lock.
        """
        holder = seen.head.holder
        if not is_held(holder, expires=1, now=0):
            return False
        return is_held(holder, expires=seen.modified + seen.head.ttl, now=self.objects.now())

    # -- objects

    def _keep(self, saved: Snapshot, entry: HistoryEntry, expected_serial: int, lock: Lock | None) -> None:
        stack, name = saved.stack, new_name(saved.serial)
        problems = verify(saved)
        if problems:
            raise InvalidSnapshotError(stack, problems)
        if lock is None and expected_serial == 0:  # with a lock there is a head already
            self._swap(stack, _empty_head)
        written = False

        def moved(seen: _Seen) -> Head:
            nonlocal written
            if written and self._name_at(stack, seen.head, saved.serial) == name:
                return seen.head  # it was moved, the answer was lost, and others went on from there
            if lock is not None:
                check_held(lock, seen.head.fence, seen.head.holder)
            check_head(saved, expected_serial, seen.head.serial, seen.head.lineage)
            if not written:
                save = HistoryObject(seen.head.content, entry, to_document(saved))
                self.objects.put(f"{history_folder(stack)}/{name}", to_bytes(save))
                written = True
            return replace(seen.head, serial=saved.serial, lineage=saved.lineage, content=name)

        self._swap(stack, moved)

    def _swap(self, stack: str, change: Callable[[_Seen], Head], *, fresh: bool = False) -> _Seen:
        """Replaces the head by what `change` makes of it; the head that it was made of.

        A swap that was refused or not answered is settled by reading the head: it may be ours.

        Args:
            change: what it raises is raised, unless it was given what this store had seen earlier. Returning
                the head as it is ends it.
            fresh: do not begin with what this store has seen last.
        """
        with self._mutex:
            fresh = fresh or stack not in self._seen
            seen = self._look(stack) if fresh else self._seen[stack]
            end, refused = self._clock() + _PATIENCE, 0
            while True:
                try:
                    head = change(seen)
                except StateError:
                    if fresh:
                        raise
                    seen, fresh = self._look(stack), True
                    continue
                if head == seen.head:
                    return seen
                head = replace(head, write=str(uuid4()))
                try:
                    version = self.objects.swap(head_path(stack), to_bytes(head), seen.version)
                except (PreconditionFailedError, StoreUnavailableError) as problem:
                    before, seen, fresh = seen, self._look(stack), True
                    if seen.head.write == head.write:
                        return before
                    if isinstance(problem, StoreUnavailableError) and seen.version == before.version:
                        raise
                    refused = refused + 1 if seen.version == before.version else 0
                    if refused == _REFUSALS:
                        raise StoreUnavailableError(
                            f"{self.objects.url} refuses to replace the head of {stack}, though nobody did",
                            hint="it must honour If-Match and If-None-Match; see docs/reference/state.md",
                        ) from None
                    if self._clock() > end:
                        told = f"the record of {stack} in {self.objects.url} is being written all the time"
                        raise StoreUnavailableError(told, hint="try again") from None
                    self._sleep(random.uniform(0.005, 0.05))
                else:
                    self._seen[stack] = _Seen(head, version, seen.modified)
                    return seen

    def _look(self, stack: str) -> _Seen:
        """The head as it is now."""
        found = self.objects.get(head_path(stack))
        # No save is written before there is a head; it may have come since the first look.
        if found is None and self.objects.names(history_folder(stack)):
            found = self.objects.get(head_path(stack))
            if found is None:
                raise CorruptStateError(
                    f"the record of {stack} in {self.objects.url} is damaged: its history is there, "
                    "and its head is gone"
                )
        if found is None:
            seen = _Seen(Head(), None, 0.0)
        else:
            seen = _Seen(head_from_bytes(found.body, stack), found.version, found.modified)
        self._seen[stack] = seen
        return seen

    def _readable_head(self, stack: str) -> Head:
        """The head; where it is damaged or gone one that leads to the newest save that is left."""
        try:
            return self._look(stack).head
        except CorruptStateError:
            newest = max(self.objects.names(history_folder(stack)), key=serial_of, default="")
            return Head(serial=serial_of(newest), content=newest)

    def _has_record(self, stack: str) -> bool:
        """Whether it was ever saved; a head that cannot be read stands for a record that cannot."""
        try:
            return bool(self._look(stack).head.content)
        except CorruptStateError:
            return True

    def _name_at(self, stack: str, head: Head, serial: int) -> str:
        """The name of the history object of that serial; "" when there is none, or it is no longer kept."""
        if not 0 < serial <= head.serial:
            return ""
        self._remember(stack, head.content)
        if (stack, serial) not in self._names:
            names = self.objects.names(history_folder(stack), since=digits(serial), until=digits(serial + 1))
            if len(names) <= 1:
                return "".join(names)
            # A run that was killed left another one: only that which the head leads to was the record.
            name = head.content
            while serial_of(name) > serial:
                name = self._save(stack, name).before
            return name if name in names else ""
        return self._names[stack, serial]

    def _remember(self, stack: str, name: str) -> None:
        """That this history object was the record once, as the head or a later one says."""
        if name:
            self._names[stack, serial_of(name)] = name

    def _snapshot(self, stack: str, serial: int, name: str) -> Snapshot:
        snapshot = from_document(self._save(stack, name).document)
        if (snapshot.stack, snapshot.serial) != (stack, serial):
            raise CorruptStateError(
                f"the record of {stack} at serial {serial} in {self.objects.url} is damaged: "
                f"{name} holds serial {snapshot.serial} of {snapshot.stack}"
            )
        return snapshot

    def _history_object(self, stack: str, name: str) -> HistoryObject | None:
        """The history object, or None when it is damaged."""
        try:
            return self._save(stack, name)
        except CorruptStateError:
            return None

    def _save(self, stack: str, name: str) -> HistoryObject:
        if (stack, name) not in self._saves:
            found = self.objects.get(f"{history_folder(stack)}/{name}")
            if found is None:
                raise CorruptStateError(
                    f"the record of {stack} in {self.objects.url} is damaged: its content {name} is missing"
                )
            save = save_from_bytes(found.body, stack, name)
            self._saves[stack, name] = save
            self._remember(stack, save.before)
        return self._saves[stack, name]
