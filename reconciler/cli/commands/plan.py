"""`reconciler plan`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import output_files


@click.command("plan")
@options.pipelines
@options.where
@options.planning
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Save the plan for apply --plan FILE."
)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as a JSON document.")
@output_files("markdown", "html")
@click.option("--exit-code", is_flag=True, help="0 in sync, 10 changes, 11 drift, 12 conflict, 13 unasked.")
@options.fleet
@options.classes
def command(**given: Any) -> int:
    """Show what apply would change, and why.

    Reads only: it sends no write of any kind, takes no lock, and works with a read-only token.
    """
    from reconciler.cli.handlers.plan import run

    return run(**given)
