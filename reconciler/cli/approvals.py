"""Shared by the commands that apply plans: the refusal of a plan that is not approved, and the time."""

from datetime import UTC, datetime

from reconciler.core.approval import SHORT
from reconciler.core.diagnostics import Diagnostic, error


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


def utc_now() -> datetime:
    """The time in UTC, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)
