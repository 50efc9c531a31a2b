"""Reads and changes the registers of a store: claims by compare-and-swap.

Sits between the engine and a store. `register` has the rules and no I/O. A store of an earlier version has no
register; it is then made from the states, and saved by the first change.
"""

import random
import threading
import time
from collections.abc import Callable, Container
from contextlib import suppress

from state.errors import (
    CorruptStateError,
    RegisterConflictError,
    StoreUnavailableError,
    UnreadableStateError,
)
from state.register import Claim, ExclusiveKinds, Register, register_from_states, scope_of, supports
from state.snapshot import Snapshot
from state.stores.base import Store

_TIMEOUT = 60.0  # seconds to repeat a change of a contended register
_MAX_REFUSALS = 8  # consecutive refusals to replace an unchanged register; more cannot be a race


class Registers:
    """The registers of a store. Each is read once, and again if another run wrote it. Thread-safe.

    Args:
        store: the store itself, without older names.
        exclusive: the kinds whose resources are claimed.
        present: returns the present form of an address that an earlier version wrote.
        sleep: sleeps a number of seconds; for tests.
    """

    def __init__(
        self,
        store: Store,
        exclusive: ExclusiveKinds,
        *,
        present: Callable[[str], str] = str,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.exclusive = exclusive
        self._store = store
        self._present = present
        self._sleep = sleep
        self._mutex = threading.RLock()
        self._registers: dict[str, Register] = {}
        self._unregistered: dict[str, list[Snapshot]] = {}  # scope -> states that the register lacks

    def read(self, scope: str) -> Register:
        """The register as last read or written. One that is not stored is made from the states.

        Raises:
            CorruptStateError: the register is damaged.
            StateError: the store cannot be read.
        """
        with self._mutex:
            if scope not in self._registers:
                self._registers[scope] = self._load(scope)
            return self._registers[scope]

    def complete(self, scope: str) -> Register:
        """As `read`, with the claims of stacks that the register does not have.

        A reconciler that knows no claims may have saved them. Sends a request, and one for each such stack,
        the first time.
        """
        with self._mutex:
            register = self.read(scope)
            if scope not in self._unregistered:
                self._unregistered[scope] = self._states(scope, without=register.stacks)
                self._registers[scope] = register.with_states(self._unregistered[scope], self.exclusive)
            return self._registers[scope]

    def intact(self, scope: str) -> Register:
        """As `read`, but a damaged register is made from the states too."""
        with suppress(CorruptStateError):
            return self.read(scope)
        return self._from_states(scope)

    def update(self, scope: str, change: Callable[[Register], Register]) -> Register:
        """Changes the stored register and returns the result. Without a change, nothing is written.

        Args:
            change: returns the new register, or an equal one. Its errors propagate. It is called again if
                another run wrote the register, so it must decide by its argument alone.

        Raises: as for `read`.
        """
        with self._mutex:
            end, refusals = time.monotonic() + _TIMEOUT, 0
            before, fresh = self.read(scope), False
            while True:
                after = change(before)
                if after == before and fresh:
                    return before
                if after != before:
                    try:
                        saved = self._store.save_register(after, expected_serial=before.serial)
                    except RegisterConflictError as conflict:
                        if time.monotonic() > end:
                            raise StoreUnavailableError(
                                f"other runs keep writing the register of {scope}", hint="try again"
                            ) from conflict
                        self._sleep(random.uniform(0.005, 0.05))
                    else:
                        self._registers[scope] = saved
                        return saved
                stored = self._load(scope)
                if after != before:
                    refusals = refusals + 1 if stored.serial == before.serial else 0
                    if refusals == _MAX_REFUSALS:
                        raise StoreUnavailableError(
                            f"the store refuses to replace the unchanged register of {scope}",
                            hint="it must honour If-Match and If-None-Match; see docs/reference/state.md",
                        )
                self._registers[scope] = before = stored
                fresh = True

    def refresh(self, scope: str) -> None:
        """Read the register again the next time: it was changed past this object."""
        with self._mutex:
            self._registers.pop(scope, None)

    def is_void(self, address: str, claim: Claim) -> bool:
        """Whether the holder of a claim has no run in progress, and no such resource in its state."""
        if self._store.holder(claim.stack) is not None:
            return False
        try:
            return not supports(self._load_state(claim.stack), address)
        except UnreadableStateError:
            return False

    def rebuild(self, scope: str) -> Register:
        """Replaces the stored register, damaged or not, by one made from the states.

        Raises:
            NewerFormatError: a newer reconciler wrote it.
            StateError: the store cannot be read or written.
        """
        with self._mutex:
            with suppress(CorruptStateError):
                self._store.load_register(scope)
            made = self._from_states(scope)
            self._registers[scope] = self._store.save_register(made, expected_serial=None)
            return self._registers[scope]

    def _load(self, scope: str) -> Register:
        stored = self._store.load_register(scope)
        if stored is None:
            return self._from_states(scope)
        return stored.with_addresses(self._present).with_states(
            self._unregistered.get(scope, ()), self.exclusive
        )

    def _load_state(self, stack: str) -> Snapshot | None:
        state = self._store.load(stack)
        return None if state is None else state.with_addresses(self._present)

    def _from_states(self, scope: str) -> Register:
        return register_from_states(scope, self._states(scope), self.exclusive)

    def _states(self, scope: str, without: Container[str] = ()) -> list[Snapshot]:
        """The states of a scope, without some stacks and those that cannot be read."""
        states: list[Snapshot] = []
        for stack in self._store.names():
            if scope_of(stack) == scope and stack not in without:
                with suppress(UnreadableStateError):  # its next apply takes its claims, once it can be read
                    state = self._load_state(stack)
                    states += [state] if state is not None else []
        return states


def release(store: Store, stack: str, address: str) -> None:
    """Removes the claim of a stack on a resource that it no longer has."""
    if store.load_register(scope := scope_of(stack)) is not None:

        def change(register: Register) -> Register:
            return register.without_claims({address} & register.claims_of(stack).keys())

        Registers(store, {}).update(scope, change)


def release_stack(store: Store, stack: str) -> None:
    """Removes a stack whose state is empty, and its claims, from the register."""
    if store.load_register(scope := scope_of(stack)) is not None:
        Registers(store, {}).update(scope, lambda register: register.without_stack(stack))


def move_state(store: Store, before: str, after: str) -> None:
    """Renames a state together with its history and claims. The caller holds the locks of both names.

    A move that is killed in between leaves claims under the old name, which are void, as it has no state.

    Raises: as `Store.move`, and UnreadableStateError if a register cannot be read; then nothing is moved.
    """
    source, target = scope_of(before), scope_of(after)
    has_target = store.load_register(target) is not None
    old = store.load_register(source)
    store.move(before, after)
    registers = Registers(store, {})
    if old is None:
        return
    if source == target:
        registers.update(source, lambda register: _renamed(register, before, after))
        return
    if has_target:
        registers.update(target, lambda register: register.with_stack_of(old, before, after))
    registers.update(source, lambda register: register.without_stack(before))


def _renamed(register: Register, before: str, after: str) -> Register:
    moved = register.without_stack(before)
    return moved.with_stack_of(register, before, after)
