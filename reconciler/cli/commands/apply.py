"""`reconciler apply`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import run_outputs


@click.command("apply", cls=options.SectionedCommand)
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
    "--skip-stale",
    is_flag=True,
    help="With --plan: skip the pipelines whose plan is stale and apply the others.",
)
@options.dry_run
@options.approval("Do not ask for approval; allow inputs to be deleted and replaced.")
@options.side_by_side
@options.shard
@options.applying
@run_outputs
@options.classes
def command(**arguments: Any) -> int:
    """Bring the platform and the registry in line with the files.

    apply shows the plan, and asks for your approval in a terminal. Without a terminal, it applies the plan at
    once, unless the plan deletes or replaces resources: that needs --yes or --approve.

    With several pipelines, apply plans all of them, shows one summary, asks once, and applies them side by
    side. A pipeline that fails stops no other, unless you set --max-failures. To finish what is left, run the
    same command again.

    \b
    Examples:
      reconciler apply my_pipeline
      reconciler apply --all --waves 1,10%,100% --max-failures 2
      reconciler apply --stale --approve 3f9c0a64d1e2b785
    """
    from reconciler.cli.handlers.apply import run

    options.start_workers(arguments["selection"], arguments["fleet_options"].executor)
    return run(**arguments)
