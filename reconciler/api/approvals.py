"""Which plans may be applied: reviews, digests, and plans that need an approval."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime

from msgspec import Struct

from reconciler.core.approval import SHORT, is_approved
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.plan import Plan
from reconciler.engine.requests import Consent
from reconciler.pipeline.shared import SharedSettings
from reconciler.views.counting import plural

__all__ = [
    "COMMAND",
    "PYTHON",
    "ApprovalWords",
    "missing_review",
    "review_of",
    "unapproved",
    "unconfirmed",
    "utc_now",
]


class ApprovalWords(Struct, frozen=True):
    """How the user approves a plan.

    Attributes:
        approve: the form of an approval, with `{}` for the digest.
        yes: approves any plan.
        override: overrides a rule.
        without: when an approval is needed.
    """

    approve: str
    yes: str
    override: str
    without: str


COMMAND = ApprovalWords("--approve {}", "--yes", "--override REASON", "Without a terminal this")
PYTHON = ApprovalWords('approve="{}"', "approve=True", 'plan(override="REASON")', "This")


def unapproved(
    plans: Iterable[Plan],
    total: str,
    consent: Consent,
    shared: SharedSettings,
    words: ApprovalWords,
    *,
    is_attended: bool,
) -> Diagnostic | None:
    """The refusal of plans that are not the approved ones, or that lack a required review; None if neither.

    Somebody who answers the question of a command has seen the plans. Without that, their digest proves it.

    Args:
        total: the digest of all plans of the run.
        is_attended: whether the user is about to answer.
    """
    if consent.digest is not None:
        return None if is_approved(consent.digest, total) else other_plan(consent.digest, total)
    return None if consent.override or is_attended else missing_review(plans, total, shared, words)


def other_plan(approved: str, actual: str) -> Diagnostic:
    """The refusal of a plan that has another digest than the approved one.

    Args:
        approved: the approved digest.
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


def review_of(plan: Plan, shared: SharedSettings) -> str | None:
    """What the environment of a plan requires a review of; None if it has no rule."""
    return shared.reviews.get(shared.names.get(plan.stack.scope, plan.stack.environment))


def missing_review(
    plans: Iterable[Plan], actual: str, shared: SharedSettings, words: ApprovalWords
) -> Diagnostic | None:
    """The refusal of plans whose environment requires a review; None if it does not.

    Args:
        actual: the digest of the plans, which proves a review.
    """
    for plan in plans:
        if not (any(step.writes for step in plan.steps) or plan.request.get("destroy")):
            continue  # at most the state changes
        environment = shared.names.get(plan.stack.scope, plan.stack.environment)
        review = review_of(plan, shared)
        if review == "always" or (review == "destructive" and plan.is_destructive):
            approve = words.approve.format(actual[:SHORT])
            what = "a plan" if review == "always" else "a plan that deletes or replaces resources"
            detail = (
                f"Nothing was changed. Look at the plan above; to apply it, use {approve}. {words.yes} is "
                f"not enough. In an emergency, state why with {words.override}, which the history keeps."
            )
            return error(
                f"{environment} requires a review of {what}",
                detail,
                file=shared.file,
                line=shared.line_of("environments", environment, "review"),
            )
    return None


def unconfirmed(plans: Collection[Plan], total: str, words: ApprovalWords) -> Diagnostic:
    """The refusal of plans that need an approval and have none.

    Args:
        total: the digest of all plans of the run.
    """
    approve = words.approve.format(total[:SHORT])
    detail = f"Nothing was changed. {words.without} needs {approve} or {words.yes}."
    destructive = any(plan.is_destructive for plan in plans)
    what = "deletes or replaces resources of" if destructive else "changes"
    return error(f"the plan {what} {plural(len(plans), 'pipeline')}", detail)


def utc_now() -> datetime:
    """The time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
