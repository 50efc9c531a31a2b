"""`reconciler plan`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.output_places import outside_of_images
from reconciler.cli.outputs import output_files


@click.command("plan", cls=options.SectionedCommand)
@options.pipelines
@options.where
@options.planning
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=outside_of_images,
    help="Save the plan for apply --plan FILE.",
)
@output_files("json", "markdown", "html", flags=["json"])
@click.option(
    "--exit-code",
    is_flag=True,
    help="Exit with 0 if in sync, 10 for changes, 11 for drift, 12 for a conflict, 13 if not checked.",
)
@options.fleet
@options.executor
@options.classes
def command(**arguments: Any) -> int:
    """Show what apply would change, and why.

    Only reads: plan sends no writes, takes no lock and works with a read-only token.

    \b
    Examples:
      reconciler plan my_pipeline --env STAGING
      reconciler plan --all --out plan.json
    """
    from reconciler.cli.handlers.plan import run

    options.start_workers(arguments["selection"], arguments["executor"])
    return run(**arguments)
