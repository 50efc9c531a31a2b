"""`reconciler bump`."""

from typing import Any

import click

from reconciler.pipeline.bumps import Bump


@click.command("bump")
@click.argument("kind", metavar="KIND", type=click.Choice([kind.value for kind in Bump]))
@click.argument("name", metavar="PIPELINE")
def command(**given: Any) -> int:
    """Write the next version and its image tag into config.toml, and change nothing else. Works offline.

    KIND is patch, minor, major, rc (a candidate for the next patch) or final (what the candidate was for).
    """
    from reconciler.cli.handlers.bump import run

    return run(**given)
