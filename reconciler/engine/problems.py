"""Converts errors to diagnostics."""

from pathlib import Path

from providers.errors import ProviderError
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.values import Address
from state.errors import StateError


def provider_diagnostic(
    problem: ProviderError, summary: str, *, address: Address | None = None, file: Path | None = None
) -> Diagnostic:
    detail = f"{problem.message}." + (f"\n{problem.hint}" if problem.hint else "")
    return error(summary, detail, address=str(address) if address else "", file=file)


def diagnostics_of(problem: UserError | StateError) -> tuple[Diagnostic, ...]:
    """The diagnostics of an error that is not a bug."""
    if isinstance(problem, UserError):
        return problem.diagnostics
    return (error(problem.message, problem.hint),)
