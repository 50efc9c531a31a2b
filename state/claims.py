"""Reads and changes the registers of a store: claims by compare-and-swap.

Sits between the engine and a store. `register` has the rules and no I/O. A store of an earlier version has no
register; it is then made from the states, and saved by the first change.
"""

import random
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache

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
        self._present = cache(present)  # a large register is read again and again
        self._sleep = sleep
        self._registers: dict[str, Register] = {}
        self._stored: dict[str, tuple[Register, Register]] = {}  # as last stored, and with present addresses
        self._unregistered: dict[str, list[Snapshot]] = {}  # scope -> states that the register lacks
        self._recorded: dict[str, list[Snapshot]] = {}  # scope -> its states, as first read
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

    def _save(self, scope: str, changes: list[_Change]) -> None:
        """Save these changes, and add those that arrive until it is done."""
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
            with self._mutex:  # other runs may refuse many attempts
                changes[:] = self._changes[scope]
        self._registers[scope] = after
        for change in changes:
            change.finish(after)

    def refresh(self, scope: str) -> None:
        """Read the register again the next time: it was changed past this object."""
        with self._turn(scope):
            self._registers.pop(scope, None)

    def valid(self, address: str, claim: Claim) -> Mapping[str, Claim]:
        """The claims that hold where the register has this one: this one, unless it is void.

        It is void if its holder has no run in progress, and no such resource in its state: a run was killed
        before its first write, or between the move of a state and that of its claims. Then the resource
        belongs to the stack that has it in its state. Sends two requests, and for the first void claim of a
        scope some for each of its stacks.

        Returns:
            The claims by address; none if no stack has the resource.
        """
        if self._store.holder(claim.stack) is not None:
            return {address: claim}
        try:
            if supports(self._load_state(claim.stack), address):
                return {address: claim}
            return self.others_with(address, claim)
        except UnreadableStateError:  # it may have the resource
            return {address: claim}

    def others_with(self, address: str, claim: Claim) -> dict[str, Claim]:
        """The claims, by address, of the other stack that has a claimed resource in its state.

        Of several, it is the one that was saved last.

        Raises:
            UnreadableStateError: a state of the scope cannot be read.
        """
        scope = scope_of(claim.stack)
        if scope not in self._recorded:
            states = (self._load_state(stack) for stack in self._names(scope))
            self._recorded[scope] = [state for state in states if state is not None]
        others = [state for state in self._recorded[scope] if state.stack != claim.stack]
        return register_from_states(scope, others, self.exclusive).matching(address, [claim.id])

    def states_of_others(self, scope: str, own: Container[str]) -> list[Snapshot]:
        """The states of the other stacks of a scope, without those that cannot be read."""
        return self._states(scope, without=own)

    def release(self, stack: str, address: str) -> None:
        """Removes the claim of a stack on a resource that it no longer has."""
        self._release(stack, lambda it: it.without_claims({address} & it.claims_of(stack).keys()))

    def release_stack(self, stack: str) -> None:
        """Removes a stack whose state is empty, and its claims."""
        self._release(stack, lambda it: it.without_stack(stack))

    def _release(self, stack: str, change: Callable[[Register], Register]) -> None:
        """Changes a stored register. Resources that lose their claim go to the stacks that have them, too."""
        if self._store.load_register(scope := scope_of(stack)) is not None:
            heirs = self._states(scope, without=[stack])
            self.update(scope, lambda register: change(register).with_states(heirs, self.exclusive))

    def rebuild(self, scope: str) -> Register:
        """Replaces the stored register, damaged or not, by one made from the states.

        Raises:
            NewerFormatError: a newer reconciler wrote it or a state, whose claims would be lost.
            StateError: the store cannot be read or written.
        """
        with self._turn(scope):
            with suppress(CorruptStateError):
                self._store.load_register(scope)
            for stack in self._names(scope):
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
        for stack in self._names(scope):
            if stack not in without:
                with suppress(UnreadableStateError):  # its next apply takes its claims, once it can be read
                    state = self._load_state(stack)
                    states += [state] if state is not None else []
        return states

    def _names(self, scope: str) -> list[str]:
        return [stack for stack in self._store.names() if scope_of(stack) == scope]


def move_state(store: Store, before: str, after: str, *, present: Callable[[str], str] = str) -> None:
    """Renames a state together with its history and claims. The caller holds the locks of both names.

    Repeated after it was killed or failed, it finishes the move. Until then, claims have the old name. These
    are void, and do not hide the stack that has the resources, see `Registers.valid`.

    Args:
        present: as for `Registers`.

    Raises: as `Store.move`, and UnreadableStateError if a register cannot be read, or NewerFormatError if a
        newer reconciler wrote the state; then nothing is moved.
    """
    with suppress(CorruptStateError):  # damage is moved as it is
        store.load(before)
    source, target = scope_of(before), scope_of(after)
    registers = Registers(store, {}, present=present)
    there, here = store.load_register(target), store.load_register(source)
    if not is_moved(store, before, after, present=present):
        if there is not None and after in there.stacks and not _has_state(store, after):
            # Left by a run without a state. The moved state is not to be hidden by it, see `complete`.
            registers.update(target, lambda register: register.without_source(after))
        store.move(before, after)
    if here is None:
        return
    old = here.with_addresses(present)
    with naming_done(f"the state of {before} was renamed to {after}, but its claims have the old name"):
        if source == target:
            registers.update(source, lambda register: register.renamed(before, after))
            return
        if there is not None:
            registers.update(target, lambda register: register.with_stack_of(old, before, after))
        registers.update(source, lambda register: register.without_stack(before))


def is_moved(store: Store, before: str, after: str, *, present: Callable[[str], str] = str) -> bool:
    """Whether a move was killed between the state, which has its new name, and its claims.

    Raises: as `Store.load` and `Store.load_register`.
    """
    register = store.load_register(scope_of(before))
    if register is None or before not in register.stacks or _has_state(store, before):
        return False
    state = store.load(after)
    if state is None:
        return False
    claimed = register.with_addresses(present).claims_of(before)
    return all(supports(state.with_addresses(present), address) for address in claimed)


def _has_state(store: Store, stack: str) -> bool:
    """Whether a stack has state, damaged or not."""
    try:
        return bool(store.history(stack, 1))
    except UnreadableStateError:
        return True


@contextmanager
def naming_done(done: str) -> Iterator[None]:
    """Adds to errors of the register what is done already, and that the same command finishes the rest."""
    try:
        yield
    except StateError as problem:
        problem.message = f"{done}: {problem.message}"
        problem.hint = "; then ".join(filter(None, [problem.hint, "run the same command again to finish"]))
        raise
