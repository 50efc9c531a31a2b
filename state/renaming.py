"""A store that finds the state of a stack under other names and moves it to the current name once.

There are two sorts: an older name, which an earlier version gave to the same stack, and a former name, which
the folder of the stack had before its name changed.

Sits between the commands and a store. The caller's functions decide which names may be older ones and whether
state belongs to the stack. Reading moves nothing; the first lock does.
"""

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import Enum
from threading import Lock as Mutex
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from state.claims import move_state
from state.errors import AmbiguousStateError, UnreadableStateError
from state.lock import HEARTBEAT, TTL, Lock
from state.lock_info import LockInfo
from state.outline import Outline
from state.register import Register, scope_of
from state.snapshot import Snapshot
from state.stores.base import HistoryEntry, Store, no_announcement


class Relation(Enum):
    """The relation of state, found under a name that may be an older one, to a stack. From content alone."""

    SAME = "same"  # of this stack, if its objects are on this platform
    SIMILAR = "similar"  # of this stack only if its image was renamed: it has the same model versions
    OTHER = "other"  # of another stack


def _no_names(_: str) -> Sequence[str]:
    return ()


def _ignore(_: str) -> None: ...


class RenamingStore:
    """A `Store` on top of another one. The protocol documents its methods.

    Args:
        store: the store with the state.
        find_older_names: gets all names in the store, once, and returns a function that finds those that may
            be older names of a stack.
        relate: the relation of a stack to the state with one of these names.
        belongs: whether the objects of state that is `SAME` are on the platform of the stack.
        find_former_names: returns the former names of a stack.
        notify: receives a sentence about each other name found.
        moved: receives the scope of each name whose state was moved to another one.
        present: returns the present form of an address that an earlier version wrote.
        check: raises AmbiguousStateError if state with the name of a stack is not that of the stack.
    """

    def __init__(
        self,
        store: Store,
        *,
        find_older_names: Callable[[Sequence[str]], Callable[[str], Sequence[str]]],
        relate: Callable[[str, Snapshot], Relation],
        belongs: Callable[[Snapshot], bool],
        find_former_names: Callable[[str], Sequence[str]] = _no_names,
        notify: Callable[[str], None],
        moved: Callable[[str], None] = _ignore,
        present: Callable[[str], str] = str,
        check: Callable[[str, Snapshot], None] = lambda *_: None,
    ) -> None:
        self._store = store
        self._find_older_names = find_older_names
        self._relate = relate
        self._belongs = belongs
        self._find_former_names = find_former_names
        self._notify = notify
        self._moved = moved
        self._present = present
        self._check = check
        self._older_names: Callable[[str], Sequence[str]] | None = None  # those of a stack in the store
        self._stored_names: dict[str, str] = {}  # stack -> the name of its state in the store
        self._former_names: dict[str, str] = {}  # the same, for former names only
        self._older: dict[str, Snapshot | None] = {}  # older name -> its state; several stacks may share one
        self._mutex = Mutex()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._store.close()

    def load(self, stack: str) -> Snapshot | None:
        name = self.stored_name(stack)
        state = self._as_of(stack, self._store.load(name))
        if state is not None and name == stack:
            self._check(stack, state)
        return state

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        return self._as_of(stack, self._store.load_at(self.stored_name(stack), serial))

    def outlines(self, stack: str, serials: Collection[int]) -> Mapping[int, Outline]:
        return self._store.outlines(self.stored_name(stack), serials)

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        return self._store.history(self.stored_name(stack), limit)

    def check_history(self, stack: str, limit: int) -> None:
        self._store.check_history(self.stored_name(stack), limit)

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        return self._store.save(snapshot, expected_serial=expected_serial, lock=lock)

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        self._store.copy_in(snapshot, entry, expected_serial=expected_serial)

    def stacks(self) -> Sequence[str]:
        return self._store.stacks()

    def exists(self) -> bool:
        return self._store.exists()

    def names(self) -> Sequence[str]:
        return self._store.names()

    def move(self, before: str, after: str) -> None:
        self._store.move(before, after)

    def load_register(self, scope: str) -> Register | None:
        return self._store.load_register(scope)

    def save_register(self, register: Register, *, expected_serial: int | None) -> Register:
        return self._store.save_register(register, expected_serial=expected_serial)

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
        def hold(name: str) -> AbstractContextManager[Lock]:
            return self._store.lock(name, info, timeout=timeout, ttl=ttl, every=every, on_wait=on_wait)

        @contextmanager
        def hold_and_move() -> Iterator[Lock]:
            with hold(stack) as lock:
                if (name := self.stored_name(stack)) != stack:
                    with hold(name):
                        # Another run may have moved or replaced it while this one waited.
                        state = self._as_of(name, self._store.load(name))
                        is_ours = state is not None and (
                            self._former_names.get(stack) == name
                            or self._relate(stack, state) is Relation.SAME
                        )
                        own = self._store.load(stack)
                        if is_ours and (own is None or self._is_save_of(own, name)):
                            move_state(self._store, name, stack, present=self._present)
                            for scope in {scope_of(name), scope_of(stack)}:
                                self._moved(scope)
                    self._stored_names[stack] = stack
                yield lock

        return hold_and_move()

    def holder(self, stack: str) -> LockInfo | None:
        return self._store.holder(stack)

    def dead_holder(self, stack: str) -> LockInfo | None:
        return self._store.dead_holder(stack)

    def unlock(self, stack: str) -> LockInfo | None:
        return self._store.unlock(stack)

    def stored_name(self, stack: str) -> str:
        """The name of the stack's state in the store. Raises AmbiguousStateError."""
        if stack not in self._stored_names:
            older = self._find_older_name(stack)
            self._stored_names[stack] = self._find_former_name(stack) if older == stack else older
        return self._stored_names[stack]

    def _find_former_name(self, stack: str) -> str:
        """The former name of a stack without state; the stack's own name if there is none."""
        names = [name for name in self._find_former_names(stack) if self._has_content(name)]
        own = self._store.load(stack) if names else None
        if own is not None:
            names = [name for name in names if self._is_save_of(own, name)]  # of a move that was killed
        if not names:
            return stack
        if len(names) > 1:
            self._notify(
                f"{stack} has no state, but its folder had the stacks {', '.join(names)}, so none of them is "
                f"used; to use one:  {' or '.join(_move(name, stack) for name in names)}"
            )
            return stack
        reason = "has no state" if own is None else "was being renamed when the run was killed"
        self._notify(
            f"{stack} {reason}, so the state of {names[0]} is used, the earlier stack of its folder; "
            f"the next apply moves it to {stack}"
        )
        self._former_names[stack] = names[0]
        return names[0]

    def _has_content(self, name: str) -> bool:
        state = self._store.load(name)
        return state is not None and bool(state.resources or state.intents)

    def _is_save_of(self, own: Snapshot, name: str) -> bool:
        """Whether the state with another name is the same save as this one."""
        state = self._store.load(name)
        return state is not None and replace(state, stack=own.stack) == own

    def _find_older_name(self, stack: str) -> str:
        if self._older_names is None:
            self._older_names = self._find_older_names(self._store.names())
        names = [name for name in self._older_names(stack) if name != stack]
        if not names:
            return stack
        own = self._store.load(stack)
        has_state = own is not None
        found: dict[str, Snapshot] = {}
        for name in names:
            try:
                state = self._load_older(name)
            except UnreadableStateError:
                if has_state:
                    continue  # it would not be used anyway, and may be that of another stack
                raise
            if state is not None:
                found[name] = state
        relations = {name: self._relate(stack, state) for name, state in found.items()}
        same = [name for name, relation in relations.items() if relation is Relation.SAME]
        similar = [name for name, relation in relations.items() if relation is Relation.SIMILAR]
        if own is not None:
            if unmoved := [name for name in same if self._is_save_of(own, name)]:
                return unmoved[0]  # of a move that was killed; the next apply finishes it
            if same:
                organization, _, rest = stack.partition("@")
                aside = f"{organization}@aside/{rest.partition('/')[2]}"
                self._notify(
                    f"{stack} has state, so the state of {', '.join(same)} is not used: an earlier version "
                    f"used that name; to set it aside:  {_move(same[0], aside)}"
                )
            return stack
        confirmed = [name for name in same if self._belongs(found[name])]
        if len(confirmed) > 1:
            raise AmbiguousStateError(stack, confirmed)
        if confirmed:
            self._notify(
                f"using the state of {confirmed[0]}, the name that an earlier version gave this stack; "
                f"the next apply moves it to {stack}"
            )
            return confirmed[0]
        if same:
            self._notify(
                f"{', '.join(same)} may be the state of {stack}, but none of its objects was found on this "
                f"platform, so it is not used; to use it:  {' or '.join(_move(name, stack) for name in same)}"
            )
        for name in similar:
            self._notify(
                f"{name} has model versions of {stack}, but another image, so it is not used; "
                f"if the image was renamed, use it:  {_move(name, stack)}"
            )
        return stack

    def _load_older(self, name: str) -> Snapshot | None:
        with self._mutex:
            if name not in self._older:
                self._older[name] = self._as_of(name, self._store.load(name))
            return self._older[name]

    def _as_of(self, stack: str, state: Snapshot | None) -> Snapshot | None:
        """The state with this name and present addresses."""
        if state is None:
            return None
        state = state.with_addresses(self._present)
        return state if state.stack == stack else replace(state, stack=stack)


def _move(before: str, after: str) -> str:
    return f"reconciler state move {shlex.quote(before)} {shlex.quote(after)}"
