"""The changes of many pipelines as rows, with equal changes in one row. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from providers.table import FACTS
from reconciler.core.contract import ContractChange
from reconciler.core.diff import ChangeClass
from reconciler.core.events import Outcome, Status
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.runs import RunReport
from reconciler.core.values import Address
from reconciler.views.phrases import Audience, audience_of, contract_reason, reason, run_name
from reconciler.views.plan_rows import rows

MOST_VALUES = 3
"""Rows for one field of one kind. Further values of it share a row."""

_WITH_FIELDS = frozenset({Action.UPDATE, Action.REPLACE, Action.ADOPT})


class ChangeRow(Struct, frozen=True):
    """The same change of resources of one kind.

    Attributes:
        action, kind: of all these resources.
        path: the field; "" for the whole resource.
        old, new: shortened values; "" for a whole resource, and for different values.
        remark: the reason; "" for different ones, and for a field that only changed in the files.
        cls: the class of the field's change; None for a whole resource.
        different: the number of different changes in this row; 1 if all are the same.
        resources: each with its stack, in the order of the plans.
    """

    action: Action
    kind: str
    path: str
    old: str
    new: str
    remark: str
    cls: ChangeClass | None
    different: int
    resources: tuple[tuple[Stack, Address], ...]

    @property
    def stacks(self) -> list[Stack]:
        return list(dict.fromkeys(stack for stack, _ in self.resources))

    @property
    def is_destructive(self) -> bool:
        return self.action in (Action.DELETE, Action.REPLACE)


def totals(plans: Sequence[Plan], unplanned: int = 0) -> dict[str, int]:
    """The number of pipelines with changes, in sync, refused and with errors, without zeros.

    Args:
        unplanned: pipelines without a plan, because of errors.
    """
    ready = [plan for plan in plans if plan.can_apply]
    changing = sum(not plan.is_empty for plan in ready)
    files = sum(plan.is_empty and plan.writes_config for plan in ready)
    recorded = sum(plan.is_empty and plan.changes_state and not plan.writes_config for plan in ready)
    ignoring = sum(
        bool(plan.is_empty and plan.ignored and not plan.writes_config and not plan.changes_state)
        for plan in ready
    )
    erroneous = sum(plan.has_errors for plan in plans)
    counts = {
        "to change": changing,
        "to change in config.toml only": files,
        "to change in the state only": recorded,
        "with ignored fields only": ignoring,
        "in sync": len(ready) - changing - files - recorded - ignoring,
        "refused": len(plans) - len(ready) - erroneous,
        "with errors": erroneous + unplanned,
    }
    return {word: count for word, count in counts.items() if count}


_What = tuple[Action, str, str, ChangeClass | None]
_Values = tuple[str, str, str]


def change_rows(plans: Iterable[Plan]) -> list[ChangeRow]:
    """The changes of these plans, the most destructive ones first, then by kind and field."""
    found: dict[_What, dict[_Values, list[tuple[Stack, Address]]]] = {}
    for plan in plans:
        for step in plan.steps:
            for what, values in _changes(step, audience_of(plan)):
                found.setdefault(what, {}).setdefault(values, []).append((plan.stack, step.address))
    kinds = list(dict.fromkeys((*FACTS, *(kind for _, kind, _, _ in found))))
    ordered = sorted(found, key=lambda what: (-what[0].severity, kinds.index(what[1]), what[2]))
    return [row for what in ordered for row in _rows_of(what, found[what])]


def _changes(step: Step, audience: Audience) -> Iterator[tuple[_What, _Values]]:
    if step.action is Action.NOOP:
        return
    kind, fields = step.address.kind, rows(step, audience) if step.action in _WITH_FIELDS else []
    if step.action is not Action.UPDATE or not fields:
        yield (step.action, kind, "", None), ("", "", reason(step.reason, audience))
    for row in fields:
        remark = "" if row.is_edit else row.remark
        yield (step.action, kind, row.path, row.cls), (row.old, row.new, remark)


def _rows_of(what: _What, by_values: dict[_Values, list[tuple[Stack, Address]]]) -> Iterator[ChangeRow]:
    """A row for each of the values, or for the most frequent ones if there are many."""
    action, kind, path, cls = what
    ranked = sorted(by_values.items(), key=lambda item: -len(item[1]))
    own = ranked
    if len(ranked) > MOST_VALUES:
        own = [item for item in ranked[: MOST_VALUES - 1] if len(item[1]) > 1]
    for (old, new, remark), resources in own:
        yield ChangeRow(action, kind, path, old, new, remark, cls, 1, tuple(resources))
    if others := ranked[len(own) :]:
        resources = [resource for _, some in others for resource in some]
        yield ChangeRow(action, kind, path, "", "", "", cls, len(others), tuple(resources))


class ContractRow(Struct, frozen=True):
    """The same change of an input of the same name, in some pipelines.

    Attributes:
        change: of the first pipeline; its place is only that one's.
        stacks: the pipelines, in the order of the plans.
    """

    change: ContractChange
    stacks: tuple[Stack, ...]


def contract_rows(plans: Iterable[Plan]) -> list[ContractRow]:
    """The changes of the contracts of these plans: breaking ones first, then those of most pipelines."""
    found: dict[tuple[str, str], list[tuple[ContractChange, Stack]]] = {}
    for plan in plans:
        for change in plan.contract:
            key = (change.input, contract_reason(change))
            found.setdefault(key, []).append((change, plan.stack))
    rows = [ContractRow(some[0][0], tuple(stack for _, stack in some)) for some in found.values()]
    return sorted(rows, key=lambda row: (not row.change.is_breaking, -len(row.stacks), row.change.input))


def published_versions(report: RunReport) -> dict[str, list[str]]:
    """Each version that the run published, with the pipelines that it published it for."""
    found: dict[str, list[str]] = {}
    for run in report.runs:
        for outcome in run.outcomes:
            if version := _published(outcome):
                found.setdefault(version, []).append(run_name(run))
    return found


def _published(outcome: Outcome) -> str:
    """The version that a step published; "" if none."""
    facts = FACTS.get(outcome.step.address.kind)
    if outcome.status is not Status.DONE or facts is None or not facts.published_as:
        return ""
    return next(
        (str(c.desired) for c in outcome.step.changes if c.path == facts.published_as and c.write), ""
    )
