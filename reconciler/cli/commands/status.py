"""`reconciler status`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("status")
@options.pipelines
@options.where
@click.option("--offline", is_flag=True, help="Ask the records only, neither platform nor registry.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON document.")
@options.classes
def command(**given: Any) -> int:
    """Show each pipeline in each environment: version, image, when and by whom, and whether it drifted.

    Environments are those that you are logged in to, and those that are recorded. Reads only. Exits with 13
    when one of those that you are logged in to could not be asked, whatever differs.
    """
    from reconciler.cli.handlers.status import run

    return run(**given)
