"""`drift`: the findings of a partial plan.

Sends no write, takes no lock and saves nothing. Resources that cannot be read are reported as unchecked.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain

from msgspec.structs import replace

from reconciler.core.diagnostics import Diagnostic
from reconciler.core.plan import Action, command_for
from reconciler.core.recorded_runs import verb_of
from reconciler.core.remote import parent_of
from reconciler.core.values import Address
from reconciler.drift.findings import LastApply, StackReport, findings, outline
from reconciler.engine.missing_state import emptied_note, no_state_note
from reconciler.engine.plan import PlanResult, make_plan
from reconciler.engine.recorded import image_in
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from state.snapshot import Snapshot
from state.stores.base import Store, latest_saves


def check(
    session: Session, validated: ValidatedPipeline, *, first_seen: Mapping[str, datetime], now: datetime
) -> StackReport:
    """The differences between the files of one pipeline and the live objects.

    Args:
        first_seen: finding id -> the first time that an earlier run reported it.

    Raises:
        UserError: the files have errors.
        state.errors.StateError: the state cannot be read.
    """
    planned = make_plan(session, validated, PlanRequest(), partial=True)
    return report_of(session, planned, first_seen=first_seen, now=now)


def report_of(
    session: Session, planned: PlanResult, *, first_seen: Mapping[str, datetime], now: datetime
) -> StackReport:
    """The findings of a partial plan."""
    stack = planned.plan.stack
    return StackReport(
        stack,
        findings(
            planned.plan,
            planned.remote_state,
            {name: kind.facts for name, kind in planned.kinds.items()},
            adoptable=adoptable_fields(planned),
            first_seen=first_seen,
            now=now,
        ),
        outline(planned.plan),
        planned.unread,
        last_apply(session.store, str(stack), planned.stored),
        planned.plan.unverified,
        planned.is_emptied,
        planned.plan.ignored,
    )


def adoptable_fields(planned: PlanResult) -> dict[Address, list[str]]:
    """Address -> the fields whose live values `adopt` can write to a file; "" for the object's existence.

    A class lists the objects of some kinds, so it can also adopt an object that was added or deleted. It
    cannot if the parent does not exist, or went with its former parent: it was not removed from a list.
    """
    fields = {
        resource.address: [name for name, origin in resource.origins.items() if origin.adoptable]
        for resource in planned.desired
    }
    for step in planned.plan.steps:
        facts = planned.kinds[step.address.kind].facts
        is_lost = step.address in planned.plan.lost_with_parent
        if facts.listed_by and not is_lost and not is_missing(planned, parent_of(step.address, facts)):
            fields.setdefault(step.address, []).append("")
    return fields


def is_missing(planned: PlanResult, address: Address | None) -> bool:
    """Whether the files have the resource and no live object exists."""
    step = planned.plan.step(address) if address else None
    return step is not None and step.action is Action.CREATE and step.id is None


def last_apply(store: Store, stack: str, state: Snapshot | None) -> LastApply | None:
    """The last run that applied; None if there is no state, or if it is empty.

    Its commit has the files. A change of the state alone applies nothing, and the folder of a stack that is
    destroyed may be gone.

    Raises:
        CorruptStateError: the state is older than its history.
    """
    if state is None or not (state.resources or state.intents):
        return None
    saves = latest_saves(store, stack, first=1)
    newest = next(saves, None)
    if newest is None:
        return None
    if newest.serial > state.serial + 1:  # another run saved in the meantime, or the head is an older one
        store.check_history(stack, 1)
    image = image_in(state)
    version = str(image.inputs.get("version") or "") if image else ""
    applied = (save for save in chain([newest], saves) if verb_of(save.command) not in _APPLY_NOTHING)
    entry = next(applied, replace(newest, git_commit=""))
    return LastApply(entry.written_at, entry.owner, entry.host, entry.git_commit, entry.ci, version)


_APPLY_NOTHING = frozenset({"state", "destroy"})
"""The commands that save state and apply no files."""


def no_state_remarks(reports: Sequence[StackReport]) -> tuple[Diagnostic, ...]:
    """A remark about the stacks that have no state, or an empty one, although something of them exists."""
    missing = [report for report in reports if report.last_apply is None and not report.is_new]
    without, emptied = (
        [report.stack for report in missing if report.is_emptied is is_emptied]
        for is_emptied in (False, True)
    )
    return (
        *([no_state_note(without, command_for(without, "apply"))] if without else []),
        *([emptied_note(emptied, command_for(emptied, "apply"))] if emptied else []),
    )
