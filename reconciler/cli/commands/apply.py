"""`reconciler apply`."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.applying import apply_all
from reconciler.engine.apply import Running
from reconciler.engine.plan import Wishes
from reconciler.engine.session import Reading
from reconciler.views.reports.plan_json import read_plan


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
def command(
    chosen: options.Chosen,
    where: options.Where,
    wishes: Wishes,
    plan_file: Path | None,
    skip_moved: bool,
    yes: bool,
    running: Running,
    reading: Reading,
) -> int:
    """Make the platform and the registry what the files say.

    Shows the plan first and asks, in a terminal. Elsewhere it goes on by itself, unless something would be
    deleted or replaced: that needs --yes.
    """
    saved = None
    if plan_file is not None:
        if wishes != Wishes():
            raise click.UsageError("--plan holds what was asked for; other planning options cannot be added")
        saved, wishes = read_plan(plan_file)
        stack = saved.stack
        where = replace(
            where,
            organization=where.organization or stack.organization,
            environment=where.environment or options.EnvironmentType()(stack.environment),
        )
        chosen = chosen if chosen.names else options.Chosen((stack.pipeline,), everything=False)
    elif skip_moved:
        raise click.UsageError("--skip-moved goes with --plan")
    return apply_all(
        lambda failed: options.checked(chosen.folders(failed), where.reads(reading), failed),
        where,
        wishes,
        running,
        yes=yes,
        saved=saved,
        skip_moved=skip_moved,
        out=sys.stdout,
        err=sys.stderr,
    )
