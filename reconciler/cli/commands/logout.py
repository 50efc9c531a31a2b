"""`reconciler logout`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("logout", cls=options.SectionedCommand)
@options.login_filter_options
@click.option("--all", "everything", is_flag=True, help="Remove every saved login.")
def command(**arguments: Any) -> int:
    """Remove a saved API token.

    Without options, removes the login in use.

    \b
    Example:
      reconciler logout --organization my-org --env STAGING
    """
    from reconciler.cli.handlers.logout import run

    return run(**arguments)
