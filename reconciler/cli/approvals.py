"""Shared by the commands that apply plans: refusals of plans without approval, and repeats."""

from collections.abc import Iterable

from reconciler.api.approvals import COMMAND, missing_review, other_plan, utc_now
from reconciler.api.requests import Consent, PlanRequest
from reconciler.cli import options
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.plan import Plan, request_options

__all__ = ["other_plan", "plan_options", "unreviewed", "utc_now"]


def unreviewed(
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
    return missing_review(plans, actual, options.workspace().shared(), COMMAND)


def plan_options(verb: str, where: options.TargetOptions, request: PlanRequest) -> tuple[str, ...]:
    """The options of a command that repeats a pipeline that cannot be planned."""
    return (*where.arguments(verb), *request_options(request.to_document()))
