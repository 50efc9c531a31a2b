"""Converts errors of providers to diagnostics."""

from pathlib import Path

from providers.errors import ProviderError
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.values import Address


def provider_diagnostic(
    problem: ProviderError, summary: str, *, address: Address | None = None, file: Path | None = None
) -> Diagnostic:
    detail = f"{problem.message}." + (f"\n{problem.hint}" if problem.hint else "")
    return error(summary, detail, address=str(address) if address else "", file=file)
