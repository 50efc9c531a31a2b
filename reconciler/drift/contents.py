"""What a finding stands for: values that it does not show, of its object and of those below. Pure.

An object that was deleted outside is one finding, with the id that it had. Its fields, and the objects that
went with it, have no findings of their own. A tag that was moved is null, wherever it points. An
acknowledgement is for all of these values, too.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from providers.json_value import JSON
from reconciler.core.diff import Change, same
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import ReasonCode, RefusalCode
from reconciler.core.values import MISSING, Address, NoValue
from state.snapshot import Snapshot

_WHOLE = frozenset({Action.CREATE, Action.DELETE, Action.FORGET})
"""Actions on a whole object, which are one finding instead of one per field."""
_NOT_IN_FILES = frozenset({ReasonCode.CARRIED_OVER, ReasonCode.CREATE_DEFAULT})


class Contents(Struct, frozen=True):
    """Digests of all values that a finding stands for.

    Attributes:
        desired: of the values in the files.
        live: of those of the provider, and of the stack that claims the object.
        is_as_applied: whether the files have what was applied last, beside the field of the finding.
    """

    desired: str
    live: str
    is_as_applied: bool


def digest(value: JSON | NoValue) -> str:
    """The digest of a value, `sha256:…`; MISSING and ABSENT have one, too."""
    return f"sha256:{hashlib.sha256(json.dumps(_document(value), sort_keys=True).encode()).hexdigest()}"


def is_one_finding(step: Step) -> bool:
    """Whether a step has one finding about its object, and none about a field of it."""
    exists = step.action is Action.CREATE and step.id is not None  # it is created again with its parent
    return is_claimed(step) or (step.action in _WHOLE and not exists)


def is_claimed(step: Step) -> bool:
    """Whether the object belongs to another stack."""
    return step.refusal is not None and step.refusal.reason.code is RefusalCode.CLAIMED


def field_contents(change: Change, version: JSON) -> Contents:
    """The contents for a change of a field whose live value does not tell all versions of the object apart.

    Args:
        version: of the live object.
    """
    expected = change.recorded if change.desired is MISSING else change.desired
    return Contents(digest(expected), digest([_document(change.live), version]), is_as_applied=True)


def object_contents(change: Change, step: Step, others: Sequence[Step]) -> Contents:
    """The contents for a change of a whole object.

    Args:
        step: the step of the object.
        others: the steps of other objects that have no finding, as this one stands for them.
    """
    steps = (step, *others) if is_one_finding(step) else others
    fields = [
        (str(one.address), field)
        for one in steps
        for field in one.changes
        if field.path and field.reason.code not in _NOT_IN_FILES
    ]
    objects = [(str(one.address), one.fingerprint) for one in steps if not any(c.path for c in one.changes)]
    recorded_id, claimed_by = _document(change.recorded), change.reason.details.get("stack", "")
    return Contents(
        desired=digest(
            [recorded_id, _document(change.desired), [(a, c.path, _document(c.desired)) for a, c in fields]]
        ),
        live=digest(
            [claimed_by, objects, _document(change.live), [(a, c.path, _document(c.live)) for a, c in fields]]
        ),
        is_as_applied=all(same(field.desired, field.recorded) for _, field in fields),
    )


def orphan_contents(state: Snapshot, declared: str, twin: str) -> Contents:
    """The contents of a stack without a folder: what state has of it, as nothing of it is read.

    Args:
        declared: the stack that its folder declares now.
        twin: the stack that has the same history.
    """
    resources = [(address, one.id, one.inputs) for address, one in sorted(state.resources.items())]
    intents = [(address, one.verb, one.id, one.fields) for address, one in sorted(state.intents.items())]
    return Contents(digest([declared, twin]), digest([resources, intents]), is_as_applied=False)


def steps_without_finding(plan: Plan, parents: Mapping[Address, Address | None]) -> dict[Address, Address]:
    """Address -> the address whose finding stands for it, for steps without one of their own.

    Args:
        parents: address -> its parent.
    """
    claimed = {step.address for step in plan.claimed}
    of_claimed = {address: parent for address, parent in parents.items() if parent in claimed}
    above = {**plan.lost_with_parent, **of_claimed}

    def top(address: Address) -> Address:
        return top(above[address]) if address in above else address

    return {address: top(address) for address in above}


def _document(value: JSON | NoValue) -> JSON:
    return {"nothing": value.value} if isinstance(value, NoValue) else {"value": value}
