"""The story of `apply`: plan under the lock, approve, check, walk, and write config.toml last.

Never prints and never asks: a question is a function that the caller gives.
"""

import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from enum import Enum

from providers.docker.source.key import SourceKey, fingerprint
from providers.errors import ProviderError, SettingError
from providers.leftovers import sweep
from providers.protocol import CheckedKind
from providers.regular_files import read_regular
from reconciler.core.diagnostics import UserError, error
from reconciler.core.diff import effective_fields
from reconciler.core.events import Notice
from reconciler.core.plan import Plan
from reconciler.core.stale import StaleStep, refusal, stale_steps
from reconciler.engine.executor import ExecutionResult, Executor
from reconciler.engine.plan import PlanResult, make_plan
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.requests import ApplyOptions, PlanRequest
from reconciler.engine.run_identity import VERSION, this_run
from reconciler.engine.session import Session, stack_of
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.config import is_unchanged
from reconciler.pipeline.image_source import git_revision, image_source
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.system.files import locked, replace_file
from state.lock import is_gone
from state.lock_info import LockInfo
from state.state_writer import StateWriter, now


class Approval(Enum):
    """The answer to a plan that is about to be applied."""

    GIVEN = "given"
    DECLINED = "declined"
    UNATTENDED = "unattended"  # it needs an answer, and there is no terminal to ask at


class ApplyStatus(Enum):
    """Whether a plan was carried out, or why not."""

    CARRIED_OUT = "carried out"
    REFUSED = "refused"  # a conflict, a refused step or an error
    STALE = "stale"  # a saved plan that no longer fits
    DECLINED = "declined"
    UNATTENDED = "unattended"


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """How an apply ended.

    Attributes:
        planned: what was to be done.
        status: whether it was done, or why not.
        result: how each step ended; None unless the plan was carried out.
        config_written: whether config.toml has the pipeline's edits now: a new version, answers to questions.
        stale_steps: what is not as the saved plan said, and so was not touched.
    """

    planned: PlanResult
    status: ApplyStatus
    result: ExecutionResult | None = None
    config_written: bool = False
    stale_steps: tuple[StaleStep, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the plan was carried out and every step succeeded."""
        return self.result is not None and self.result.succeeded


class RefusedPlanError(UserError):
    """A saved plan is not one for these files or this record any more."""


def apply_plan(
    session: Session,
    checked: ValidatedPipeline,
    request: PlanRequest,
    running: ApplyOptions,
    *,
    approve: Callable[[PlanResult, bool], Approval],
    saved: Plan | None = None,
    skip_moved: bool = False,
    revise: Callable[[PlanResult, PlanRequest], PlanRequest] | None = None,
    may_bump: bool = False,
) -> ApplyResult:
    """Plan what the files say, and do it: `carry_out` with `make_plan`.

    Args:
        approve: is shown the plan that is about to be applied, and says whether to go on; its second
            argument is whether the user has to be asked.
        saved: a plan that was approved before; only what it said is done, and nobody is asked.
        skip_moved: do the rest of a saved plan when a part of the world has moved, instead of nothing.
        revise: is shown the plan, and gives the wishes that it should be made with instead.
        may_bump: `revise` may ask for a bump, which is written into config.toml.

    Raises: as `carry_out`.
    """
    pipeline, key = checked.sound()

    def make(_: LockInfo | None) -> PlanResult:
        planned = make_plan(session, checked, request)
        if revise is not None and saved is None and (revised := revise(planned, request)) != request:
            planned = make_plan(session, checked, revised)
        return planned

    return carry_out(
        session,
        pipeline,
        make,
        running,
        key=key,
        writes_config=bool(request.bump or may_bump or pipeline.loaded.edits),
        approve=approve,
        saved=saved,
        skip_moved=skip_moved,
    )


def carry_out(
    session: Session,
    pipeline: Pipeline,
    make: Callable[[LockInfo | None], PlanResult],
    running: ApplyOptions,
    *,
    key: SourceKey | None,
    writes_config: bool,
    approve: Callable[[PlanResult, bool], Approval],
    saved: Plan | None = None,
    skip_moved: bool = False,
) -> ApplyResult:
    """Plan under the lock, ask, check what can be checked, walk the plan, and only then write config.toml.

    Args:
        make: makes the plan; called under the lock, with the run that the lock was taken over from, if any.
        key: of the source that the plan is made from; None when it is not made from the folder.
        writes_config: whether config.toml may be written in the end.
        approve, saved, skip_moved: see `apply_plan`.

    Raises:
        UserError: as of `make`, or a check before the first write failed.
        state.errors.StateError: the lock is held by another run, or the record cannot be saved.
    """
    stack = str(stack_of(session.target, pipeline))
    run = this_run(running.command, git_revision(pipeline))
    waited = False

    def waiting(holder: object) -> None:
        nonlocal waited
        waited = True
        session.emit(Notice(f"waiting for {holder}"))

    # Another stack's run of the same folder has a lock of its own, and writes the same config.toml.
    path = pipeline.loaded.path
    alone = locked(
        path, timeout=running.lock_timeout, waiting=lambda: waiting(f"another run that writes {path}")
    )
    with (
        session.store.lock(stack, run, timeout=running.lock_timeout, on_wait=waiting) as lock,
        alone if writes_config else nullcontext(),
    ):
        if lock.previous_holder is not None:
            why = "its process is gone" if is_gone(lock.previous_holder) else "it had expired"
            session.emit(Notice(f"took over the lock of {lock.previous_holder}: {why}"))
        sweep(path.resolve().parent)
        _refuse_edited(pipeline, key if waited else None)
        planned = make(lock.previous_holder)
        away: tuple[StaleStep, ...] = ()
        if saved is not None:
            reason = refusal(saved, planned.plan)
            if reason:
                raise RefusedPlanError(
                    error("the saved plan does not fit any more", f"{reason}. Plan again.")
                )
            away = stale_steps(saved, planned.plan)
            if away and not skip_moved:
                return ApplyResult(planned, ApplyStatus.STALE, stale_steps=away)
            rest = planned.plan.without([found.address for found in away])
            planned = replace(planned, plan=rest)
        if not planned.plan.can_apply:
            return ApplyResult(planned, ApplyStatus.REFUSED, stale_steps=away)
        writes = any(step.writes for step in planned.plan.steps)
        asks = saved is None and (writes or bool(planned.plan.asked.get("destroy")))
        match approve(planned, asks):
            case Approval.DECLINED:
                return ApplyResult(planned, ApplyStatus.DECLINED, stale_steps=away)
            case Approval.UNATTENDED:
                return ApplyResult(planned, ApplyStatus.UNATTENDED, stale_steps=away)
        if writes:
            _check_writes(planned)
            if planned.pipeline.loaded.edits:
                _check_config(planned.pipeline)
        writer = StateWriter(session.store, planned.stored, lock=lock, written_by=VERSION)
        writer.update(lambda _: planned.settled)
        walk = Executor(
            planned.plan,
            planned.desired,
            planned.remote_state.found,
            planned.kinds,
            writer,
            emit=session.emit,
            stop=session.stop,
            parallel=running.parallel,
            now=now,
            run=run.id,
        )
        result = walk()
        written = result.succeeded and bool(planned.pipeline.loaded.edits) and not away
        if written:
            _write_config(planned.pipeline)
    return ApplyResult(planned, ApplyStatus.CARRIED_OUT, result, written, away)


def _refuse_edited(pipeline: Pipeline, key: SourceKey | None) -> None:
    """Refuse files that changed before the lock was held: another run may have published a version.

    Args:
        key: of the source as it was read, if it may have changed since; None to check config.toml only.
    """
    path = pipeline.loaded.path
    try:
        same = is_unchanged(path, pipeline.loaded.on_disk)
        same = same and (key is None or key == fingerprint(image_source(pipeline)))
    except (OSError, ProviderError):
        same = False
    if not same:
        told = "Nothing was changed. Run the same command again."
        raise UserError(error("the pipeline's files changed after they were read", told, file=path))


def _write_config(pipeline: Pipeline) -> None:
    path, version = pipeline.loaded.path, pipeline.config.metadata.version
    try:
        # As it is now: somebody may have edited it since it was read.
        replace_file(path, apply_edits(read_regular(path).decode(), pipeline.loaded.edits).encode())
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", problem)
        told = f"{why}. {version} is published and registered; write the version there by hand."
        raise UserError(error("config.toml could not be written", told, file=path)) from None


def _check_config(pipeline: Pipeline) -> None:
    """config.toml is written last, but has to be writable first."""
    path = pipeline.loaded.path
    if not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)):
        told = "The new version would have to be written there. Nothing was changed."
        raise UserError(error("config.toml cannot be written", told, file=path))


def _check_writes(planned: PlanResult) -> None:
    """Everything that can be checked is checked before the first write; all that is wrong is told at once."""
    problems = []
    for step in planned.plan.steps:
        kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
        if not step.writes or resource is None or not isinstance(kind, CheckedKind):
            continue
        try:
            fields = effective_fields(resource.fields, step.changes, kind.facts.rules)
            kind.check(step.address.name, planned.remote_state.found.get(step.address), fields)
        except ProviderError as problem:
            what = f"{step.address} cannot be written, so nothing was changed"
            told = provider_diagnostic(problem, what, address=step.address)
            if isinstance(problem, SettingError):
                loaded = planned.pipeline.loaded
                line = loaded.line_of("reconciler", "image", problem.setting)
                told = replace(told, file=loaded.path, line=line)
            problems.append(told)
    if problems:
        raise UserError(*problems)
