"""Runs `reconciler logout`."""

import sys

import click

from reconciler.cli import logins
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.credentials import saved
from reconciler.credentials.saved import Login
from reconciler.views.terminal.console import console
from reconciler.views.terminal.text import Text


def run(organization: str | None, environment: str | None, everything: bool) -> int:
    if everything and (organization or environment):
        raise click.UsageError("pass --organization and --env, or --all, not both")
    removed = saved.logins() if everything else _selected(organization, environment)
    if everything and (now := saved.current()) is not None and now not in removed:
        removed.append(now)
    if not removed:
        raise UserError(error("no login is saved", "There is nothing to remove."))
    saved.forget(removed)
    out = console(sys.stdout)
    out.print(Text.assemble(("Logged out ", "bold green"), f"of {', '.join(map(str, removed))}."))
    out.print("  the tokens stay valid until you revoke them on the platform", style="dim")
    logins.warn_of_variables(removed[0], console(sys.stderr))
    return DONE


def _selected(organization: str | None, environment: str | None) -> list[Login]:
    if organization or environment:
        return logins.matching_logins(organization, environment)
    now = saved.current()
    if now is None:
        names = ", ".join(map(str, saved.logins())) or "none"
        raise UserError(
            error("no login is in use", f"Saved: {names}. Use --organization and --env, or --all.")
        )
    return [now]
