"""Copies records from one store to another, history included. Overwrites nothing there: only adds."""

from collections.abc import Iterator
from dataclasses import dataclass

from state.errors import CorruptStateError, LineageConflictError, StaleStateError
from state.snapshot import Snapshot, difference
from state.stores.base import EVERYTHING, Store


@dataclass(frozen=True, slots=True)
class CopyResult:
    """What became of one stack.

    Attributes:
        serials: that were copied.
        left_out: that were not, as their content is damaged or no longer kept.
        damage: what is wrong with the record as it is now, of which earlier serials may be whole; "" for
            nothing.
    """

    stack: str
    serials: tuple[int, ...]
    left_out: tuple[int, ...]
    damage: str = ""


def copy_records(source: Store, target: Store) -> Iterator[CopyResult]:
    """Copies every stack, telling of each; a second time copies what has been added since.

    Raises:
        StaleStateError: the target has a record that the source's does not continue; nothing is written then.
    """
    there = {stack: target.load(stack) for stack in source.stacks()}
    for stack, record in there.items():
        if record is not None:
            _check_continues(source, stack, record)
    for stack, record in there.items():
        yield _copy(source, target, stack, record.serial if record else 0)


def _copy(source: Store, target: Store, stack: str, serial: int) -> CopyResult:
    copied, left_out = [], []
    damage = ""
    try:
        source.load(stack)
    except CorruptStateError as problem:
        damage = problem.message
    for entry in reversed(source.history(stack, EVERYTHING)):
        if entry.serial <= serial:
            continue
        try:
            snapshot = source.load_at(stack, entry.serial)
        except CorruptStateError:
            snapshot = None
        if snapshot is None:
            left_out.append(entry.serial)
            continue
        target.copy_in(snapshot, entry, expected_serial=serial)
        serial = entry.serial
        copied.append(serial)
    return CopyResult(stack, tuple(copied), tuple(left_out), damage)


def _check_continues(source: Store, stack: str, there: Snapshot) -> None:
    newest = next(iter(source.history(stack, 1)), None)
    if newest is None:  # all of it is damaged, and nothing of it will be copied
        return
    if newest.lineage != there.lineage:
        raise LineageConflictError(stack, expected=newest.lineage, stored=there.lineage)
    if there.serial > newest.serial:
        raise StaleStateError(
            f"the record of {stack} is at serial {there.serial} where it was to be copied to, "
            f"and only at {newest.serial} where it was to be copied from",
            hint="nothing was copied; name an empty place, or copy the other way round",
        )
    same = source.load_at(stack, there.serial)
    if same is None or difference(same, there) or same.written_at != there.written_at:
        raise StaleStateError(
            f"the two records of {stack} have parted: their serials {there.serial} differ",
            hint="nothing was copied; name an empty place",
        )
