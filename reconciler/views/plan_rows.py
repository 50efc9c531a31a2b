"""The fields of a step that are worth a row, the same in every output."""

from dataclasses import dataclass

from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Step
from reconciler.core.reasons import ReasonCode
from reconciler.views.phrases import Audience, reason
from reconciler.views.shown_values import old_and_new

# Nothing happens to such a field, and nothing is wrong with it.
_SILENT = frozenset({ChangeClass.IN_SYNC, ChangeClass.UNVERIFIED, ChangeClass.CONVERGED})


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a step as a list shows it: its values in short, and why."""

    path: str
    old: str
    new: str
    remark: str
    cls: ChangeClass


def rows(step: Step, audience: Audience = Audience.PLAN) -> list[Row]:
    """The fields that are worth one; several for a large value of which parts differ."""
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
    """A field is worth a row when it is written, or when it is neither in sync nor merely unverified."""
    if not change.path:
        return False  # about the object as a whole, which its head says
    return change.write or change.cls not in _SILENT
