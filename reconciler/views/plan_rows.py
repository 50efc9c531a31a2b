"""The rows for the fields of a step, the same in every output."""

from msgspec import Struct

from providers.reasons import Reason
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Plan, Step
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import NoValue
from reconciler.views.phrases import Audience, reason
from reconciler.views.shown_values import old_and_new

# Fields that need no attention if the step does not write them.
_SILENT = frozenset({ChangeClass.IN_SYNC, ChangeClass.UNVERIFIED, ChangeClass.CONVERGED})


class Row(Struct, frozen=True):
    """One field of a step: its shortened values and the reason.

    Attributes:
        is_edit: whether the reason is only that the files changed.
    """

    path: str
    old: str
    new: str
    remark: str
    cls: ChangeClass
    is_edit: bool


def rows(step: Step, audience: Audience = Audience.PLAN) -> list[Row]:
    """The rows of a step. A large value gets one row for each part that differs."""
    return [
        Row(path, old, new, _remark(change, audience), change.cls, _is_edit(change))
        for change in _changes_of(step)
        if _is_row(change)
        for path, old, new in old_and_new(change)
    ]


def _changes_of(step: Step) -> list[Change]:
    """The changes of a step, with the version that the environment runs as the live one.

    A tag that has to move names the version that runs. The image that it moves to has its version already.
    """
    runs = next(
        (
            c.reason.details.get("runs") or c.reason.details["version"]
            for c in step.changes
            if c.reason.code is ReasonCode.CHANNEL_NOT_MOVED
        ),
        "",
    )
    if not runs:
        return [*step.changes]
    return [
        change._replace(live=runs, cls=ChangeClass.PENDING, reason=Reason(ReasonCode.FILES_CHANGED))
        if change.path == "version" and change.desired != runs
        else change
        for change in step.changes
    ]


def _remark(change: Change, audience: Audience) -> str:
    if change.reason.code is ReasonCode.NEW:
        return ""
    return f"{change.cls.value}: {reason(change.reason, audience)}"


def _is_edit(change: Change) -> bool:
    return change.cls is ChangeClass.PENDING and change.reason.code is ReasonCode.FILES_CHANGED


def _is_row(change: Change) -> bool:
    """Whether a field gets a row: the step writes it, or it is neither in sync nor merely unverified."""
    if not change.path:
        return False  # a change of the whole object, which the head of the step shows
    return change.write or change.cls not in _SILENT


def image_versions(plan: Plan) -> tuple[str, str]:
    """The version that runs, and the one that the plan gives; "" for unknown ones."""
    for step in plan.steps:
        for change in _changes_of(step):
            if step.address.kind == "image" and change.path == "version":
                before, after = change.live, change.desired
                return "" if isinstance(before, NoValue) else str(before), str(after)
    return "", ""
