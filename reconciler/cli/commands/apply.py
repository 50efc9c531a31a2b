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
    help="Apply exactly this plan, saved by plan --out; what has moved since is refused.",
)
@click.option("--skip-moved", is_flag=True, help="With --plan: do the rest when a part has moved.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; allow inputs to be deleted and replaced.")
@options.applying
@options.classes
def command(**given: Any) -> int:
    """Make the platform and the registry what the files say.

    Shows the plan first and asks, in a terminal. Elsewhere it goes on by itself, unless something would be
    deleted or replaced: that needs --yes.
    """
    from reconciler.cli.handlers.apply import run

    return run(**given)
