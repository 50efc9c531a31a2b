"""A store in which the state of a stack is found under its older names, and moved to its own name once.

Stands between the commands and a store. What makes a name an older one, and whether state is of the stack at
all, is decided by functions that it is given. Reading moves nothing; the first lock does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Self

from state.errors import AmbiguousStateError
from state.lock import HEARTBEAT, TTL, Lock
from state.lock_info import LockInfo
from state.snapshot import Snapshot
from state.stores.base import HistoryEntry, Store, no_announcement


class RenamingStore:
    """A `Store` on top of another one. See the protocol for what its methods promise.

    Args:
        store: that keeps the state.
        older: of a stack and all names in the store, those under which its state may be kept as well.
        proves: whether this state, found under an older name, is certainly the stack's.
        notify: gets a sentence about each older name that was found.
    """

    def __init__(
        self,
        store: Store,
        *,
        older: Callable[[str, Iterable[str]], Sequence[str]],
        proves: Callable[[Snapshot], bool],
        notify: Callable[[str], None],
    ) -> None:
        self._store = store
        self._older = older
        self._proves = proves
        self._notify = notify
        self._all: Sequence[str] | None = None
        self._found: dict[str, str] = {}  # stack -> the name that its state is kept under

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._store.close()

    def load(self, stack: str) -> Snapshot | None:
        return _named(self._store.load(self._name(stack)), stack)

    def load_at(self, stack: str, serial: int) -> Snapshot | None:
        return _named(self._store.load_at(self._name(stack), serial), stack)

    def history(self, stack: str, limit: int) -> Sequence[HistoryEntry]:
        return self._store.history(self._name(stack), limit)

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: Lock | None) -> Snapshot:
        return self._store.save(snapshot, expected_serial=expected_serial, lock=lock)

    def copy_in(self, snapshot: Snapshot, entry: HistoryEntry, *, expected_serial: int) -> None:
        self._store.copy_in(snapshot, entry, expected_serial=expected_serial)

    def stacks(self) -> Sequence[str]:
        return self._store.stacks()

    def names(self) -> Sequence[str]:
        return self._store.names()

    def move(self, before: str, after: str) -> None:
        self._store.move(before, after)

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
        def held(name: str) -> AbstractContextManager[Lock]:
            return self._store.lock(name, info, timeout=timeout, ttl=ttl, every=every, waiting=waiting)

        @contextmanager
        def holding() -> Iterator[Lock]:
            with held(stack) as lock:
                if (name := self._name(stack)) != stack:
                    with held(name):
                        # Another run may have moved it while this one waited.
                        if self._store.load(stack) is None:
                            self._store.move(name, stack)
                    self._found[stack] = stack
                yield lock

        return holding()

    def holder(self, stack: str) -> LockInfo | None:
        return self._store.holder(stack)

    def abandoned(self, stack: str) -> LockInfo | None:
        return self._store.abandoned(stack)

    def unlock(self, stack: str) -> LockInfo | None:
        return self._store.unlock(stack)

    def _name(self, stack: str) -> str:
        """The name that the state of a stack is kept under. Raises AmbiguousStateError."""
        if stack not in self._found:
            self._found[stack] = self._look(stack)
        return self._found[stack]

    def _look(self, stack: str) -> str:
        if self._all is None:
            self._all = self._store.names()
        others = [name for name in self._older(stack, self._all) if name != stack]
        found = {name: state for name in others if (state := self._store.load(name)) is not None}
        if not found:
            return stack
        listed = ", ".join(found)
        if self._store.load(stack) is not None:
            organization, _, rest = stack.partition("@")
            aside = f"{organization}@aside/{rest.partition('/')[2]}"
            self._notify(
                f"{stack} has state of its own, so that of {listed} is not used, which an earlier version "
                "kept of the same address written another way; to put it aside:  "
                f"reconciler state move '{next(iter(found))}' '{aside}'"
            )
            return stack
        sure = [name for name, state in found.items() if self._proves(state)]
        if len(sure) > 1:
            raise AmbiguousStateError(stack, sure)
        if not sure:
            ways = " or ".join(f"reconciler state move '{name}' '{stack}'" for name in found)
            self._notify(
                f"{listed} may be the state of {stack}, but nothing shows that it is of this platform, so it "
                f"is not used; if it is:  {ways}"
            )
            return stack
        self._notify(
            f"using the state of {sure[0]}, the same platform written another way; "
            f"the next apply moves it to {stack}"
        )
        return sure[0]


def _named(state: Snapshot | None, stack: str) -> Snapshot | None:
    return state if state is None or state.stack == stack else replace(state, stack=stack)
