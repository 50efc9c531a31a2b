"""`reconciler destroy`."""

import sys

import click

from reconciler.cli import options
from reconciler.cli.applying import apply_all
from reconciler.core.planner import Options
from reconciler.engine.apply import Running
from reconciler.engine.plan import Wishes
from reconciler.engine.session import Reading


@click.command("destroy")
@click.argument("name", metavar="PIPELINE")
@options.where
@click.option("--prune", is_flag=True, help="Delete models and model versions, too.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.applying
@options.classes
def command(
    name: str,
    where: options.Where,
    prune: bool,
    yes: bool,
    running: Running,
    reading: Reading,
) -> int:
    """Delete from the platform what a pipeline's record says is its own.

    Models and model versions are forgotten, and stay, unless --prune. Images stay in the registry.
    """
    chosen = options.Chosen((name,), everything=False)
    return apply_all(
        lambda failed: options.checked(chosen.folders(failed), where.reads(reading), failed),
        where,
        Wishes(options=Options(prune=prune, destroy=True)),
        running,
        yes=yes,
        out=sys.stdout,
        err=sys.stderr,
    )
