"""`apply`: plan under the lock, get approval, check, run the plan, and write config.toml last.

Prints nothing and never prompts: the caller passes the function that approves a plan.
"""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import SourceKey
from providers.errors import ProviderError, SettingError
from providers.leftovers import sweep
from providers.protocol import AttestedKind, CheckedKind, is_a, is_published
from providers.reasons import Reason
from providers.regular_files import read_regular, real_path
from providers.table import FACTS
from reconciler.core.approval import digest
from reconciler.core.diagnostics import UserError, error, info, warning
from reconciler.core.diff import effective_fields
from reconciler.core.events import Emit, Notice
from reconciler.core.plan import Basis, Plan, Stack
from reconciler.core.stale import StaleStep, plan_mismatch, stale_steps
from reconciler.engine.executor import ExecutionResult, Executor
from reconciler.engine.plan import PlanResult
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.promote import plan_pipeline, writes_version
from reconciler.engine.requests import ApplyOptions, PlanRequest
from reconciler.engine.run_identity import this_run, version
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.config import is_unchanged
from reconciler.pipeline.image_source import git_revision, image_source
from reconciler.pipeline.load import Pipeline
from reconciler.system.files import locked, replace_file, why_not_written
from state.lock import Lock, is_gone
from state.lock_info import LockInfo
from state.snapshot import APPLIED, FAILED, INTERRUPTED, PARTIAL, Snapshot
from state.state_writer import StateWriter, now

SHARED = frozenset(kind for kind, facts in FACTS.items() if facts.shared)
"""The kinds whose objects several pipelines may use."""


class Approval(Enum):
    """The answer to a plan that is about to be applied."""

    GIVEN = "given"
    DECLINED = "declined"
    UNATTENDED = "unattended"  # an answer is required, and there is no terminal


class ApplyStatus(Enum):
    """How an apply ended."""

    CARRIED_OUT = "carried out"
    REFUSED = "refused"  # a conflict, a refused step or an error
    MISMATCH = "mismatch"  # the saved plan was made from other files or another state
    STALE = "stale"  # steps of the saved plan changed
    DECLINED = "declined"
    UNATTENDED = "unattended"


class ApplyRequest(Struct, frozen=True):
    """How to apply one plan.

    Attributes:
        options: options of the command.
        approve: gets the plan, and whether the user must confirm it.
        saved_plan: a plan that the user approved earlier. Only its steps run, without confirmation.
        skip_stale: run the steps of the saved plan that are still valid. Otherwise one stale step stops all.
        resumes: a run of this plan that was killed may have carried out some of its steps.
        revise: gets a plan from the files and its request, and returns the request to plan with instead.
        may_bump: `revise` may add a bump, which is written to config.toml.
    """

    options: ApplyOptions
    approve: Callable[[PlanResult, bool], Approval]
    saved_plan: Plan | None = None
    skip_stale: bool = False
    resumes: bool = False
    revise: Callable[[PlanResult, PlanRequest], PlanRequest] | None = None
    may_bump: bool = False


class ApplyResult(Struct, frozen=True):
    """The outcome of an apply.

    Attributes:
        planned: the plan, without stale steps.
        status: how it ended.
        result: the outcome of each step; None unless the plan was carried out.
        config_written: whether config.toml has the pipeline's edits: a new version, answers to questions.
        stale_steps: steps of the saved plan that changed, and did not run.
        mismatch: why the saved plan does not match the files or the state; None if it does.
    """

    planned: PlanResult
    status: ApplyStatus
    result: ExecutionResult | None = None
    config_written: bool = False
    stale_steps: tuple[StaleStep, ...] = ()
    mismatch: Reason | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the plan was carried out and every step succeeded."""
        return self.result is not None and self.result.succeeded


def apply_plan(
    session: Session,
    validated: ValidatedPipeline,
    plan_request: PlanRequest,
    request: ApplyRequest,
) -> ApplyResult:
    """Plan from the pipeline's files, and apply the plan. Raises as `carry_out`."""
    pipeline, key = validated.require_valid()

    def make(_: LockInfo | None) -> PlanResult:
        planned = plan_pipeline(session, validated, plan_request)
        if request.revise is not None and request.saved_plan is None:
            revised = request.revise(planned, plan_request)
            if revised != plan_request:
                planned = plan_pipeline(session, validated, revised)
        return planned

    promote = plan_request.promote
    writes_config = bool(plan_request.bump or request.may_bump or pipeline.loaded.edits)
    writes_config = writes_config or (promote is not None and writes_version(pipeline, promote))
    source = promote.source if promote is not None else ""
    return carry_out(
        session, pipeline, make, request, key=key, writes_config=writes_config, promoted_from=source
    )


def carry_out(
    session: Session,
    pipeline: Pipeline,
    make: Callable[[LockInfo | None], PlanResult],
    request: ApplyRequest,
    *,
    key: SourceKey | None,
    writes_config: bool,
    promoted_from: str = "",
) -> ApplyResult:
    """Plan under the lock, get approval, check before the first write, run the plan, then write config.toml.

    Args:
        make: makes the plan under the lock. Gets the run that the lock was taken over from, or None.
        key: key of the source that the plan is made from; None if the plan is not made from the folder.
        writes_config: whether this run may write config.toml.
        promoted_from: for the history, see `LockInfo`.

    Raises:
        UserError: `make` raised it, or a check before the first write failed.
        state.errors.StateError: another run holds the lock, or the state cannot be saved.
    """
    path = pipeline.loaded.path

    def lock_config(on_wait: Callable[[object], None]) -> AbstractContextManager[None]:
        # A run for another stack of this folder has its own lock, but writes the same config.toml.
        if not writes_config:
            return nullcontext()
        timeout = request.options.lock_timeout
        return locked(path, timeout=timeout, waiting=lambda: on_wait(f"another run that writes {path}"))

    def check_files(waited: bool) -> None:
        sweep(real_path(path).parent)
        _refuse_changed_files(pipeline, key if waited else None, session.emit)

    return carry_out_stack(
        session,
        session.stack(pipeline),
        git_revision(pipeline, session.emit),
        make,
        request,
        lock_config=lock_config,
        check_files=check_files,
        promoted_from=promoted_from,
    )


def carry_out_stack(
    session: Session,
    stack: Stack,
    revision: str,
    make: Callable[[LockInfo | None], PlanResult],
    request: ApplyRequest,
    *,
    lock_config: Callable[[Callable[[object], None]], AbstractContextManager[None]] = lambda _: nullcontext(),
    check_files: Callable[[bool], None] = lambda _: None,
    promoted_from: str = "",
) -> ApplyResult:
    """As `carry_out`, for a stack that may have no files.

    Args:
        revision: the commit for the history; "" if there is none.
        lock_config: returns the lock of config.toml. Gets a function to call with the holder while it waits.
        check_files: raises UserError if the files changed. Gets whether this run waited for a lock.
        promoted_from: for the history, see `LockInfo`.
    """
    run = this_run(request.options.command, revision, promoted_from=promoted_from, override=session.override)
    timeout = request.options.lock_timeout
    waited = False

    def on_wait(holder: object) -> None:
        nonlocal waited
        waited = True
        session.emit(Notice(f"waiting for {holder}"))

    with (
        session.store.lock(str(stack), run, timeout=timeout, on_wait=on_wait) as lock,
        lock_config(on_wait),
    ):
        if lock.previous_holder is not None:
            why = "its process is gone" if is_gone(lock.previous_holder) else "it had not renewed it"
            session.emit(Notice(f"took over the lock of {lock.previous_holder}: {why}"))
        check_files(waited)
        planned = make(lock.previous_holder)
        if session.override and not planned.plan.is_empty:
            planned = replace(planned, plan=_with_override(planned, session.override))
        stale: tuple[StaleStep, ...] = ()
        if (saved := request.saved_plan) is not None:
            if (mismatch := plan_mismatch(saved, planned.plan)) is not None:
                return ApplyResult(planned, ApplyStatus.MISMATCH, mismatch=mismatch)
            if not planned.plan.is_empty:  # otherwise all of it is done, by whichever run
                stale = stale_steps(saved, planned.plan, SHARED, resumes=request.resumes)
            if stale and not request.skip_stale:
                return ApplyResult(planned, ApplyStatus.STALE, stale_steps=stale)
            planned = replace(planned, plan=planned.plan.without([step.address for step in stale]))
        if not planned.plan.can_apply:
            return ApplyResult(planned, ApplyStatus.REFUSED, stale_steps=stale)
        writes = any(step.writes for step in planned.plan.steps)
        destroys = bool(planned.plan.request.get("destroy")) and not planned.plan.is_empty
        must_confirm = saved is None and (writes or destroys)
        match request.approve(planned, must_confirm):
            case Approval.DECLINED:
                return ApplyResult(planned, ApplyStatus.DECLINED, stale_steps=stale)
            case Approval.UNATTENDED:
                return ApplyResult(planned, ApplyStatus.UNATTENDED, stale_steps=stale)
        if writes:
            _check_steps(planned)
            if planned.edits:
                _check_config_is_writable(planned.pipeline)
        planned = replace(planned, plan=planned.claims.claim(planned.plan, planned.settled))
        if not planned.plan.can_apply:  # another stack was faster
            return ApplyResult(planned, ApplyStatus.REFUSED, stale_steps=stale)
        edited = planned.pipeline if planned.edits and not stale else None
        result, state_after, problem = _execute(session, planned, lock, run, edited, request.options.parallel)
        planned.claims.settle(state_after)
        if problem is not None:
            raise problem
        writes_edits = result.succeeded and edited is not None
    return ApplyResult(planned, ApplyStatus.CARRIED_OUT, result, writes_edits, stale)


def _with_override(planned: PlanResult, why: str) -> Plan:
    """The plan with a remark, which every report shows: what is overridden, if anything is."""
    rules = _overridden(planned)
    if rules:
        what = f"{' and '.join(rules)} of reconciler.toml {'are' if rules[1:] else 'is'} overridden"
        note = warning(what, f"{why}.")
    else:
        detail = "No promote_from or review of reconciler.toml forbids this plan. Leave out --override."
        note = info("--override overrides nothing here", detail)
    return replace(planned.plan, diagnostics=(*planned.plan.diagnostics, note))


def _overridden(planned: PlanResult) -> list[str]:
    """The rules that may forbid this plan. Whether they do is not checked: that could need what is down."""
    plan = planned.plan
    if planned.files is None:
        return ["review"]  # a destroy of a stack without a folder
    shared = planned.files.loaded.shared
    environment = shared.names.get(plan.stack.scope, plan.stack.environment)
    is_of_files = plan.basis is Basis.FILES and not (plan.is_promotion or plan.request.get("destroy"))
    publishes = any(step.writes and is_published(planned.kinds[step.address.kind]) for step in plan.steps)
    gate = ["promote_from"] if environment in shared.promotes_from and is_of_files and publishes else []
    gates = [f"promote_from of {name}" for name in planned.also_changes if name in shared.promotes_from]
    review = shared.reviews.get(environment)
    is_reviewed = review == "always" or (review == "destructive" and plan.is_destructive)
    return [*gate, *gates, *(["review"] if is_reviewed else [])]


def _execute(
    session: Session, planned: PlanResult, lock: Lock, run: LockInfo, edited: Pipeline | None, parallel: int
) -> tuple[ExecutionResult, Snapshot, UserError | None]:
    """The outcomes, the state after them, and why config.toml does not have its new values; None if it does.

    Without them the run has failed, so that the same command finishes it: a rollback goes no further back.

    Args:
        edited: the pipeline whose config.toml gets values if all steps succeed; None for none.
    """
    for kind in planned.kinds.values():
        if is_a(kind, AttestedKind):
            kind.carry_out(digest([planned.plan]))
    writer = StateWriter(
        session.store, planned.stored, lock=lock, written_by=version(), restores=planned.restores
    )
    writer.update(lambda _: planned.settled)
    execute = Executor(
        planned.plan,
        planned.desired,
        planned.remote_state.found,
        planned.kinds,
        writer,
        emit=session.emit,
        stop=session.stop,
        parallel=parallel,
        now=now,
        run=run.id,
        holder=planned.claims.holder,
    )
    result = execute()
    problem = _config_problem(edited) if result.succeeded and edited is not None else None
    is_done = result.succeeded and problem is None
    outcome = INTERRUPTED if session.stop.is_set() else FAILED
    if is_done:
        # Targets and stale steps may leave out what exists. A rollback to this state would delete it.
        declared = {str(resource.address) for resource in planned.desired}
        outcome = APPLIED if declared <= writer.snapshot.resources.keys() else PARTIAL
    is_whole = not planned.plan.request.get("targets")
    writer.finish(outcome, confirms=is_done and planned.plan.is_empty and is_whole)
    return result, writer.snapshot, problem


def _refuse_changed_files(pipeline: Pipeline, key: SourceKey | None, emit: Emit) -> None:
    """Raise UserError if the files changed before the lock was held; another run may have published them.

    Args:
        key: key of the source as it was read; None to check config.toml only.
    """
    path = pipeline.loaded.path
    try:
        unchanged = is_unchanged(path, pipeline.loaded.on_disk)
        unchanged = unchanged and (
            key is None or key == fingerprint(image_source(pipeline), announce=emit, cached=True)
        )
    except (OSError, ProviderError):
        unchanged = False
    if not unchanged:
        detail = "Nothing was changed. Run the same command again."
        summary = "the pipeline's files changed after they were read"
        raise UserError(error(summary, detail, file=path, may_pass=True))


def _config_problem(pipeline: Pipeline) -> UserError | None:
    """Write the new values to config.toml. Why it could not be written; None if it was."""
    from reconciler.pipeline.toml.toml_edits import apply_edits  # tomlkit takes long to import

    path, version = pipeline.loaded.path, pipeline.config.metadata.version
    try:
        # Read the file again: it may have been edited since.
        replace_file(path, apply_edits(read_regular(path).decode(), pipeline.loaded.edits).encode())
    except (OSError, ValueError) as problem:
        why = why_not_written(path, problem) if isinstance(problem, OSError) else f"{problem}."
        rest = (
            "Everything else is done. Run the same command again when that is solved, "
            f"to write {version} there."
        )
        return UserError(error("config.toml could not be written", f"{why} {rest}", file=path))
    return None


def _check_config_is_writable(pipeline: Pipeline) -> None:
    """Check before the first write, as config.toml is written last."""
    path = pipeline.loaded.path
    if not (os.access(path, os.W_OK) and os.access(real_path(path).parent, os.W_OK)):
        detail = f"The new version must be written there. Nothing was changed. {why_not_written(path)}"
        raise UserError(error("config.toml cannot be written", detail, file=path))


def _check_steps(planned: PlanResult) -> None:
    """Check every write before the first one. Raises one UserError with all problems."""
    problems = []
    checked = {name: kind for name, kind in planned.kinds.items() if is_a(kind, CheckedKind)}
    for step in planned.plan.steps:
        kind, resource = checked.get(step.address.kind), planned.desired.get(step.address)
        if not step.writes or resource is None or kind is None:
            continue
        try:
            fields = effective_fields(resource.fields, step.changes, kind.facts.rules)
            kind.check(step.address.name, planned.remote_state.found.get(step.address), fields)
        except ProviderError as problem:
            summary = f"{step.address} cannot be written, so nothing was changed"
            diagnostic = provider_diagnostic(problem, summary, address=step.address)
            if isinstance(problem, SettingError):
                file, line = planned.pipeline.loaded.place_of("reconciler", "image", problem.setting)
                diagnostic = diagnostic.at(file, line)
            problems.append(diagnostic)
    if problems:
        raise UserError(*problems)
