"""Runs `reconciler apply`."""

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from reconciler.api.commands import Command
from reconciler.api.requests import (
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    ReadOptions,
    SelectionRequest,
    Shard,
)
from reconciler.cli import options
from reconciler.cli.applying import WritingCommand
from reconciler.cli.outputs import Outputs
from reconciler.cli.selected_applying import apply_selected
from reconciler.core.plan import Plan
from reconciler.views.reports import plan_json


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    plan_file: Path | None,
    skip_moved: bool,
    skip_stale: bool,
    dry_run: bool,
    consent: Consent,
    shard: Shard | None,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    outputs: Outputs,
    read_options: ReadOptions,
) -> int:
    options.refuse_forced_bump_of_many(selection.request, request, where, "apply")
    if dry_run:
        from reconciler.cli.handlers import plan

        unused = {"--plan": plan_file, "--shard": shard}
        return plan.dry_run(selection, where, request, fleet_options, outputs, read_options, unused=unused)
    if plan_file is None and (skip_moved or skip_stale):
        raise click.UsageError(f"{'--skip-moved' if skip_moved else '--skip-stale'} needs --plan")
    if plan_file is None and consent.digest and shard is not None:
        raise click.UsageError("--approve covers all pipelines; with --shard, use a saved plan: --plan FILE")
    saved = plan_json.read_saved(plan_file) if plan_file is not None else None
    if saved is not None:
        _refuse_other_options(selection.request, request, one=isinstance(saved, Plan))
    again: tuple[str, ...] = ()
    if plan_file is not None:
        again = ("--plan", str(plan_file))
        if not isinstance(saved, Plan):
            again += ("--skip-moved",)  # the steps that this run carries out
        again += ("--skip-stale",) if skip_stale else ()
        again += ("--shard", str(shard)) if shard is not None else ()
    if isinstance(saved, Plan):
        where = _where_of([saved], where, plan_file)
        request = PlanRequest.from_document(saved.request)
        if not selection.request.names:
            selection = replace(selection, request=SelectionRequest((saved.stack.name,)), where=where)
    command = WritingCommand(Command(options=again))
    if not isinstance(saved, plan_json.SavedPlans) and selection.request.is_of_one:
        return apply_selected(
            command,
            selection,
            where,
            request,
            consent=consent,
            fleet_options=fleet_options,
            apply_options=apply_options,
            read_options=read_options,
            outputs=outputs,
            saved=saved,
            skip_moved=skip_moved,
        )
    from reconciler.api.running import Saved  # late: one pipeline needs none of these
    from reconciler.cli.fleet_applying import FleetRequest, apply_pipelines

    plans = None
    if not isinstance(saved, plan_json.SavedPlans):
        pipelines = replace(selection, read_options=read_options, is_strict=True).pipelines()
    else:
        from reconciler.api.saved_plans import found_pipelines, require_workspace

        here = options.open_workspace()
        require_workspace(saved, here, plan_file)
        where = _where_of(saved.plans, where, plan_file)
        pipelines, by_folder = found_pipelines(saved, here, selection.request, read_options)
        plans = Saved(by_folder, saved.digest, skip_stale)
    return apply_pipelines(
        FleetRequest(
            command,
            pipelines.part(shard),
            request,
            consent,
            fleet_options,
            apply_options,
            plans,
            skip_moved,
        ),
        where,
        outputs,
    )


def _refuse_other_options(selection: SelectionRequest, request: PlanRequest, *, one: bool) -> None:
    """Raise UsageError for options that a saved plan replaces."""
    if request != PlanRequest():
        raise click.UsageError("a saved plan has its own options: --plan excludes other planning options")
    has_names = bool(selection.names) and not one
    if selection.groups or selection.everything or selection.has_filters or has_names:
        raise click.UsageError(
            f"a saved plan has its own {'pipeline' if one else 'pipelines'}: --plan excludes options that "
            "select some"
        )


def _where_of(
    plans: Sequence[Plan], where: options.TargetOptions, plan_file: Path | None
) -> options.TargetOptions:
    """The target of saved plans. Raises UserError if the arguments have another one."""
    from reconciler.api.saved_plans import require_environment

    if not plans:
        return where
    stack = plans[0].stack
    environment = where.environment or stack.environment
    # An environment of reconciler.toml has an organization of its own.
    organization = where.organization or (None if where.environment else stack.organization)
    require_environment(plans, options.TargetOptions(organization, environment).named(), plan_file)
    return options.TargetOptions(where.organization or stack.organization, environment)
