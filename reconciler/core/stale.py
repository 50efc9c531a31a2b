"""Compares a saved plan with the present one, to find steps that changed in between. Pure.

`apply --plan` plans again with the options of the saved plan and compares the two. Steps that are equal in
both are the ones that the user saw and approved.
"""

from collections.abc import Collection
from enum import StrEnum

from msgspec import Struct

from providers.json_value import JSON
from providers.reasons import Reason
from reconciler.core.diff import Change, same
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.values import ABSENT, MISSING, Address, NoValue


class StaleField(Struct, frozen=True):
    """One field that changed after the plan was saved.

    Attributes:
        path: the field; "" for the whole object.
        saved, current: the live value in each plan. If no managed field differs, the reason of each step.
    """

    path: str
    saved: JSON | NoValue | Reason
    current: JSON | NoValue | Reason


class StaleStep(Struct, frozen=True):
    """One resource whose step differs from the saved plan."""

    address: Address
    fields: tuple[StaleField, ...]


class PlanMismatch(StrEnum):
    """Why a saved plan cannot be applied at all."""

    OTHER_STACK = "other-stack"  # `saved` and `current`, with `saved_host` and `current_host`
    FILES_CHANGED = "files-changed"
    OTHER_VERSION = "other-version"  # `saved` and `current`: the versions of the image
    OTHER_STATE = "other-state"
    OTHER_IMAGE = "other-image"  # the `source` of a promotion ran `saved`, and runs `current`


def plan_mismatch(saved: Plan, current: Plan) -> Reason | None:
    """Why the saved plan cannot be applied to the present files and state; None if it can."""
    if (str(saved.stack), saved.stack.host) != (str(current.stack), current.stack.host):
        return Reason(
            PlanMismatch.OTHER_STACK,
            {
                "saved": str(saved.stack),
                "saved_host": saved.stack.host,
                "current": str(current.stack),
                "current_host": current.stack.host,
            },
        )
    # Before the files: a promotion compares them with the image of its source.
    if (then := saved.promotion) and (now := current.promotion) and then.source.digest != now.source.digest:
        return Reason(
            PlanMismatch.OTHER_IMAGE,
            {
                "source": now.source.environment,
                "saved": f"{then.source.version} ({then.source.digest[:19]})",
                "current": f"{now.source.version} ({now.source.digest[:19]})",
            },
        )
    if saved.sources != current.sources:
        versions = [_version(plan) for plan in (saved, current)]
        if saved.request.get("bump") and None not in versions and versions[0] != versions[1]:
            return Reason(PlanMismatch.OTHER_VERSION, dict(zip(("saved", "current"), versions, strict=True)))
        return Reason(PlanMismatch.FILES_CHANGED)
    if saved.lineage and current.lineage and saved.lineage != current.lineage:
        return Reason(PlanMismatch.OTHER_STATE)
    return None


def _version(plan: Plan) -> JSON:
    """The version of the image that a plan publishes; None for none."""
    found = (c.desired for step in plan.steps for c in step.changes if c.path == "version")
    return next((version for version in found if isinstance(version, str)), None)


def stale_steps(
    saved: Plan, current: Plan, shared: Collection[str] = (), *, resumes: bool = False
) -> tuple[StaleStep, ...]:
    """Every step that differs, in the order of the present plan; then steps that only the saved plan has.

    A step that was to create an object of a shared kind, and now has nothing to write, does not differ:
    another pipeline created the same object.

    Args:
        shared: the kinds whose objects several pipelines may use.
        resumes: a run that was killed may have carried out steps of the plan. These do not differ either.
    """
    stale = []
    for address in dict.fromkeys([*(s.address for s in current.steps), *(s.address for s in saved.steps)]):
        before, after = saved.step(address), current.step(address)
        if before is None or after is None:
            stale.append(StaleStep(address, (StaleField("", _live_id(before), _live_id(after)),)))
        elif _decision(before) != _decision(after) and not (
            _is_created(before, after, shared) or (resumes and _is_done(before, after))
        ):
            stale.append(StaleStep(address, _stale_fields(before, after)))
    return tuple(stale)


def _decision(step: Step) -> tuple[object, ...]:
    """Two steps are equal if their actions, live objects and written values are."""
    written = [(change.path, repr(change.desired)) for change in step.changes if change.write]
    return step.action, step.id, step.fingerprint, tuple(sorted(written))


def _is_created(before: Step, after: Step, shared: Collection[str]) -> bool:
    """Whether the object that a step was to create exists now as it was to be."""
    created = before.action is Action.CREATE and before.address.kind in shared
    return created and not (after.writes or after.conflicts or after.refusal)


def _is_done(before: Step, after: Step) -> bool:
    """Whether a step that was to write has nothing left to do, by the state of this stack."""
    return before.writes and after.action is Action.NOOP and not (after.conflicts or after.refusal)


def _stale_fields(before: Step, after: Step) -> tuple[StaleField, ...]:
    saved, current = _live_values(before), _live_values(after)
    if before.id != after.id and (before.id is None or after.id is None):
        return (StaleField("", _live_id(before), _live_id(after)),)
    differing = [
        StaleField(path, saved.get(path, MISSING), current.get(path, MISSING))
        for path in sorted(saved.keys() | current.keys())
        if not same(saved.get(path, MISSING), current.get(path, MISSING))
    ]
    if before.id != after.id:
        differing.insert(0, StaleField("", before.id, after.id))
    # No managed field differs, so an unmanaged one does, or the state.
    return tuple(differing) or (StaleField("", before.reason, after.reason),)


def _live_values(step: Step) -> dict[str, JSON | NoValue]:
    changes: tuple[Change, ...] = step.changes
    return {change.path: change.live for change in changes if change.path}


def _live_id(step: Step | None) -> JSON | NoValue:
    return ABSENT if step is None or step.id is None else step.id
