"""The rows for the fields of a step, the same in every output."""

from msgspec import Struct

from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Plan, Step
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import NoValue
from reconciler.views.phrases import Audience, reason
from reconciler.views.shown_values import old_and_new

# Fields that need no attention if the step does not write them.
_SILENT = frozenset({ChangeClass.IN_SYNC, ChangeClass.UNVERIFIED, ChangeClass.CONVERGED})


class Row(Struct, frozen=True):
    """One field of a step: its shortened values and the reason."""

    path: str
    old: str
    new: str
    remark: str
    cls: ChangeClass


def rows(step: Step, audience: Audience = Audience.PLAN) -> list[Row]:
    """The rows of a step. A large value gets one row for each part that differs."""
    return [
        Row(path, old, new, _remark(change, audience), change.cls)
        for change in step.changes
        if _is_row(change)
        for path, old, new in old_and_new(change)
    ]


def _remark(change: Change, audience: Audience) -> str:
    if change.reason.code is ReasonCode.NEW:
        return ""
    return f"{change.cls.value}: {reason(change.reason, audience)}"


def _is_row(change: Change) -> bool:
    """Whether a field gets a row: the step writes it, or it is neither in sync nor merely unverified."""
    if not change.path:
        return False  # a change of the whole object, which the head of the step shows
    return change.write or change.cls not in _SILENT


def image_versions(plan: Plan) -> tuple[str, str]:
    """The version that runs, and the one that the plan gives; "" for unknown ones."""
    for step in plan.steps:
        for change in step.changes:
            if step.address.kind == "image" and change.path == "version":
                before, after = change.live, change.desired
                return "" if isinstance(before, NoValue) else str(before), str(after)
    return "", ""
