"""Exit codes, as scripts rely on them."""

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
    """The exit code for something that went wrong and was told."""
    from reconciler.core.diagnostics import BusyError
    from state.errors import LockedError

    return LOCKED if isinstance(problem, LockedError | BusyError) else FAILED


def worst(codes: Collection[int]) -> int:
    """The exit code of several pipelines: FAILED if one failed, else the highest."""
    return FAILED if FAILED in codes else max(codes)
