"""The error of what cannot be read, and errors as diagnostics."""

import errno
import traceback
from pathlib import Path

from providers.errors import ProviderError
from providers.regular_files import NO_DESCRIPTORS, RAISE_LIMIT
from providers.text import as_sentence
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.values import Address
from state.errors import LockedError, LostLockError, StaleStateError, StateError, StoreUnavailableError

_NO_THREAD = "can't start new thread"  # Python's own words
_MORE_THREADS = "Raise the limit of the container (docker run --pids-limit) or of the user (ulimit -u)."


def provider_diagnostic(
    problem: ProviderError, summary: str, *, address: Address | None = None, file: Path | None = None
) -> Diagnostic:
    detail = f"{problem.message}." + (f"\n{problem.hint}" if problem.hint else "")
    where = str(address) if address else ""
    return error(summary, detail, address=where, file=file, may_pass=not problem.is_lasting)


def unexpected(problem: Exception) -> Diagnostic:
    """The error for an unexpected exception: of the operating system, or a bug."""
    if isinstance(problem, OSError) and problem.strerror:
        where = f"{problem.filename}: " if problem.filename else ""
        summary = f"the operating system reports an error: {where}{problem.strerror}"
        return error(summary, _raised_limit(problem))
    if isinstance(problem, RuntimeError) and str(problem) == _NO_THREAD:
        return error("the operating system reports an error: no more threads", _MORE_THREADS)
    detail = "This is not your mistake. Please report it with the following text.\n"
    text = "".join(traceback.format_exception(problem))
    return error(f"a bug in reconciler: {type(problem).__name__}: {problem}", f"{detail}{text}")


def _raised_limit(problem: OSError) -> str:
    if problem.errno in NO_DESCRIPTORS:
        return as_sentence(RAISE_LIMIT)
    return _MORE_THREADS if problem.errno == errno.EAGAIN else ""


def diagnostics_of(problem: UserError | StateError) -> tuple[Diagnostic, ...]:
    """The diagnostics of an error that is not a bug."""
    if isinstance(problem, UserError):
        return problem.diagnostics
    may_pass = isinstance(problem, StoreUnavailableError | StaleStateError | LockedError | LostLockError)
    return (error(problem.message, problem.hint, may_pass=may_pass),)
