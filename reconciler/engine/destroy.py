"""`destroy --stack`: deletes the resources of a stack whose folder is gone. Reads its state, no files."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from providers.json_value import JSON
from providers.protocol import KindFacts, LiveObject, Reference, Report, ResourceKind
from providers.table import FACTS
from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.graph import Graph
from reconciler.core.plan import Plan, Stack
from reconciler.core.planner import plan_steps
from reconciler.core.recorded_runs import verb_of
from reconciler.core.recovery import contested, settle, unfinished_replaces
from reconciler.core.values import Address
from reconciler.engine.apply import ApplyRequest, ApplyResult, carry_out_stack
from reconciler.engine.claims import PlanClaims
from reconciler.engine.destroyed import already_destroyed
from reconciler.engine.kinds import kinds_of
from reconciler.engine.missing_state import is_empty
from reconciler.engine.plan import (
    PlanResult,
    graph_digest,
    read_errors,
    read_live,
    recorded_by_address,
)
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import Session
from reconciler.pipeline.image_source import git_commit
from reconciler.pipeline.shared import SharedSettings


def destroy_stack(
    session: Session, stack: Stack, plan_request: PlanRequest, request: ApplyRequest
) -> ApplyResult:
    """Plan to delete what the state of a stack has and no other stack claims, and apply the plan.

    Raises:
        UserError: the stack has no state, or an empty one although it was not destroyed.
        CannotCheckError: a live object cannot be read.
        state.errors.StateError: another run holds the lock, or the state cannot be read or saved.
    """
    return carry_out_stack(
        session,
        stack,
        git_commit(Path.cwd()),
        lambda _: plan_destroy(session, stack, plan_request),
        request,
    )


def with_protected(request: PlanRequest, shared: SharedSettings) -> PlanRequest:
    """The request with what the workspace protects in all pipelines, also in one without files.

    Args:
        shared: the settings of the workspace.
    """
    protected = [Address.parse(text) for text in shared.defaults.get("protect", ())]
    return replace(request, options=replace(request.options, protected=protected))


def plan_destroy(session: Session, stack: Stack, request: PlanRequest) -> PlanResult:
    """The plan to delete what the state of a stack has. Reads only. Raises as `destroy_stack`."""
    stored = session.store.load(str(stack))
    if stored is None or (is_empty(stored) and not _was_destroyed(session, stack)):
        detail = f"See what it had: reconciler state history {shlex.quote(str(stack))}"
        raise UserError(error(f"the state of {stack} is empty, so there is nothing to destroy", detail))
    remarks = (already_destroyed(),) if is_empty(stored) else ()
    platform_kinds = kinds_of(session.platform)
    kept = {name: _KeptKind(facts) for name, facts in FACTS.items() if name not in platform_kinds}
    kinds: Mapping[str, ResourceKind] = {**platform_kinds, **kept}
    facts = {name: kind.facts for name, kind in kinds.items()}
    register, remote_state = read_live(session, stack, Graph(), kinds, stored, request.options)
    if unread := read_errors(remote_state):
        raise CannotCheckError(*unread)
    settled = settle(stored, remote_state, facts)
    steps, warnings = plan_steps(
        Graph(),
        recorded_by_address(settled),
        remote_state,
        facts,
        request.options,
        contested(settled, remote_state),
        unfinished_replaces(settled, remote_state),
    )
    command = stack.own_command("destroy")
    claims = PlanClaims(session, None, stack, Graph(), remote_state, facts, register, (), command)
    steps = claims.review(steps)
    plan = Plan(
        stack,
        stored.lineage,
        stored.serial,
        steps,
        (*remarks, *warnings, *session.declared.errors(stack, None, steps, remote_state)),
        sources=graph_digest(Graph()),
        request=request.to_document(),
    )
    return PlanResult(plan, None, Graph(), remote_state, stored, settled, kinds, claims, plan)


def _was_destroyed(session: Session, stack: Stack) -> bool:
    """Whether the last run was a destroy, and not a command that only removed resources from the state."""
    return any(verb_of(entry.command) == "destroy" for entry in session.store.history(str(stack), 1))


class _KeptKind(Struct, frozen=True):
    """A kind whose objects stay, such as images in a registry. So nothing has to be read."""

    facts: KindFacts

    def read(self, reference: Reference) -> LiveObject | None:
        return None

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        raise AssertionError("destroy creates nothing")

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        raise AssertionError("destroy changes nothing")

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        raise AssertionError("its objects stay")
