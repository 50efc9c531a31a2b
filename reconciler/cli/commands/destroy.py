"""`reconciler destroy`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("destroy")
@options.pipeline
@click.option(
    "--stack",
    metavar="STACK",
    help="Destroy this stack, whose folder is gone, from its state alone. Its full name, "
    "my-org@STAGING/my_pipeline, also selects a stack of another workspace.",
)
@options.where
@click.option("--prune", is_flag=True, help="Delete models and model versions, too.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask for approval.")
@options.applying
@options.classes
def command(**arguments: Any) -> int:
    """Delete a pipeline's resources from the platform.

    Deletes the resources in the pipeline's state. Models and model versions stay on the platform and are only
    removed from the state, unless you use --prune. Images stay in the registry, and
    resources that another stack claims stay where they are.
    """
    from reconciler.cli.handlers.destroy import run

    return run(**arguments)
