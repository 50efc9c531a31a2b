"""Reads and changes the registers of a store: claims by compare-and-swap.

Sits between the engine and a store. `register` has the rules and no I/O. A store of an earlier version has no
register; it is then made from the states, and saved by the first change.
"""

import random
import threading
import time
from collections.abc import Callable, Container, Sequence
from contextlib import suppress

from state.errors import (
    CorruptStateError,
    RegisterConflictError,
    StateError,
    StoreUnavailableError,
    UnreadableStateError,
)
from state.register import Claim, ExclusiveKinds, Register, register_from_states, scope_of, supports
from state.snapshot import Snapshot
from state.stores.base import Store

_TIMEOUT = 60.0  # seconds to repeat a change of a contended register
_MAX_REFUSALS = 8  # consecutive refusals to replace an unchanged register; more cannot be a race


class _Change:
    """A change of a register, from its arrival until a save has it."""

    def __init__(self, change: Callable[[Register], Register]) -> None:
        self._change = change
        self._problem: Exception | None = None
        self._saved: Register | None = None
        self.is_done = False

    def apply(self, register: Register) -> Register:
        """The changed register; the same one if the change raises, which `result` then does."""
        try:
            after = self._change(register)
        except Exception as problem:  # noqa: BLE001 - raised in the thread whose change it is
            self._problem = problem
            return register
        self._problem = None
        return after

    def finish(self, saved: Register) -> None:
        """The stored register is this one, with the change."""
        self._saved, self.is_done = saved, True

    def fail(self, problem: StateError) -> None:
        """The register cannot be read or saved."""
        self._problem, self.is_done = problem, True

    def result(self) -> Register:
        """The saved register. Raises what the change or its save raised."""
        if self._problem is not None:
            raise self._problem
        assert self._saved is not None, "the change was not carried out"
        return self._saved


class Registers:
    """The registers of a store. Each is read once, and again if another run wrote it. Thread-safe.

    Threads share saves: changes that arrive during a save are part of the next one.

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
        self._registers: dict[str, Register] = {}
        self._stored: dict[str, tuple[Register, Register]] = {}  # as last stored, and with present addresses
        self._unregistered: dict[str, list[Snapshot]] = {}  # scope -> states that the register lacks
        self._mutex = threading.Lock()  # guards the next two; held for moments only
        self._turns: dict[str, threading.RLock] = {}  # one thread at a time reads or writes a stored register
        self._changes: dict[str, list[_Change]] = {}  # that no save has yet, in the order of their arrival

    def read(self, scope: str) -> Register:
        """The register as last read or written. One that is not stored is made from the states.

        Raises:
            CorruptStateError: the register is damaged.
            StateError: the store cannot be read.
        """
        if (register := self._registers.get(scope)) is not None:
            return register
        with self._turn(scope):
            if scope not in self._registers:
                self._registers[scope] = self._load(scope)
            return self._registers[scope]

    def complete(self, scope: str) -> Register:
        """As `read`, with the claims of stacks that the register does not have.

        A reconciler that knows no claims may have saved them. Sends a request, and one for each such stack,
        the first time.
        """
        with self._turn(scope):
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
                another run wrote the register, so it must decide by its argument alone. It may be called from
                another thread, and must not call this object.

        Raises: as for `read`.
        """
        own = _Change(change)
        with self._mutex:
            self._changes.setdefault(scope, []).append(own)
        try:
            with self._turn(scope):  # while this thread waits, another one may carry out its change
                if not own.is_done:
                    self._carry_out(scope)
        finally:
            with self._mutex:
                if own in self._changes[scope]:  # this thread is interrupted, and the others go on
                    self._changes[scope].remove(own)
        return own.result()

    def _carry_out(self, scope: str) -> None:
        """Carry out all changes that have arrived, in one save."""
        with self._mutex:
            changes = list(self._changes[scope])
        try:
            self._save(scope, changes)
        except StateError as problem:
            for change in changes:
                change.fail(problem)
        with self._mutex:
            self._changes[scope] = [change for change in self._changes[scope] if not change.is_done]

    def _save(self, scope: str, changes: Sequence["_Change"]) -> None:
        end, refusals = time.monotonic() + _TIMEOUT, 0
        before, fresh = self.read(scope), False
        while True:
            after = before
            for change in changes:
                after = change.apply(after)
            if after == before and fresh:
                break
            if after != before:
                try:
                    after = self._store.save_register(after, expected_serial=before.serial)
                    break
                except RegisterConflictError as conflict:
                    if time.monotonic() > end:
                        raise StoreUnavailableError(
                            f"other runs keep writing the register of {scope}", hint="try again"
                        ) from conflict
                    self._sleep(random.uniform(0.005, 0.05))
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
        self._registers[scope] = after
        for change in changes:
            change.finish(after)

    def refresh(self, scope: str) -> None:
        """Read the register again the next time: it was changed past this object."""
        with self._turn(scope):
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
            NewerFormatError: a newer reconciler wrote it or a state, whose claims would be lost.
            StateError: the store cannot be read or written.
        """
        with self._turn(scope):
            with suppress(CorruptStateError):
                self._store.load_register(scope)
            for stack in self._store.names():
                if scope_of(stack) == scope:
                    with suppress(CorruptStateError):
                        self._store.load(stack)
            made = self._from_states(scope)
            self._registers[scope] = self._store.save_register(made, expected_serial=None)
            return self._registers[scope]

    def _turn(self, scope: str) -> threading.RLock:
        with self._mutex:
            return self._turns.setdefault(scope, threading.RLock())

    def _load(self, scope: str) -> Register:
        stored = self._store.load_register(scope)
        if stored is None:
            return self._from_states(scope)
        before, register = self._stored.get(scope, (None, stored))
        if before is not stored:  # a store returns the same object while no run writes it
            register = stored.with_addresses(self._present)
            self._stored[scope] = stored, register
        return register.with_states(self._unregistered.get(scope, ()), self.exclusive)

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


def release_stack(
    store: Store, stack: str, exclusive: ExclusiveKinds | None = None, heirs: Sequence[Snapshot] = ()
) -> None:
    """Removes a stack whose state is empty, and its claims, from the register.

    Args:
        exclusive: the kinds whose resources are claimed.
        heirs: the states that get its claims on their resources: those of the same stack under another name.
    """
    kinds = exclusive or {}
    if store.load_register(scope := scope_of(stack)) is not None:
        Registers(store, kinds).update(
            scope, lambda register: register.without_stack(stack).with_states(heirs, kinds)
        )


def move_state(store: Store, before: str, after: str) -> None:
    """Renames a state together with its history and claims. The caller holds the locks of both names.

    A move that is killed in between leaves claims under the old name, which are void, as it has no state.

    Raises: as `Store.move`, and UnreadableStateError if a register cannot be read, or NewerFormatError if a
        newer reconciler wrote the state; then nothing is moved.
    """
    with suppress(CorruptStateError):  # damage is moved as it is
        store.load(before)
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
