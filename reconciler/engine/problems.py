"""The error of what cannot be read, and errors as diagnostics."""

from pathlib import Path

from providers.errors import ProviderError
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.values import Address
from state.errors import LockedError, LostLockError, StaleStateError, StateError, StoreUnavailableError


class CannotCheckError(UserError):
    """A live object could not be read, so it is unknown whether it is in sync."""


def provider_diagnostic(
    problem: ProviderError, summary: str, *, address: Address | None = None, file: Path | None = None
) -> Diagnostic:
    detail = f"{problem.message}." + (f"\n{problem.hint}" if problem.hint else "")
    where = str(address) if address else ""
    return error(summary, detail, address=where, file=file, may_pass=not problem.is_lasting)


def diagnostics_of(problem: UserError | StateError) -> tuple[Diagnostic, ...]:
    """The diagnostics of an error that is not a bug."""
    if isinstance(problem, UserError):
        return problem.diagnostics
    may_pass = isinstance(problem, StoreUnavailableError | StaleStateError | LockedError | LostLockError)
    return (error(problem.message, problem.hint, may_pass=may_pass),)
