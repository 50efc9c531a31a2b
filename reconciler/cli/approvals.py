"""Shared by the commands that apply plans: refusals of plans without approval, repeats, and the time."""

from collections.abc import Iterable
from datetime import UTC, datetime

from reconciler.cli import options
from reconciler.core.approval import SHORT
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.plan import Plan, request_options
from reconciler.engine.requests import Consent, PlanRequest


def other_plan(approved: str, actual: str) -> Diagnostic:
    """The refusal of a plan that `--approve` does not approve.

    Args:
        approved: the digest in `--approve`.
        actual: the digest of the plan.
    """
    if len(approved) < SHORT:
        detail = f"Use at least the first {SHORT} digits of the digest that `reconciler plan` shows."
        return error(f"{approved!r} is too short for a digest", detail)
    detail = (
        f"The digest is {actual[:SHORT]} now: files, the state or the platform changed after the approval. "
        "Nothing was changed. Look at the plan above; to apply it, approve its digest."
    )
    return error(f"this is not the plan with the digest {approved[:SHORT]}", detail)


def review_of(plan: Plan) -> str | None:
    """What the environment of a plan requires a review of; None if it has no rule."""
    shared = options.workspace().shared()
    return shared.reviews.get(shared.names.get(plan.stack.scope, plan.stack.environment))


def missing_review(
    plans: Iterable[Plan], consent: Consent, actual: str, *, is_attended: bool
) -> Diagnostic | None:
    """The refusal of plans whose environment requires a review; None if it does not, or if they have one.

    Somebody who answers the question of the command has seen the plan. Without that, its digest proves it.

    Args:
        actual: the digest of the plans.
        is_attended: whether the user is about to answer.
    """
    if consent.override or consent.digest is not None or is_attended:
        return None
    shared = options.workspace().shared()
    for plan in plans:
        if not (any(step.writes for step in plan.steps) or plan.request.get("destroy")):
            continue  # at most the state changes
        environment = shared.names.get(plan.stack.scope, plan.stack.environment)
        review = review_of(plan)
        if review == "always" or (review == "destructive" and plan.is_destructive):
            approve = f"--approve {actual[:SHORT]}"
            what = "a plan" if review == "always" else "a plan that deletes or replaces resources"
            detail = (
                f"Nothing was changed. Look at the plan above; to apply it, use {approve}. --yes is not "
                "enough. In an emergency, state why with --override REASON, which the history keeps."
            )
            return error(
                f"{environment} requires a review of {what}",
                detail,
                file=shared.file,
                line=shared.line_of("environments", environment, "review"),
            )
    return None


def plan_options(verb: str, where: options.TargetOptions, request: PlanRequest) -> tuple[str, ...]:
    """The options of a command that repeats a pipeline that cannot be planned."""
    return (*where.arguments(verb), *request_options(request.to_document()))


def utc_now() -> datetime:
    """The time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
