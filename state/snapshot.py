"""The state of one stack as pure values: recorded resources and open intents.

A store keeps it; the planner compares it with desired and live. Every change returns a new snapshot. Nothing
here reads a file, a clock or the environment.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, Literal, TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from state.persistent_map import PersistentMap

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
"""A JSON value. Read-only, so that a `dict[str, str]` is one."""
UncheckedJSON: TypeAlias = Any
"""Parsed JSON of a shape that is not checked yet."""
UNKNOWN: Final = ""
APPLIED: Final = "applied"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
PARTIAL: Final = "partial"
OUTCOMES: Final = (UNKNOWN, APPLIED, FAILED, INTERRUPTED, PARTIAL)
"""How the run that saved a state ended. Every save but the last of a run says interrupted, as a run that is
killed does not come to its last one. A partial state need not have all that ran: every step of the run
succeeded, but targets left out what the files declare, or the state alone was changed. Format versions before
4 do not say it: unknown."""
Verb = Literal["create", "update", "delete", "replace"]
Entry = TypeVar("Entry", "RecordedResource", "Intent")


class RecordedResource(Struct, frozen=True):
    """One resource as last applied and acknowledged.

    Attributes:
        address: `kind/name`.
        kind: the first part of the address.
        id: the provider's identity of the object.
        inputs: the managed fields as last applied. Copied, so later changes to the argument have no effect.
        outputs: facts beside the managed fields (digest, page in the web application). Copied too.
        depends_on: addresses of recorded resources that must exist before this one.
    """

    address: str
    kind: str
    id: str
    inputs: Mapping[str, JSON]
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "inputs", _copied(self.inputs))
        force_setattr(self, "outputs", _copied(self.outputs))


class Intent(Struct, frozen=True):
    """A write that a run announced and whose outcome is not recorded yet.

    Attributes:
        address: address of the resource; at most one intent is open per address.
        verb: the kind of write.
        id: the provider's identity of the object; None for a create. For a replace it is the id of the old
            object, and None once that object is deleted and only the create remains.
        fields: the fields to write. Copied.
        since: time of the announcement, ISO 8601 with its offset from UTC.
        run: id of the run, for the messages of later runs.
        kept: the fields that a replace carries over from the old object: unmanaged ones, and managed ones
            that the user leaves to the platform. Copied.
    """

    address: str
    verb: Verb
    id: str | None
    fields: Mapping[str, JSON]
    since: str
    run: str
    kept: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        force_setattr(self, "fields", _copied(self.fields))
        force_setattr(self, "kept", _copied(self.kept))


class Snapshot(Struct, frozen=True):
    """The state of one stack at one serial.

    Attributes:
        stack: name of the stack: `my-org@STAGING/my_pipeline`.
        lineage: random id from the first save; states of different lineage have no common history.
        serial: 0 before the first save; each save adds one.
        resources: recorded resources by address.
        intents: open writes by address.
        written_by: version of the reconciler that wrote it; "" before the first save.
        outcome: how the run that saved it ended, one of `OUTCOMES`.
        restores: the serial that the run restored, if it was a rollback; 0 otherwise.
        written_at: time of the save, ISO 8601 with its offset from UTC; "" before the first save.
    """

    stack: str
    lineage: str
    serial: int
    resources: Mapping[str, RecordedResource] = field(default_factory=PersistentMap)
    intents: Mapping[str, Intent] = field(default_factory=PersistentMap)
    written_by: str = ""
    written_at: str = ""
    outcome: str = UNKNOWN
    restores: int = 0

    def __post_init__(self) -> None:
        force_setattr(self, "resources", _as_map(self.resources))
        force_setattr(self, "intents", _as_map(self.intents))

    @classmethod
    def new(cls, stack: str, lineage: str) -> "Snapshot":
        """The empty state of a stack that was never applied."""
        return cls(stack=stack, lineage=lineage, serial=0)

    def with_resource(self, resource: RecordedResource) -> "Snapshot":
        return replace(self, resources=_as_map(self.resources).put(resource.address, resource))

    def without_resource(self, *addresses: str) -> "Snapshot":
        """Drops the resources and every dependency on them."""
        resources, dropped = _as_map(self.resources), frozenset(addresses)
        for address in addresses:
            resources = resources.drop(address)
        for dependant in resources.values():
            if not dropped.isdisjoint(dependant.depends_on):
                kept = tuple(other for other in dependant.depends_on if other not in dropped)
                resources = resources.put(dependant.address, replace(dependant, depends_on=kept))
        return replace(self, resources=resources)

    def with_intent(self, intent: Intent) -> "Snapshot":
        """Opens an intent, replacing an open one for the same address."""
        return replace(self, intents=_as_map(self.intents).put(intent.address, intent))

    def without_intent(self, address: str) -> "Snapshot":
        return replace(self, intents=_as_map(self.intents).drop(address))

    def changed_alone(self) -> "Snapshot":
        """The same content after a change of the state alone, so not the result of a run."""
        return replace(self, outcome=PARTIAL, restores=0)

    def with_addresses(self, present: Callable[[str], str]) -> "Snapshot":
        """The same content with other addresses. If two become one, the entry that has it already counts.

        Args:
            present: returns the address to use instead of one.
        """
        if all(present(address) == address for address in chain(self.resources, self.intents)):
            return self
        before = {*self.resources, *self.intents}
        resources = {
            present(address): replace(
                one, address=present(address), depends_on=tuple(dict.fromkeys(map(present, one.depends_on)))
            )
            for address, one in self.resources.items()
            if present(address) == address or present(address) not in before
        }
        intents = {
            present(address): replace(one, address=present(address))
            for address, one in self.intents.items()
            if present(address) == address or present(address) not in before
        }
        return replace(self, resources=_as_map(resources), intents=_as_map(intents))

    def written(self, *, serial: int, by: str, at: str) -> "Snapshot":
        """The same content under another serial, written by this version at this time."""
        return replace(self, serial=serial, written_by=by, written_at=at)


class Difference(Struct, frozen=True):
    """The entries to change and remove to turn one snapshot into another. False if there are none."""

    resources: Mapping[str, RecordedResource]
    intents: Mapping[str, Intent]
    removed_resources: tuple[str, ...]
    removed_intents: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.resources or self.intents or self.removed_resources or self.removed_intents)


def difference(before: Snapshot, after: Snapshot) -> Difference:
    """The differences in resources and intents; version and time of writing are not compared.

    The cost grows with the number of changes if one snapshot derives from the other. 1, 1.0 and true are
    three different values.
    """
    resources, removed_resources = _changes(before.resources, after.resources)
    intents, removed_intents = _changes(before.intents, after.intents)
    return Difference(resources, intents, removed_resources, removed_intents)


def _changes(
    before: Mapping[str, Entry], after: Mapping[str, Entry]
) -> tuple[dict[str, Entry], tuple[str, ...]]:
    candidates = _as_map(after).keys_changed_since(_as_map(before))
    changed = {
        key: after[key]
        for key in candidates
        if key in after and not (key in before and _same(before[key], after[key]))
    }
    return changed, tuple(key for key in candidates if key not in after)


def _same(one: Entry, other: Entry) -> bool:
    return one == other and all(
        _same_types(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__
    )


def _same_types(one: JSON, other: JSON) -> bool:
    """Whether two equal values are also the same JSON: in Python, 1 == 1.0 == True."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_same_types(item, other[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return all(map(_same_types, one, other))
    return type(one) is type(other)


def _copied(value: JSON) -> JSON:
    """A deep copy in plain dicts and lists; values that are not JSON are left for `verify` to report."""
    if isinstance(value, str | int | None):  # the common case; the check for a Mapping is slow
        return value
    if isinstance(value, Mapping):  # most values of a table are text
        return {key: item if type(item) is str else _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return value


def _as_map(entries: Mapping[str, Entry]) -> PersistentMap[Entry]:
    return entries if isinstance(entries, PersistentMap) else PersistentMap(entries)
