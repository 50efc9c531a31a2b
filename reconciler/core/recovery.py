"""Settles writes that an earlier run left open. Pure.

A run that is killed after sending a write and before saving its result leaves an intent in state. Comparing
the intent with the live object shows whether the write was carried out.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from providers.json_value import JSON
from providers.protocol import KindFacts, LiveObject
from providers.rules import FieldRule
from reconciler.core.diff import ChangeClass, compare, normalised, normalised_live, same
from reconciler.core.graph import Graph
from reconciler.core.remote import RemoteState, parent_of
from reconciler.core.values import MISSING, Address, NoValue
from state.snapshot import Intent, RecordedResource, Snapshot


def settle(
    snapshot: Snapshot,
    remote_state: RemoteState,
    facts: Mapping[str, KindFacts],
    desired: Graph | None = None,
) -> Snapshot:
    """The state with every intent closed that the live objects settle; the others stay open.

    An intent does not have the dependencies of a resource, so those of `desired` are recorded. One that needs
    no answer is closed without one: see `needs_answer`.

    - create: If the object exists and equals the intent, the create was carried out and is recorded. Recorded
      children that do not exist went with the object before it. If the object does not exist, it was not
      carried out. If the object exists and differs, its origin is unknown: the intent stays open, the planner
      reports a conflict, and applying the user's decision closes it. If it is no longer desired, it is
      forgotten, which closes it, too.
    - update: Fields whose live value equals the intent were written and are recorded. Other fields keep their
      recorded values.
    - delete: If the object does not exist, the delete was carried out.
    - replace: Like a delete while the intent has the id of the old object, as nothing else was sent yet.
      After the deletion like a create, but the intent stays open while the new object does not exist, because
      only the intent has its fields: see `unfinished_replaces`. It also stays open while the new object has
      values kept by `--theirs`, so that the next run finds the conflict again: see `keeps_live_values`.
    """
    desired = Graph() if desired is None else desired
    settled: list[Address] = []
    for text, intent in snapshot.intents.items():
        address = Address.parse(text)
        if not needs_answer(address, facts, desired):
            snapshot = snapshot.without_intent(text)
            continue
        if address not in remote_state.requested or address in remote_state.unreadable:
            continue
        live = remote_state.found.get(address)
        if _is_contested(intent, live, facts[address.kind]):
            continue
        if intent.verb == "replace" and live is None:
            snapshot = snapshot.without_resource(text).with_intent(replace(intent, id=None))
            continue
        before = snapshot.resources.get(text)
        after = _settled_resource(before, intent, live, facts[address.kind])
        if live is not None and keeps_live_values(intent):
            if before is not None and before.id == live.id:
                continue
        else:
            snapshot = snapshot.without_intent(text)
        snapshot = snapshot.without_resource(text) if after is None else snapshot.with_resource(after)
        if before is not None and after is not None and before.id != after.id:
            lost = _missing_children(address, snapshot, remote_state, facts)
            snapshot = snapshot.without_resource(*lost)
        settled.append(address)
    return _with_dependencies(snapshot, settled, facts, desired)


def needs_answer(address: Address, facts: Mapping[str, KindFacts], desired: Graph) -> bool:
    """Whether it matters if an open write was carried out.

    An image that left the files does not even have to be read: it is never deleted, whoever pushed it, and
    nothing runs it before it is recorded. Its registry may be the reason why it left.
    """
    return address in desired or facts[address.kind].prunable


def _missing_children(
    parent: Address, snapshot: Snapshot, remote_state: RemoteState, facts: Mapping[str, KindFacts]
) -> list[str]:
    """The recorded children that do not exist."""
    missing = set(remote_state.requested) - remote_state.found.keys() - remote_state.unreadable.keys()
    return [
        text
        for text in snapshot.resources
        if (child := Address.parse(text)) in missing and parent_of(child, facts[child.kind]) == parent
    ]


def _with_dependencies(
    snapshot: Snapshot, settled: Sequence[Address], facts: Mapping[str, KindFacts], desired: Graph
) -> Snapshot:
    """The settled resources with all that they depend on, as far as it is recorded: always their parent."""
    for address in settled:
        recorded, resource = snapshot.resources.get(str(address)), desired.get(address)
        if recorded is None:
            continue
        parent = facts[address.kind].parent
        needs = [str(Address(parent, address.name[:-1]))] if parent is not None else []
        needs += recorded.depends_on if resource is None else map(str, resource.depends_on)
        depends_on = tuple(one for one in dict.fromkeys(needs) if one in snapshot.resources)
        snapshot = snapshot.with_resource(replace(recorded, depends_on=depends_on))
    return snapshot


def contested(settled: Snapshot, remote_state: RemoteState) -> set[Address]:
    """The resources with an open create although an object of that name exists."""
    return {address for text in settled.intents if (address := Address.parse(text)) in remote_state.found}


def unfinished_replaces(settled: Snapshot, remote_state: RemoteState) -> dict[Address, Intent]:
    """The resources that an earlier run deleted for a replace and did not create again."""
    return {
        address: intent
        for text, intent in settled.intents.items()
        if intent.verb == "replace"
        and intent.id is None
        and (address := Address.parse(text)) not in remote_state.found
    }


def _is_contested(intent: Intent, live: LiveObject | None, kind: KindFacts) -> bool:
    """Whether the origin of the live object is unknown. Kinds with an assessment compare content instead."""
    return (
        creates(intent)
        and live is not None
        and kind.assess is None
        and not _equals_intent(intent, live, kind)
    )


def _settled_resource(
    recorded: RecordedResource | None, intent: Intent, live: LiveObject | None, kind: KindFacts
) -> RecordedResource | None:
    match intent.verb:
        case _ if creates(intent):
            if live is None or not _equals_intent(intent, live, kind):
                return recorded
            return RecordedResource(
                intent.address, Address.parse(intent.address).kind, live.id, intent.fields, live.outputs
            )
        case "update" if recorded is not None and live is not None:
            written = {
                name: value
                for name, value in intent.fields.items()
                if _was_written(value, live.fields.get(name, MISSING), kind.rules[name])
            }
            return replace(recorded, inputs={**recorded.inputs, **written})
        case "delete" if live is None:
            return None
    return recorded


def keeps_live_values(intent: Intent) -> bool:
    """Whether the new object has live values that `--theirs` kept, instead of the files' values.

    Only the open intent has this fact. Without it, the next run would see a change of the files.
    """
    return creates(intent) and not intent.kept.keys().isdisjoint(intent.fields)


def creates(intent: Intent) -> bool:
    """Whether the open write is a create, on its own or as the second half of a replace."""
    return intent.verb == "create" or (intent.verb == "replace" and intent.id is None)


def _was_written(sent: JSON, live: JSON | NoValue, rule: FieldRule) -> bool:
    desired = normalised(sent, rule)
    return same(normalised_live(live, rule, desired), desired)


def _equals_intent(intent: Intent, live: LiveObject, kind: KindFacts) -> bool:
    changes = compare(intent.fields, None, live.fields, kind.rules)
    return all(c.cls in (ChangeClass.CONVERGED, ChangeClass.UNVERIFIED) for c in changes)
