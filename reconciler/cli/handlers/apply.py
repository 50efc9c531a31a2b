"""Runs `reconciler apply`."""

from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import click

from reconciler.cli import execution, options, stores
from reconciler.cli.applying import apply_one
from reconciler.cli.outputs import Outputs
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.plan import Plan, Stack
from reconciler.engine.requests import ApplyOptions, Consent, FleetOptions, PlanRequest, ReadOptions
from reconciler.engine.sources import workspace_name
from reconciler.system.files import display_path
from reconciler.views.reports import plan_json
from reconciler.workspace.discovery import find, is_folder_of_pipeline, stacks_below
from reconciler.workspace.selection_request import SelectionRequest
from reconciler.workspace.shards import Shard, part_of


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
        where = _where_of(saved.stack, where)
        request = PlanRequest.from_document(saved.request)
        if not selection.request.names:
            selection = replace(selection, request=SelectionRequest((saved.stack.name,)), where=where)
    if not isinstance(saved, plan_json.SavedPlans) and selection.request.is_of_one:
        return _apply_one(
            selection,
            where,
            request,
            saved,
            skip_moved,
            consent,
            apply_options,
            outputs,
            read_options,
            again,
        )
    from reconciler.cli.fleet_applying import FleetCommand, FleetRequest, SavedPlans, apply_pipelines
    from reconciler.engine.fleet_apply import ApplyFiles

    problems: list[Diagnostic] = []
    plans = None
    if not isinstance(saved, plan_json.SavedPlans):
        folders = selection.folders(lambda problem: problems.extend(problem.diagnostics), stores.store)
    else:
        _check_workspace(saved, plan_file)
        where = _where_of(saved.plans[0].stack, where) if saved.plans else where
        plans = SavedPlans(_by_folder(saved, problems), saved.digest, skip_stale, skip_moved)
        folders = sorted(plans.plans)
    return apply_pipelines(
        FleetRequest(
            FleetCommand(ApplyFiles(), options=again),
            part_of(folders, Path.cwd(), shard),
            problems,
            request,
            plans,
            consent,
            fleet_options,
            apply_options,
            read_options,
        ),
        where,
        outputs,
    )


def _apply_one(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    saved: Plan | None,
    skip_moved: bool,
    consent: Consent,
    apply_options: ApplyOptions,
    outputs: Outputs,
    read_options: ReadOptions,
    again: tuple[str, ...],
) -> int:
    folder = selection.folder()
    return apply_one(
        partial(execution.validated, folder, where.reads(read_options, search=True)),
        display_path(folder),
        where,
        request,
        apply_options,
        consent=consent,
        outputs=outputs,
        saved=saved,
        skip_moved=skip_moved,
        again=again,
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


def _where_of(stack: Stack, where: options.TargetOptions) -> options.TargetOptions:
    """The target of a saved plan, unless the arguments have another one."""
    return options.TargetOptions(
        where.organization or stack.organization, where.environment or stack.environment
    )


def _check_workspace(saved: plan_json.SavedPlans, plan_file: Path | None) -> None:
    """Raise UserError if the plans were made in another workspace than the present one."""
    here = options.workspace()
    name = workspace_name(here.root, here.name)
    if saved.workspace and name and saved.workspace != name:
        detail = f"They were made in {saved.workspace}, and this is {name}. Nothing was changed."
        raise UserError(error("the plans are of another workspace", detail, file=plan_file))


def _by_folder(saved: plan_json.SavedPlans, problems: list[Diagnostic]) -> dict[Path, Plan]:
    """The folder of each plan. Adds an error for a stack that no folder declares."""

    @cache
    def declared() -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for folder, names in stacks_below(Path.cwd()).items():
            for name in names:
                found.setdefault(name, []).append(folder)
        return found

    plans: dict[Path, Plan] = {}
    for plan in saved.plans:
        stack = plan.stack
        folder = Path(stack.folder) if stack.folder else None
        if folder is None or not is_folder_of_pipeline(folder):
            folders = declared().get(stack.name, [])
            if len(folders) != 1:
                problems += _not_found(stack)
                continue
            folder = folders[0]
        plans[folder] = plan
    return plans


def _not_found(stack: Stack) -> tuple[Diagnostic, ...]:
    try:
        find(stack.name, Path.cwd(), options.workspace())
    except UserError as problem:
        return problem.diagnostics
    return (error(f"no pipeline has the stack {stack}"),)
