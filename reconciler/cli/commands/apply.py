"""`reconciler apply`."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.applying import apply_all
from reconciler.engine.apply import ApplyOptions
from reconciler.engine.plan import PlanRequest
from reconciler.engine.session import ReadOptions
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
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    plan_file: Path | None,
    skip_moved: bool,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    """Make the platform and the registry what the files say.

    Shows the plan first and asks, in a terminal. Elsewhere it goes on by itself, unless something would be
    deleted or replaced: that needs --yes.
    """
    saved = None
    if plan_file is not None:
        if request != PlanRequest():
            raise click.UsageError("--plan holds what was asked for; other planning options cannot be added")
        saved, request = read_plan(plan_file)
        stack = saved.stack
        where = replace(
            where,
            organization=where.organization or stack.organization,
            environment=where.environment or options.EnvironmentType()(stack.environment),
        )
        selection = selection if selection.names else options.Selection((stack.pipeline,), everything=False)
    elif skip_moved:
        raise click.UsageError("--skip-moved goes with --plan")
    return apply_all(
        lambda failed: options.checked(selection.folders(failed), where.reads(read_options), failed),
        where,
        request,
        apply_options,
        yes=yes,
        saved=saved,
        skip_moved=skip_moved,
        out=sys.stdout,
        err=sys.stderr,
    )
