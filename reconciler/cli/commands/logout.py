"""`reconciler logout`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("logout")
@options.login_filter_options
@click.option("--all", "everything", is_flag=True, help="Every saved login.")
def command(**given: Any) -> int:
    """Forget a saved API token: the one in use, unless options say otherwise."""
    from reconciler.cli.handlers.logout import run

    return run(**given)
