"""`reconciler login`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.core.platforms import ENVIRONMENTS


@click.command("login", cls=options.SectionedCommand)
@click.option("--organization", metavar="ORG", help="Organization on the platform.")
@click.option(
    "--env",
    "environment",
    type=options.EnvironmentType(),
    metavar="[" + "|".join(ENVIRONMENTS) + "|NAME]",
    help="Environment of the organization.",
)
@click.option("--host", metavar="URL", help="Address of the platform, for CUSTOM.")
@click.option("--token-stdin", is_flag=True, help="Read the API token from stdin, for CI.")
def command(**arguments: Any) -> int:
    """Check an API token, save it, and use this login from now on.

    Asks for each value that you do not pass as an option, and asks again only for a value that the platform
    refuses. Your API token is on the platform, in your Personal Settings, tab Token. Logins are shared with
    pxl-pipeline: both use the same files.

    \b
    Examples:
      reconciler login
      printenv MY_TOKEN | reconciler login --organization my-org --env PROD --token-stdin
    """
    from reconciler.cli.handlers.login import run

    return run(**arguments)
