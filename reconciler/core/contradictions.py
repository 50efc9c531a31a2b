"""What some plans would do although the files of others declare something else. Pure."""

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from msgspec.structs import replace

from providers.json_value import JSON
from providers.protocol import Exclusive, KindFacts
from reconciler.core.diagnostics import Diagnostic, Severity, error
from reconciler.core.diff import same
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.shared_values import is_shared
from reconciler.core.values import ABSENT, MISSING, Address, NoValue

_Key = TypeVar("_Key")
_Facts = Mapping[str, KindFacts]
_Declared = Mapping[tuple[str, Address | tuple[str, str | None]], Stack]
_Values = dict[tuple[str, Address, str], tuple[JSON | NoValue, Stack]]


def without_contradictions(plans: Mapping[_Key, Plan], facts: _Facts) -> dict[_Key, Plan]:
    """The plans, with an error in each that contradicts the files of another one.

    It would delete what they declare, or set a field of a shared object to another value.
    """
    declared = _declared(plans.values(), facts)
    values: _Values = {}
    found = {}
    for key, plan in plans.items():
        errors = (*_deletes(plan, declared, facts), *_other_values(plan, values, facts))
        found[key] = replace(plan, diagnostics=(*plan.diagnostics, *errors)) if errors else plan
    return found


def _deletes(plan: Plan, declared: _Declared, facts: _Facts) -> Iterator[Diagnostic]:
    known = {one.address for one in plan.diagnostics if one.severity is Severity.ERROR}
    for step in plan.steps:
        if step.action is not Action.DELETE or str(step.address) in known:
            continue
        for name in _names(step, facts):
            owner = declared.get((plan.stack.scope, name))
            if owner is not None and owner != plan.stack:
                yield error(
                    f"{step.address} would be deleted, but the files of {owner.label} declare it",
                    f"Without --prune it stays on the platform, and {owner.name} can take it.",
                    address=str(step.address),
                )
                break


def _declared(plans: Collection[Plan], facts: _Facts) -> _Declared:
    """The stack whose files declare each resource; empty if no plan deletes anything."""
    if not any(step.action is Action.DELETE for plan in plans for step in plan.steps):
        return {}
    return {
        (plan.stack.scope, name): plan.stack
        for plan in plans
        for step in plan.steps
        if step.action not in (Action.DELETE, Action.FORGET)
        for name in _names(step, facts)
    }


def _names(step: Step, facts: _Facts) -> Iterator[Address | tuple[str, str | None]]:
    """The address, and the id of the object where it stays when the object is renamed."""
    yield step.address
    kind = facts[step.address.kind]
    if step.id is not None and (kind.shared or kind.exclusive is Exclusive.ID):
        yield step.address.kind, step.id


def _other_values(plan: Plan, values: _Values, facts: _Facts) -> Iterator[Diagnostic]:
    """An error for each field of a shared object that an earlier plan sets to another value.

    Args:
        values: those of the earlier plans, to which this adds.
    """
    for step in plan.steps:
        for change in step.changes if is_shared(facts[step.address.kind]) else ():
            if not change.path or change.desired is MISSING or change.desired is ABSENT:
                continue
            field = plan.stack.scope, step.address, change.path
            value, owner = values.setdefault(field, (change.desired, plan.stack))
            if not same(value, change.desired):
                yield error(
                    f"{step.address} has another {change.path} in the files of {owner.label}",
                    "Set it in one of the two only, or to the same value.",
                    address=str(step.address),
                )
