"""Exit codes. Scripts rely on them."""

from collections.abc import Collection

DONE = 0
FAILED = 1
USAGE = 2
PENDING = 10
DRIFT = 11
CONFLICT = 12
UNCHECKED = 13
LOCKED = 13
INTERRUPTED = 130


def code_of(problem: Exception) -> int:
    """The exit code for an error that was reported to the user."""
    from reconciler.core.diagnostics import BusyError
    from state.errors import LockedError

    return LOCKED if isinstance(problem, LockedError | BusyError) else FAILED


def worst(codes: Collection[int]) -> int:
    """The exit code for several pipelines: FAILED if any failed, otherwise the highest."""
    return FAILED if FAILED in codes else max(codes)
