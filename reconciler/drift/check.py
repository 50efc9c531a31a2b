"""The story of `drift`: a plan made with reads only, and what of it somebody has to know.

Sends no write, takes no lock and saves nothing. What cannot be asked is told apart from what is in sync.
"""

from collections.abc import Mapping
from datetime import datetime

from reconciler.core.values import Address
from reconciler.drift.findings import LastApply, StackReport, findings, outline
from reconciler.engine.plan import PlanResult, make_plan
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from state.stores.base import Store


def check(
    session: Session, checked: ValidatedPipeline, *, first_seen: Mapping[str, datetime], now: datetime
) -> StackReport:
    """Everything that is not as the files of one pipeline say.

    Args:
        first_seen: finding id -> when an earlier run saw it first.

    Raises:
        UserError: the files have errors.
        state.errors.StateError: the record cannot be read.
    """
    planned = make_plan(session, checked, PlanRequest(), partial=True)
    facts = {name: kind.facts for name, kind in planned.kinds.items()}
    can = adoptable(planned)
    found = findings(planned.plan, planned.remote_state, facts, adoptable=can, first_seen=first_seen, now=now)
    stack = planned.plan.stack
    return StackReport(
        stack,
        found,
        outline(planned.plan),
        planned.unread,
        last_apply(session.store, str(stack)),
        planned.plan.unverified,
    )


def adoptable(planned: PlanResult) -> dict[Address, list[str]]:
    """Per resource the fields that some file can say; "" for whether it is there at all.

    That is so of a kind that a class lists: one that came or went can come or go there, too.
    """
    fields = {
        resource.address: [name for name, origin in resource.origins.items() if origin.adoptable]
        for resource in planned.desired
    }
    for step in planned.plan.steps:
        if planned.kinds[step.address.kind].facts.listed_by:
            fields.setdefault(step.address, []).append("")
    return fields


def last_apply(store: Store, stack: str) -> LastApply | None:
    """Who left the record as it is; None when there is none."""
    for entry in store.history(stack, 1):
        return LastApply(entry.written_at, entry.owner, entry.host, entry.git_commit, entry.ci)
    return None
