"""`reconciler switch`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("switch", cls=options.SectionedCommand)
@options.login_filter_options
def command(**arguments: Any) -> int:
    """Use another saved login from now on.

    Asks for the login if the options match several.

    \b
    Example:
      reconciler switch --organization my-org --env STAGING
    """
    from reconciler.cli.handlers.switch import run

    return run(**arguments)
