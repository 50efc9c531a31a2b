"""`reconciler destroy`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("destroy")
@click.argument("name", metavar="PIPELINE")
@options.where
@click.option("--prune", is_flag=True, help="Delete models and model versions, too.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.applying
@options.classes
def command(**given: Any) -> int:
    """Delete from the platform what a pipeline's record says is its own.

    Models and model versions are forgotten, and stay, unless --prune. Images stay in the registry.
    """
    from reconciler.cli.handlers.destroy import run

    return run(**given)
