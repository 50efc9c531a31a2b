"""Copies state with its history from one store to another. Only adds, never overwrites."""

from collections.abc import Callable, Iterator, Set
from functools import partial

from msgspec import Struct

from state.claims import Registers, naming_done
from state.errors import (
    CorruptStateError,
    LineageConflictError,
    RenamedStateError,
    SharedLineageError,
    StaleStateError,
)
from state.lineages import names_by_lineage
from state.register import ExclusiveKinds, Register, scope_of
from state.snapshot import Snapshot, difference
from state.stores.base import ALL_SAVES, HistoryEntry, Store


class CopyResult(Struct, frozen=True):
    """The result for one stack.

    Attributes:
        serials: the copied serials.
        left_out: serials not copied because their content is damaged or no longer kept.
        damage: the problem of the current state or its history, of which other serials may be intact; "" for
            none.
    """

    stack: str
    serials: tuple[int, ...]
    left_out: tuple[int, ...]
    damage: str = ""


def copy_states(
    source: Store,
    target: Store,
    exclusive: ExclusiveKinds,
    *,
    present: Callable[[str], str] = str,
) -> Iterator[CopyResult]:
    """Copies every stack with its claims, and yields a result for each. Repeated, it adds only newer serials.

    In the end, the copied stacks have the claims in the target that they have in the source. Stacks that only
    the target has keep theirs. A stack with new serials is not in the target's register before that: it may
    lack claims, see `Registers.complete`.

    Args:
        exclusive: the kinds whose resources are claimed.
        present: as for `Registers`.

    A stack that is emptied, and has another name, is left out.

    Raises:
        StaleStateError: the target has state that the source does not continue, or a stack under another
            name; nothing is written.
    """
    stacks = _copied_names(source, target)
    existing = {stack: target.load(stack) for stack in stacks}
    for stack, state in existing.items():
        if state is not None:
            target.check_history(stack, 1)
            _check_continues(source, target, stack, state)
    scopes = sorted({*map(scope_of, stacks)} - {""})
    new = Registers(target, exclusive, present=present)
    for scope in scopes:  # an error, if one cannot be read, before anything is written
        Registers(source, exclusive).intact(scope)
        new.read(scope)
    for stack, state in existing.items():
        yield _copy(source, target, stack, state.serial if state else 0, new)
    old = Registers(source, exclusive, present=present)  # read again: other runs go on
    with naming_done("the states were copied, but their claims were not"):
        for scope in scopes:
            copied = {stack for stack in stacks if scope_of(stack) == scope}
            states = [state.with_addresses(present) for state in map(target.load, sorted(copied)) if state]
            claims = old.intact(scope).only(copied).with_states(states, exclusive)
            new.update(scope, partial(_with_copied, claims, copied))


def _with_copied(source: Register, stacks: Set[str], target: Register) -> Register:
    return target.with_copied(source, stacks)


def _copied_names(source: Store, target: Store) -> list[str]:
    """The stacks of the source, each with one name. Raises StaleStateError if the target has another."""
    stacks, there = source.stacks(), target.names()
    here, existing = names_by_lineage(source, stacks), names_by_lineage(target, there)
    for lineage, names in here.items():
        for place, several in (("source", names), ("target", existing.get(lineage, ()))):
            if len(several) > 1:
                raise SharedLineageError(several, place)
        for other in existing.get(lineage, ()):
            if other != names[0]:
                raise RenamedStateError(names[0], other)
    known = {name for names in here.values() for name in names}
    return [stack for stack in stacks if stack in known or not source.history(stack, 1)]


def _copy(source: Store, target: Store, stack: str, serial: int, registers: Registers) -> CopyResult:
    copied: list[int] = []
    left_out: list[int] = []
    damage = ""
    try:
        source.load(stack)
        source.check_history(stack, ALL_SAVES)
    except CorruptStateError as problem:
        damage = problem.message
    for entry in reversed(source.history(stack, ALL_SAVES)):
        if entry.serial <= serial:
            continue
        try:
            snapshot = source.load_at(stack, entry.serial)
        except CorruptStateError:
            snapshot = None
        if snapshot is None:
            left_out.append(entry.serial)
            continue
        if not copied and (scope := scope_of(stack)) and stack in registers.read(scope).stacks:
            registers.update(scope, lambda register: register.without_source(stack))
        target.copy_in(snapshot, entry, expected_serial=serial)
        serial = entry.serial
        copied.append(serial)
    return CopyResult(stack, tuple(copied), tuple(left_out), damage)


def _check_continues(source: Store, target: Store, stack: str, existing: Snapshot) -> None:
    newest = next(iter(source.history(stack, 1)), None)
    if newest is None:  # the source is damaged as a whole; nothing will be copied
        return
    if newest.lineage != existing.lineage:
        raise LineageConflictError(stack, expected=newest.lineage, stored=existing.lineage)
    if existing.serial > newest.serial:
        raise StaleStateError(
            f"the target has serial {existing.serial} of {stack}, newer than serial {newest.serial} "
            "of the source",
            hint="nothing was copied; use an empty target, or swap source and target",
        )
    _check_same_save(source, target, stack, existing)


def _check_same_save(source: Store, target: Store, stack: str, existing: Snapshot) -> None:
    """Checks that both stores have the same save at the target's serial.

    The history entry identifies it if the source's content is damaged or no longer kept.
    """
    serial = existing.serial
    saved = _entry_at(source, stack, serial)
    if saved is None:
        raise StaleStateError(
            f"serial {serial} of {stack} is the newest in the target, but damaged or no longer kept in the "
            "source, so the two cannot be compared",
            hint="nothing was copied; use an empty target",
        )
    copied = _entry_at(target, stack, serial)
    try:
        content = source.load_at(stack, serial)
    except CorruptStateError:
        content = None
    is_same = copied is not None and (saved.written_at, saved.run) == (copied.written_at, copied.run)
    if not is_same or (content is not None and difference(content, existing)):
        raise StaleStateError(
            f"the states of {stack} have diverged: serial {serial} differs in source and target",
            hint="nothing was copied; use an empty target",
        )


def _entry_at(store: Store, stack: str, serial: int) -> HistoryEntry | None:
    return next((entry for entry in store.history(stack, ALL_SAVES) if entry.serial == serial), None)
