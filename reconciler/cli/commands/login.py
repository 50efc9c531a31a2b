"""`reconciler login`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.core.platforms import ENVIRONMENTS


@click.command("login")
@click.option("--organization", metavar="ORG", help="Organization on the platform.")
@click.option(
    "--env",
    "environment",
    type=options.EnvironmentType(),
    metavar="[" + "|".join(ENVIRONMENTS) + "|NAME]",
    help="Environment that the organization is in.",
)
@click.option("--host", metavar="URL", help="Address of the platform, for CUSTOM.")
@click.option("--token-stdin", is_flag=True, help="Read the API token from stdin, for CI.")
def command(**given: Any) -> int:
    """Save an API token, after the platform has taken it, and use that login from now on.

    What no option says is asked for. The files are those of pxl-pipeline, which finds the login there, too.
    """
    from reconciler.cli.handlers.login import run

    return run(**given)
