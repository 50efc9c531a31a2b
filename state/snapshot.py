"""The record of one stack as pure values: what the last successful applies left, and what is still open.

Stands between a store, which keeps it, and the planner, which compares it with desired and live. Every
change makes a new snapshot. Nothing here reads a file, a clock or the environment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from state.sharing import SharedMap

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]; mypy has no recursive alias here
Verb = Literal["create", "update", "delete", "replace"]
Entry = TypeVar("Entry", "RecordedResource", "Intent")


@dataclass(frozen=True, slots=True)
class RecordedResource:
    """One resource as it was last applied and acknowledged.

    Attributes:
        address: `kind/name`, as everywhere.
        kind: the first part of the address.
        id: the far end's own identity of the object.
        inputs: the managed fields as last applied. Copied, so later changes of the argument do not reach it.
        outputs: facts beside the managed fields (digest, page in the web application). Copied as well.
        depends_on: addresses of recorded resources that must exist before this one.
    """

    address: str
    kind: str
    id: str
    inputs: Mapping[str, JSON]
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _copied(self.inputs))
        object.__setattr__(self, "outputs", _copied(self.outputs))


@dataclass(frozen=True, slots=True)
class Intent:
    """A write that was about to be sent and whose outcome is not known yet.

    Attributes:
        address: of the resource written to; at most one intent is open per address.
        verb: what was about to be done.
        id: the far end's identity of the object; None for a create. For a replace that of the old object, and
            None once that is deleted: from then on only the new one is still to be made.
        fields: what was about to be sent. Copied.
        since: when, ISO 8601 with its offset from UTC.
        run: which run was about to send it, so that a later one can say so.
        kept: what a replace takes from the old object: fields beside the managed ones, and managed ones that
            the user wants as they are on the platform. Copied.
    """

    address: str
    verb: Verb
    id: str | None
    fields: Mapping[str, JSON]
    since: str
    run: str
    kept: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", _copied(self.fields))
        object.__setattr__(self, "kept", _copied(self.kept))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that is recorded of one stack at one serial.

    Attributes:
        stack: whose record this is: `my-org@STAGING/my_pipeline`.
        lineage: made up once, with the first record; two records of different lineage have no common past.
        serial: 0 before the first save, then one more with every save.
        resources: by address.
        intents: open writes, by address.
        written_by: version of the reconciler that wrote it; "" before the first save.
        written_at: when, ISO 8601 with its offset from UTC; "" before the first save.
    """

    stack: str
    lineage: str
    serial: int
    resources: Mapping[str, RecordedResource] = field(default_factory=SharedMap)
    intents: Mapping[str, Intent] = field(default_factory=SharedMap)
    written_by: str = ""
    written_at: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "resources", _shared(self.resources))
        object.__setattr__(self, "intents", _shared(self.intents))

    @classmethod
    def new(cls, stack: str, lineage: str) -> "Snapshot":
        """The empty record of a stack of which nothing is known."""
        return cls(stack=stack, lineage=lineage, serial=0)

    def with_resource(self, resource: RecordedResource) -> "Snapshot":
        return replace(self, resources=_shared(self.resources).put(resource.address, resource))

    def without_resource(self, address: str) -> "Snapshot":
        """Forgets the resource, and every edge that leads to it: nothing can wait for what is gone."""
        resources = _shared(self.resources).drop(address)
        for dependant in self.resources.values():
            if address in dependant.depends_on and dependant.address != address:
                kept = tuple(other for other in dependant.depends_on if other != address)
                resources = resources.put(dependant.address, replace(dependant, depends_on=kept))
        return replace(self, resources=resources)

    def with_intent(self, intent: Intent) -> "Snapshot":
        """Opens an intent; one that was open for the same address is replaced."""
        return replace(self, intents=_shared(self.intents).put(intent.address, intent))

    def without_intent(self, address: str) -> "Snapshot":
        return replace(self, intents=_shared(self.intents).drop(address))

    def written(self, *, serial: int, by: str, at: str) -> "Snapshot":
        """The same content under another serial, written by this version at this time."""
        return replace(self, serial=serial, written_by=by, written_at=at)


@dataclass(frozen=True, slots=True)
class Difference:
    """What has to be done to one snapshot's content to get another's. False when there is nothing to do."""

    resources: Mapping[str, RecordedResource]
    intents: Mapping[str, Intent]
    removed_resources: tuple[str, ...]
    removed_intents: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.resources or self.intents or self.removed_resources or self.removed_intents)


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """How the resources and intents of `after` differ from those of `before`; who wrote them does not count.

    Costs as much as there are changes when one was made from the other. 1, 1.0 and true are three values.
    """
    resources, removed_resources = _changes(before.resources, after.resources)
    intents, removed_intents = _changes(before.intents, after.intents)
    return Difference(resources, intents, removed_resources, removed_intents)


def _changes(
    before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> tuple[dict[str, Entry], tuple[str, ...]]:
    touched = _shared(after).touched_since(_shared(before))
    changed = {
        key: after[key]
        for key in touched
        if key in after and not (key in before and _same(before[key], after[key]))
    }
    return changed, tuple(key for key in touched if key not in after)


def _same(one: Entry, other: Entry) -> bool:
    return one == other and all(
        _same_types(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__
    )


def _same_types(one: JSON, other: JSON) -> bool:
    """For two values that are equal: are they the same JSON, too? Python has 1 == 1.0 == True."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same_types(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return all(map(_same_types, one, other))
    return type(one) is type(other)


def _copied(value: JSON) -> JSON:
    """Plain dicts and lists of their own, all the way down; what is no JSON stays for `verify` to find."""
    if isinstance(value, str | int | None):  # most are, and asking whether it is a Mapping takes long
        return value
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _shared(entries: Mapping[str, Entry]) -> SharedMap[Entry]:
    return entries if isinstance(entries, SharedMap) else SharedMap(entries)
