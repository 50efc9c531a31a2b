"""What some plans would delete although others declare it. Pure."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from msgspec.structs import replace

from reconciler.core.diagnostics import error
from reconciler.core.plan import Action, Plan, Stack
from reconciler.core.values import Address

_Key = TypeVar("_Key")


def without_deletes_of_declared(plans: Mapping[_Key, Plan]) -> dict[_Key, Plan]:
    """The plans, with an error in each that deletes what the files of another one declare."""
    declared = _declared(plans.values())
    found = {}
    for key, plan in plans.items():
        errors = []
        for step in plan.steps:
            owner = declared.get((plan.stack.scope, step.address))
            if step.action is Action.DELETE and owner is not None and owner != plan.stack:
                errors.append(
                    error(
                        f"{step.address} would be deleted, but the files of {owner.label} declare it",
                        f"Without --prune it stays on the platform, and {owner.name} can take it.",
                        address=str(step.address),
                    )
                )
        found[key] = replace(plan, diagnostics=(*plan.diagnostics, *errors)) if errors else plan
    return found


def _declared(plans: Collection[Plan]) -> dict[tuple[str, Address], Stack]:
    """The stack whose files declare each resource; empty if no plan deletes anything."""
    if not any(step.action is Action.DELETE for plan in plans for step in plan.steps):
        return {}
    return {
        (plan.stack.scope, step.address): plan.stack
        for plan in plans
        for step in plan.steps
        if step.action not in (Action.DELETE, Action.FORGET)
    }
