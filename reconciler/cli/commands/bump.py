"""`reconciler bump`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.pipeline.bumps import Bump


@click.command("bump", cls=options.SectionedCommand)
@click.argument("kind", metavar="KIND", type=click.Choice([kind.value for kind in Bump]))
@options.pipelines
@click.option("--dry-run", is_flag=True, help="Show the next version, and write nothing.")
def command(**arguments: Any) -> int:
    """Write the next version and its image tag into the config.toml of each selected pipeline.

    Changes nothing else, and works offline. KIND is patch, minor, major, rc (a release candidate for the next
    patch version) or final (the version that the release candidate was for).

    \b
    Examples:
      reconciler bump patch my_pipeline
      reconciler bump minor --changed
    """
    from reconciler.cli.handlers.bump import run

    return run(**arguments)
