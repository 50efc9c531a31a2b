"""What changed from one serial of a record to another, field by field; for history and `diff`. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

from state.snapshot import JSON, RecordedResource, Snapshot, difference

Verb = Literal["added", "changed", "removed"]


class Absent(Enum):
    """A field that is not there, which is something else than one that is null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a resource.

    Attributes:
        path: `default_cpu`, `default_parameters.epochs`; `id`, `outputs.digest` and `depends_on` beside them.
        before, after: a JSON value, or ABSENT.
    """

    path: str
    before: JSON | Absent
    after: JSON | Absent


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """One resource that the two serials do not have in common."""

    address: str
    verb: Verb
    fields: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """Everything that differs.

    Attributes:
        resources: in the order of their addresses.
        opened, closed: addresses of writes that were begun, and of those that were settled.
    """

    resources: tuple[ResourceChange, ...]
    opened: tuple[str, ...]
    closed: tuple[str, ...]


def changes(before: Snapshot, after: Snapshot) -> Changes:
    """What has to be said to get from one record to the other."""
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
    """Everything that is recorded of a resource, under the names that the user knows."""
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
