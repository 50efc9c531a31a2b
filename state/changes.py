"""The field-by-field changes between two serials of a state, for `history` and `diff`. Pure."""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Literal

from msgspec import Struct

from state.snapshot import JSON, RecordedResource, Snapshot, difference

Verb = Literal["added", "changed", "removed"]


class Absent(Enum):
    """Marks a missing field, as opposed to a null one."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


class FieldChange(Struct, frozen=True):
    """One field of a resource.

    Attributes:
        path: `default_cpu`, `default_parameters.epochs`; also `id`, `outputs.digest` and `depends_on`.
        before, after: a JSON value, or ABSENT.
    """

    path: str
    before: JSON | Absent
    after: JSON | Absent


class ResourceChange(Struct, frozen=True):
    """One resource that differs between the two serials."""

    address: str
    verb: Verb
    fields: tuple[FieldChange, ...]


class Changes(Struct, frozen=True):
    """The differences between two serials.

    Attributes:
        resources: sorted by address.
        opened, closed: addresses of the intents opened and closed in between.
    """

    resources: tuple[ResourceChange, ...]
    opened: tuple[str, ...]
    closed: tuple[str, ...]


def changes(before: Snapshot, after: Snapshot) -> Changes:
    """The changes that turn `before` into `after`."""
    found = difference(before, after)
    resources = [_resource(address, before, after) for address in found.resources]
    resources += [_resource(address, before, after) for address in found.removed_resources]
    return Changes(
        tuple(sorted(resources, key=lambda change: change.address)),
        tuple(found.intents),
        found.removed_intents,
    )


def _resource(address: str, before: Snapshot, after: Snapshot) -> ResourceChange:
    old, new = before.resources.get(address), after.resources.get(address)
    verb: Verb = "added" if old is None else "removed" if new is None else "changed"
    return ResourceChange(address, verb, tuple(_fields("", _all(old), _all(new))))


def _all(resource: RecordedResource | None) -> dict[str, Any]:
    """All recorded values of a resource, under the names that `history` and `diff` show."""
    if resource is None:
        return {}
    outputs = {"outputs": dict(resource.outputs)} if resource.outputs else {}
    edges = {"depends_on": list(resource.depends_on)} if resource.depends_on else {}
    return {"id": resource.id, **resource.inputs, **outputs, **edges}


def _fields(prefix: str, old: Mapping[str, JSON], new: Mapping[str, JSON]) -> Iterator[FieldChange]:
    for name in sorted({*old, *new}):
        before, after = old.get(name, ABSENT), new.get(name, ABSENT)
        inner = [side for side in (before, after) if side is not ABSENT]
        if all(isinstance(side, dict) and side for side in inner):
            yield from _fields(
                f"{prefix}{name}.",
                before if isinstance(before, dict) else {},
                after if isinstance(after, dict) else {},
            )
        elif type(before) is not type(after) or before != after:
            yield FieldChange(prefix + name, before, after)
