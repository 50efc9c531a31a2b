"""Settling writes that an earlier run left open: what did the far end make of them? Pure.

A run that died between sending and recording leaves an intent. Comparing it with what is live now says
whether the write was carried out, without asking anybody.
"""

from collections.abc import Mapping
from dataclasses import replace

from providers.protocol import KindFacts, LiveObject
from providers.rules import FieldRule
from reconciler.core.diff import ChangeClass, compare, normalised, normalised_live, same
from reconciler.core.remote import RemoteState
from reconciler.core.values import JSON, MISSING, Address, NoValue
from state.snapshot import Intent, RecordedResource, Snapshot


def settle(snapshot: Snapshot, remote_state: RemoteState, facts: Mapping[str, KindFacts]) -> Snapshot:
    """The record with every intent closed that live answers for; the others stay open.

    - create: the object is there and equal to what was sent: it was carried out, and is recorded. It is not
      there: it was not carried out. It is there and differs: whose it is cannot be told, so the intent stays
      open, the planner makes it a conflict, and applying what the user says of it closes the intent.
    - update: each field that live has as it was sent was carried out; the others stay as they were recorded.
    - delete: gone means carried out.
    - replace: as a delete as long as the old object's id is in it; nothing else was sent by then. From its
      deletion on it is as a create, but stays open while the new object is not there: what that gets is
      nowhere else, see `unfinished_replaces`. It also stays open while the new object has values that
      `--theirs` kept, so that the next run finds the conflict again: see `keeps_live_values`.
    """
    for text, intent in snapshot.intents.items():
        address = Address.parse(text)
        if address not in remote_state.asked or address in remote_state.unreadable:
            continue
        live = remote_state.found.get(address)
        if _is_contested(intent, live, facts[address.kind]):
            continue
        if intent.verb == "replace" and live is None:
            snapshot = snapshot.without_resource(text).with_intent(replace(intent, id=None))
            continue
        before = snapshot.resources.get(text)
        record = _settled(before, intent, live, facts[address.kind])
        if live is not None and keeps_live_values(intent):
            if before is not None and before.id == live.id:
                continue
        else:
            snapshot = snapshot.without_intent(text)
        snapshot = snapshot.without_resource(text) if record is None else snapshot.with_resource(record)
    return snapshot


def contested(settled: Snapshot, remote_state: RemoteState) -> set[Address]:
    """The resources whose creation is open although an object of that name is there."""
    return {address for text in settled.intents if (address := Address.parse(text)) in remote_state.found}


def unfinished_replaces(settled: Snapshot, remote_state: RemoteState) -> dict[Address, Intent]:
    """The resources that an earlier run deleted to make them again and did not, with what it was to send."""
    return {
        address: intent
        for text, intent in settled.intents.items()
        if intent.verb == "replace"
        and intent.id is None
        and (address := Address.parse(text)) not in remote_state.found
    }


def _is_contested(intent: Intent, live: LiveObject | None, kind: KindFacts) -> bool:
    """Whether this may be ours or somebody else's. A kind that judges by content knows its own."""
    return creates(intent) and live is not None and kind.assess is None and not _as_sent(intent, live, kind)


def _settled(
    record: RecordedResource | None, intent: Intent, live: LiveObject | None, kind: KindFacts
) -> RecordedResource | None:
    match intent.verb:
        case _ if creates(intent):
            if live is None or not _as_sent(intent, live, kind):
                return record
            return RecordedResource(
                intent.address, Address.parse(intent.address).kind, live.id, intent.fields, live.outputs
            )
        case "update" if record is not None and live is not None:
            taken = {
                name: value
                for name, value in intent.fields.items()
                if _was_applied(value, live.fields.get(name, MISSING), kind.rules[name])
            }
            return replace(record, inputs={**record.inputs, **taken})
        case "delete" if live is None:
            return None
    return record


def keeps_live_values(intent: Intent) -> bool:
    """Whether it made an object with live values in place of the files', as `--theirs` keeps them.

    Only the open intent has that: by the record alone the next run would take them for a change of the files.
    """
    return creates(intent) and not intent.kept.keys().isdisjoint(intent.fields)


def creates(intent: Intent) -> bool:
    """Whether what was sent, if anything was, is a create."""
    return intent.verb == "create" or (intent.verb == "replace" and intent.id is None)


def _was_applied(sent: JSON, live: JSON | NoValue, rule: FieldRule) -> bool:
    sent = normalised(sent, rule)
    return same(normalised_live(live, rule, sent), sent)


def _as_sent(intent: Intent, live: LiveObject, kind: KindFacts) -> bool:
    changes = compare(intent.fields, None, live.fields, kind.rules)
    return all(c.cls in (ChangeClass.CONVERGED, ChangeClass.UNVERIFIED) for c in changes)
