"""A plan that was saved in a file, held against the plan of now: what has moved in between? Pure.

A saved plan is applied by making it again with the same wishes and comparing the two. What is the same in
both is what the user saw and approved.
"""

from dataclasses import dataclass

from providers.reasons import Reason
from reconciler.core.diff import Change, same
from reconciler.core.plan import Plan, Step
from reconciler.core.values import ABSENT, JSON, MISSING, Address, NoValue


@dataclass(frozen=True, slots=True)
class StaleField:
    """One field that is not what the saved plan relied on; the path "" stands for the object as a whole.

    Attributes:
        said, now: its live value then and now; reasons of the step where no managed field differs.
    """

    path: str
    said: JSON | NoValue | Reason
    now: JSON | NoValue | Reason


@dataclass(frozen=True, slots=True)
class StaleStep:
    """One resource whose step would not be what the saved plan said."""

    address: Address
    fields: tuple[StaleField, ...]


def refusal(saved: Plan, now: Plan) -> str:
    """Why the saved plan is not one for these files and this record at all; "" when it is."""
    if saved.stack != now.stack:
        return (
            f"it is a plan for {saved.stack} at {saved.stack.host}, not for {now.stack} at {now.stack.host}"
        )
    if saved.sources != now.sources:
        return "config.toml, the classes or the image's source changed since it was made"
    if saved.lineage and now.lineage and saved.lineage != now.lineage:
        return "it was made from another record: that one was lost or replaced since"
    return ""


def stale_steps(saved: Plan, now: Plan) -> tuple[StaleStep, ...]:
    """Every step that differs, in the order of the plan of now, then those that only the saved plan has."""
    found = []
    for address in dict.fromkeys([*(s.address for s in now.steps), *(s.address for s in saved.steps)]):
        before, after = saved.step(address), now.step(address)
        if before is None or after is None:
            found.append(StaleStep(address, (StaleField("", _existence(before), _existence(after)),)))
        elif _decision(before) != _decision(after):
            found.append(StaleStep(address, _fields(before, after)))
    return tuple(found)


def _decision(step: Step) -> tuple[object, ...]:
    """What makes two steps the same: what is done, to what object, and what is written."""
    written = [(change.path, repr(change.desired)) for change in step.changes if change.write]
    return step.action, step.id, step.fingerprint, tuple(sorted(written))


def _fields(before: Step, after: Step) -> tuple[StaleField, ...]:
    said, now = _live(before), _live(after)
    if before.id != after.id and (before.id is None or after.id is None):
        return (StaleField("", _existence(before), _existence(after)),)
    differing = [
        StaleField(path, said.get(path, MISSING), now.get(path, MISSING))
        for path in sorted(said.keys() | now.keys())
        if not same(said.get(path, MISSING), now.get(path, MISSING))
    ]
    if before.id != after.id:
        differing.insert(0, StaleField("", before.id, after.id))
    # Nothing that is managed differs: what is not managed did, or the record.
    return tuple(differing) or (StaleField("", before.reason, after.reason),)


def _live(step: Step) -> dict[str, JSON | NoValue]:
    changes: tuple[Change, ...] = step.changes
    return {change.path: change.live for change in changes if change.path}


def _existence(step: Step | None) -> JSON | NoValue:
    return ABSENT if step is None or step.id is None else step.id
