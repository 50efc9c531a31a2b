"""The numbered invariants of state, checked after reading and before saving.

Pure. A violation in stored state is corruption; in new state it is a bug in reconciler. Both are reported,
and nothing is repaired silently.

    I1   the stack has a name
    I2   the lineage is set
    I3   the serial is an integer, 0 or more
    I4   version and time of writing are set after the first save
    I5   every entry is stored under its own address
    I6   every address is `kind/name`, percent-encoded, without blanks
    I7   the kind of a resource is the first part of its address
    I8   a recorded resource has an id
    I9   a resource depends on recorded resources only, once on each
    I10  no resource depends on itself, directly or indirectly
    I11  an intent is a create, an update, a delete or a replace
    I12  an intent to update or delete has the id of its object
    I13  times are ISO 8601 with their offset from UTC
    I14  values are plain JSON: no NaN, no infinity, no Python objects
    I15  no field has the name of a secret
    I16  the outcome of the run is a known one, and a rollback restores an earlier serial
    I17  no other stack of the store has the lineage
    I18  no resource of the stack is claimed in the name of a stack that does not have it
    I19  no two resources of a kind have one id, where an id identifies an object
"""

import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import get_args

from state.snapshot import JSON, OUTCOMES, Difference, Intent, RecordedResource, Snapshot, Verb, difference
from state.typed_fields import is_time

_ADDRESS = re.compile(r"[a-z][a-z0-9-]*(/([^\s/%\x00-\x1f\x7f]|%[0-9A-Fa-f]{2})+)+")
_SECRET = re.compile(
    r"(.*_)?(token|password|passwd|secret|secret_key|access_key|api_?key|private_key|credentials?|authorization)"
)

_PLAIN = frozenset([str, int, bool])
_TEXT = frozenset([str])


def verify(snapshot: Snapshot, *, since: Snapshot | None = None) -> list[str]:
    """The broken invariants, each as `I7 address: problem`; empty for valid state.

    Args:
        since: an earlier snapshot known to be valid. Only the changes since are checked then; the result is
            the same and the cost grows with the number of changes.
    """
    if since is not None:
        changed = difference(since, snapshot)
    else:
        changed = Difference(snapshot.resources, snapshot.intents, (), ())
    problems = list(_header(snapshot))
    for key, resource in changed.resources.items():
        problems += _key(key, resource)
        problems += _resource(resource)
    for key, intent in changed.intents.items():
        problems += _key(key, intent)
        problems += _intent(intent)
    return problems + list(_edges(snapshot, since, changed))


def verify_name(others: Iterable[str]) -> list[str]:
    """The broken invariants of a stack among others, as `verify` has them.

    Args:
        others: the other stacks with resources in the same store that have the lineage of this one.
    """
    return [f"I17 the lineage is that of {other}, too" for other in others]


def verify_claims(claimed: Mapping[str, str]) -> list[str]:
    """The broken invariants of the claims of a stack; empty if there are none.

    Args:
        claimed: address of each resource of the stack that another one claims, which does not have it -> that
            other stack.
    """
    return [f"I18 {address}: claimed by {name}, which does not have it" for address, name in claimed.items()]


def verify_ids(snapshot: Snapshot, kinds: Collection[str]) -> list[str]:
    """The resources that have the id of another one; empty if there are none.

    A run that is killed may leave that, and earlier versions left it after a rename; the next apply mends it.

    Args:
        kinds: those whose ids identify an object on their own.
    """
    owners: dict[tuple[str, str], str] = {}
    resources = sorted(snapshot.resources.values(), key=lambda one: one.address)
    return [
        f"I19 {one.address}: has the id of {owner}"
        for one in resources
        if one.kind in kinds and (owner := owners.setdefault((one.kind, one.id), one.address)) != one.address
    ]


def _header(snapshot: Snapshot) -> Iterator[str]:
    if not snapshot.stack:
        yield "I1 the stack has no name"
    if not snapshot.lineage:
        yield "I2 the lineage is missing"
    if type(snapshot.serial) is not int or snapshot.serial < 0:
        yield f"I3 the serial is {snapshot.serial!r}, not an integer of 0 or more"
    elif snapshot.serial > 0 and not (snapshot.written_by and snapshot.written_at):
        yield "I4 the version or the time of writing is missing"
    if snapshot.outcome not in OUTCOMES:
        yield f"I16 the outcome is {snapshot.outcome!r}, not one of {', '.join(filter(None, OUTCOMES))}"
    if type(snapshot.restores) is not int or not 0 <= snapshot.restores <= max(snapshot.serial, 0):
        yield f"I16 it restores the serial {snapshot.restores!r}, which is no earlier one"
    if snapshot.written_at and not is_time(snapshot.written_at):
        yield f"I13 written_at is {snapshot.written_at!r}, not a time with its offset from UTC"


def _key(key: str, entry: RecordedResource | Intent) -> Iterator[str]:
    if key != entry.address:
        yield f"I5 {key}: contains the entry of {entry.address}"


def _resource(resource: RecordedResource) -> Iterator[str]:
    address = resource.address
    if not _ADDRESS.fullmatch(address):
        yield f"I6 {address!r}: not an address"
    elif resource.kind != address.partition("/")[0]:
        yield f"I7 {address}: its kind is {resource.kind!r}"
    if not resource.id:
        yield f"I8 {address}: has no id"
    yield from _fields(address, "inputs", resource.inputs)
    yield from _fields(address, "outputs", resource.outputs)


def _intent(intent: Intent) -> Iterator[str]:
    address = intent.address
    if not _ADDRESS.fullmatch(address):
        yield f"I6 {address!r}: not an address"
    if intent.verb not in get_args(Verb):
        yield f"I11 {address}: the intent is to {intent.verb!r}"
    elif intent.verb in ("update", "delete") and not intent.id:
        yield f"I12 {address}: the intent to {intent.verb} has no id"
    if not is_time(intent.since):
        yield f"I13 {address}: open since {intent.since!r}, not a time with its offset from UTC"
    yield from _fields(address, "fields", intent.fields)
    yield from _fields(address, "kept", intent.kept)


def _fields(address: str, where: str, fields: Mapping[str, JSON]) -> Iterator[str]:
    if not _is_plain(fields):
        for path in _foreign(fields, where):
            yield f"I14 {address}: {path} is not plain JSON"
    # Only the field names of the kinds: nested names are the user's own parameters, and one called eos_token
    # must not stop an apply halfway.
    for name in fields:
        if _is_secret(str(name)):
            yield f"I15 {address}: {where}.{name} has the name of a secret"


@lru_cache(maxsize=1000)  # the field names of the kinds repeat
def _is_secret(name: str) -> bool:
    return _SECRET.fullmatch(name.lower().replace("-", "_")) is not None


def _is_plain(value: JSON) -> bool:
    """Whether `_foreign` finds nothing, computed many times faster."""
    if type(value) is dict:
        if set(map(type, value)) - _TEXT:
            return False
        return set(map(type, value.values())) <= _PLAIN or all(map(_is_plain, value.values()))
    if type(value) is list:
        return all(map(_is_plain, value))
    return value is None or type(value) in _PLAIN or (type(value) is float and math.isfinite(value))


def _foreign(value: JSON, path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _foreign(item, f"{path}.{key}")
            else:
                yield f"{path}.{key!r}"
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _foreign(item, f"{path}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path
    elif value is not None and type(value) not in (bool, int, str):
        yield path


def _edges(snapshot: Snapshot, since: Snapshot | None, changed: Difference) -> Iterator[str]:
    resources = snapshot.resources
    # A removal breaks the invariant of unchanged dependants too.
    candidates = resources.values() if changed.removed_resources else changed.resources.values()
    for resource in candidates:
        missing = sorted({other for other in resource.depends_on if other not in resources})
        if missing:
            yield f"I9 {resource.address}: depends on {', '.join(missing)}, which the state does not contain"
        if len(set(resource.depends_on)) != len(resource.depends_on):
            yield f"I9 {resource.address}: lists a dependency twice"
    earlier = since.resources if since else {}
    with_new_edges = [
        r
        for r in changed.resources.values()
        if r.address not in earlier or earlier[r.address].depends_on != r.depends_on
    ]
    # A new cycle contains a new edge. If all new edges start at new resources, a cycle consists of new
    # resources only, as no earlier resource depends on them.
    if all(resource.address not in earlier for resource in with_new_edges):
        nodes = {resource.address: resource for resource in with_new_edges}
    else:
        nodes = _reachable(with_new_edges, resources)
    try:
        TopologicalSorter({a: [o for o in r.depends_on if o in nodes] for a, r in nodes.items()}).prepare()
    except CycleError as error:
        yield f"I10 {error.args[1][0]}: depends on itself: {' -> '.join(reversed(error.args[1]))}"


def _reachable(
    starts: Iterable[RecordedResource], resources: Mapping[str, RecordedResource]
) -> dict[str, RecordedResource]:
    found: dict[str, RecordedResource] = {}
    pending = list(starts)
    while pending:
        resource = pending.pop()
        if resource.address not in found:
            found[resource.address] = resource
            pending += [resources[other] for other in resource.depends_on if other in resources]
    return found
