"""`reconciler promote`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.output_places import outside_of_images
from reconciler.cli.outputs import run_outputs


@click.command("promote", cls=options.SectionedCommand)
@options.pipelines
@click.option(
    "--from",
    "source",
    type=options.EnvironmentType(),
    metavar="ENV",
    help="Environment whose images are promoted. Default: promote_from of the other one in reconciler.toml.",
)
@options.destination
@click.option("--final", is_flag=True, help="Give candidates their final version: 1.2.0-rc becomes 1.2.0.")
@options.resolving
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=outside_of_images,
    help="Save the plan for apply --plan FILE, and apply nothing.",
)
@options.dry_run
@options.approval("Do not ask for approval; allow inputs to be deleted and replaced.")
@options.side_by_side
@options.applying
@run_outputs
@options.classes
def command(**arguments: Any) -> int:
    """Give an environment the images that another one runs.

    promote publishes the very image that --from runs, with the same digest. It tags the image, or copies it
    to the repository or registry of --to, and builds nothing. All other values come from the files.

    The environment of --from must be as its last apply left it, and the files must be the source of the image
    that it runs. promote reads both, shows the plan with both environments, and asks for your approval.
    Without a terminal, it applies the plan at once, unless the plan deletes or replaces resources: that needs
    --yes or --approve.

    \b
    Examples:
      reconciler promote my_pipeline --from STAGING --to PROD
      reconciler promote --all --from STAGING --to PROD --final --waves 1,10%,100%
    """
    from reconciler.cli.handlers.promote import run

    return run(**arguments)
