"""`reconciler apply`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options


@click.command("apply")
@options.pipelines
@options.where
@options.planning
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Apply exactly this plan, saved by plan --out. Refused if the plan is stale.",
)
@click.option("--skip-moved", is_flag=True, help="With --plan: skip the stale steps and apply the others.")
@click.option(
    "--yes", "-y", is_flag=True, help="Do not ask for approval; allow inputs to be deleted and replaced."
)
@options.applying
@options.classes
def command(**arguments: Any) -> int:
    """Bring the platform and the registry in line with the files.

    apply shows the plan, and asks for your approval in a terminal. Without a terminal, it applies the plan at
    once, unless the plan deletes or replaces resources: that needs --yes.
    """
    from reconciler.cli.handlers.apply import run

    return run(**arguments)
