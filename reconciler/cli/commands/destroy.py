"""`reconciler destroy`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import run_outputs


@click.command("destroy", cls=options.SectionedCommand)
@options.pipelines
@click.option(
    "--stack",
    metavar="STACK",
    shell_complete=options.completions.stacks,
    help="Destroy this stack, whose folder is gone, from its state alone. Its full name, "
    "my-org@STAGING/my_pipeline, also selects a stack of another workspace.",
)
@options.where
@click.option("--prune", is_flag=True, help="Delete models and model versions, too.")
@options.dry_run
@options.approval("Do not ask for approval.")
@options.side_by_side
@options.applying
@run_outputs
@options.classes
def command(**arguments: Any) -> int:
    """Delete the resources of the selected pipelines from the platform.

    Deletes the resources in the state of each pipeline. Models and model versions stay on the platform and
    are only removed from the state, unless you use --prune. Images stay in the registry, and resources that
    another stack claims stay where they are.

    A pipeline that is destroyed already, or was never applied, is no error. If its processing exists but is
    not in the state, that is one: it may have been applied from elsewhere.

    \b
    Examples:
      reconciler destroy my_pipeline --env STAGING
      reconciler destroy --stack my-org@STAGING/old_pipeline
    """
    from reconciler.cli.handlers.destroy import run

    return run(**arguments)
