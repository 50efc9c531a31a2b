"""What `reconciler logout` does."""

import sys

import click
from rich.text import Text

from reconciler.cli import logins
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.credentials import saved
from reconciler.credentials.saved import Login
from reconciler.views.terminal.console import console


def run(organization: str | None, environment: str | None, everything: bool) -> int:
    if everything and (organization or environment):
        raise click.UsageError("choose logins, or use --all, not both")
    gone = saved.logins() if everything else _gone(organization, environment)
    if everything and (now := saved.current()) is not None and now not in gone:
        gone.append(now)
    if not gone:
        raise UserError(error("no login is saved", "There is nothing to forget."))
    saved.forget(gone)
    out = console(sys.stdout)
    out.print(Text.assemble(("Logged out ", "bold green"), f"of {', '.join(map(str, gone))}."))
    out.print("  the tokens stay valid until they are revoked on the platform", style="dim")
    logins.warn_of_variables(gone[0], console(sys.stderr))
    return DONE


def _gone(organization: str | None, environment: str | None) -> list[Login]:
    if organization or environment:
        return logins.matching(organization, environment)
    now = saved.current()
    if now is None:
        known = ", ".join(map(str, saved.logins())) or "none"
        raise UserError(
            error("no login is in use", f"Saved: {known}. Use --organization and --env, or --all.")
        )
    return [now]
