"""`reconciler dashboard`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli.options.param_types import WholeNumberType
from reconciler.cli.output_places import pages_of

MOST = 100  # runs of each pipeline in each environment that are shown by default


@click.command("dashboard")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    callback=pages_of,
    metavar="DIR",
    help="Folder for the pages. Its other files are left alone.",
)
@click.option(
    "--reports",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="A report of drift --json or image --json, or a folder with such files. Repeatable.",
)
@click.option(
    "--runs",
    "most_runs",
    type=WholeNumberType(1),
    default=MOST,
    show_default=True,
    help="Largest number of latest runs to show of each pipeline in each environment.",
)
def command(**arguments: Any) -> int:
    """Write a dashboard: static pages about all pipelines and environments.

    Shows what runs where, the runs, drift and image sizes over time, and what pipelines share, with a page
    for each pipeline. The data come from the state, its history and the given reports; the platform and the
    registry are not read. The pages load nothing from elsewhere: open index.html, or publish the folder.

    \b
    Example:
      reconciler dashboard --out site --reports reports
    """
    from reconciler.cli.handlers.dashboard import run

    return run(**arguments)
