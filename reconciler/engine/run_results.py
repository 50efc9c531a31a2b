"""Converts how an apply ended to the result of a pipeline in a run."""

from reconciler.core.diagnostics import UserError
from reconciler.core.events import Status
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, INTERRUPTED, code_of
from reconciler.core.plan import Plan, Stack
from reconciler.core.runs import PipelineRun, RunResult
from reconciler.engine.apply import ApplyResult, ApplyStatus
from reconciler.engine.problems import diagnostics_of
from state.errors import StateError


def applied_run(applied: ApplyResult, folder: str, seconds: float) -> PipelineRun:
    """The result of a pipeline whose plan was carried out, refused or declined.

    Args:
        folder: the pipeline's folder.
        seconds: how long it took.
    """
    planned = applied.planned
    plan = planned.plan
    config = planned.files.config if planned.files is not None else None
    result, code = _result(applied)
    return PipelineRun(
        folder,
        plan.stack,
        result,
        code,
        plan=plan,
        outcomes=applied.result.outcomes if applied.result else (),
        stale_steps=applied.stale_steps,
        mismatch=applied.mismatch,
        version=planned.restored_version or (str(config.metadata.version) if config else ""),
        seconds=seconds,
    )


def _result(applied: ApplyResult) -> tuple[RunResult, int]:
    match applied.status:
        case ApplyStatus.DECLINED:
            return RunResult.NOT_STARTED, FAILED
        case ApplyStatus.UNATTENDED:
            return RunResult.NOT_STARTED, CONFLICT
        case ApplyStatus.REFUSED | ApplyStatus.MISMATCH | ApplyStatus.STALE:
            return RunResult.REFUSED, CONFLICT
    assert applied.result is not None
    if applied.result.of(Status.FAILED):
        return RunResult.FAILED, FAILED
    if applied.result.of(Status.SKIPPED):
        return RunResult.INTERRUPTED, INTERRUPTED
    if applied.stale_steps:
        return RunResult.REFUSED, CONFLICT
    changed = not applied.planned.plan.is_empty or applied.config_written
    return (RunResult.APPLIED if changed else RunResult.UNCHANGED), DONE


def failed_run(
    problem: UserError | StateError, folder: str, *, stack: Stack | None = None, plan: Plan | None = None
) -> PipelineRun:
    """The result of a pipeline that raised an error."""
    return PipelineRun(
        folder,
        stack,
        RunResult.FAILED,
        code_of(problem),
        plan=plan,
        diagnostics=diagnostics_of(problem),
    )


def planned_run(plan: Plan, folder: str) -> PipelineRun:
    """The result of a pipeline whose plan has nothing to do, is refused, or is not started."""
    if not plan.can_apply:
        failed = plan.has_errors and not (plan.refused or plan.conflicts)
        result, code = (RunResult.FAILED, FAILED) if failed else (RunResult.REFUSED, CONFLICT)
    elif plan.is_empty and not (plan.writes_config or plan.changes_state):
        result, code = RunResult.UNCHANGED, DONE
    else:
        result, code = RunResult.NOT_STARTED, FAILED
    version = _version_in(plan) if result is RunResult.UNCHANGED else ""
    return PipelineRun(folder, plan.stack, result, code, plan=plan, version=version)


def _version_in(plan: Plan) -> str:
    """The version that the plan leaves; "" if it has no image."""
    versions = (
        change.desired
        for step in plan.steps
        for change in step.changes
        if step.address.kind == "image" and change.path == "version"
    )
    return next((version for version in versions if isinstance(version, str)), "")
