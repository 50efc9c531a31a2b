"""`reconciler destroy`."""

import sys

import click

from reconciler.cli import options
from reconciler.cli.applying import apply_all
from reconciler.core.planner import PlanOptions
from reconciler.engine.apply import ApplyOptions
from reconciler.engine.plan import PlanRequest
from reconciler.engine.session import ReadOptions


@click.command("destroy")
@click.argument("name", metavar="PIPELINE")
@options.where
@click.option("--prune", is_flag=True, help="Delete models and model versions, too.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.applying
@options.classes
def command(
    name: str,
    where: options.TargetOptions,
    prune: bool,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    """Delete from the platform what a pipeline's record says is its own.

    Models and model versions are forgotten, and stay, unless --prune. Images stay in the registry.
    """
    selection = options.Selection((name,), everything=False)
    return apply_all(
        lambda failed: options.checked(selection.folders(failed), where.reads(read_options), failed),
        where,
        PlanRequest(options=PlanOptions(prune=prune, destroy=True)),
        apply_options,
        yes=yes,
        out=sys.stdout,
        err=sys.stderr,
    )
