"""Runs `reconciler plan`."""

import shlex
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click
from msgspec.structs import replace

from reconciler.api.approvals import COMMAND, missing_review
from reconciler.api.clusters import workers_of
from reconciler.api.commands import Command
from reconciler.api.errors import CannotCheckError, StateError, UserError, diagnostics_of
from reconciler.api.orphaned import orphans_note, orphans_of
from reconciler.api.planning import make_plans
from reconciler.api.plans import Plans, image_with
from reconciler.api.requests import FleetOptions, PlanRequest, ReadOptions
from reconciler.cli import options
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.orphans import pipelines_beside_orphans
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import terminal, write_plans
from reconciler.core.approval import SHORT
from reconciler.core.exit_codes import CONFLICT, DONE, UNCHECKED, code_of, worst
from reconciler.core.plan import Plan
from reconciler.pipeline.shared import SharedSettings
from reconciler.views.reports.plan_json import plan_text, save_plan
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_plan, print_refusals
from reconciler.views.terminal.progress import ProgressView

PLAN_FORMATS: Final = ("json", "markdown", "html")
"""The formats that a plan can be written in."""


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    out: Path | None,
    outputs: Outputs,
    exit_code: bool,
    rps: float | None,
    executor: str | None,
    read_options: ReadOptions,
    command: Command | None = None,
    fails_if_refused: bool = False,
) -> int:
    """Show the plans, write them as requested, and save them.

    Args:
        command: the command whose plans are shown. Default: `apply`.
        fails_if_refused: whether a refused plan has a code of its own also without `exit_code`.
    """
    options.refuse_forced_bump_of_many(selection.request, request, where, "plan")
    if executor is not None:
        where = where.explicit()  # workers have other variables
    shown, err = terminal(outputs), console(sys.stderr)
    environment = where.named()
    selection = replace(selection, read_options=read_options, is_strict=out is not None)
    pipelines = pipelines_beside_orphans(selection, where.scopes)
    if out is not None and not (pipelines or selection.request.allow_empty):
        raise click.UsageError("--out saves plans, and there is no pipeline to plan")
    if out is not None and (image := image_with(out, pipelines)):
        raise click.UsageError(f"{image}; save the plan outside of the build context")
    with ProgressView(err) as progress:
        plans = make_plans(
            pipelines,
            environment,
            request,
            command or Command(),
            progress,
            workers=workers_of(executor, pipelines.workspace, environment),
            rps=rps,
        )
    codes = {DONE, *map(partial(_code, exit_code), plans.problems.values())}
    json_place = outputs.places.get("json")
    text = plans.to_json() if json_place or out is not None else ""
    if json_place is not None:
        write_document(json_place, text)
    for plan in plans.values():
        if json_place != STDOUT:
            print_plan(plan, shown)
        print_diagnostics(plan.diagnostics, err)
        if json_place != STDOUT:
            print_refusals(plan, err)
    print_diagnostics(plans.errors, err)
    if out is not None and plans:
        save_plan(text, out)
    _print_next(plans, out if plans else None, pipelines.read_options.shared, err)
    if plans.sign_in_error is None:
        try:
            with ProgressView(err) as progress:
                orphans = orphans_of(pipelines, where.scopes, progress)
            if orphans:
                print_diagnostics([orphans_note(orphans, where.arguments("drift"))], err)
        except (UserError, StateError) as problem:
            print_diagnostics(diagnostics_of(problem), err)
            codes.add(UNCHECKED if exit_code else code_of(problem))
    write_plans([*plans.values()], plans.errors, outputs)
    if exit_code:
        codes |= {plan.exit_code for plan in plans.values()}
    elif fails_if_refused and not all(plan.can_apply for plan in plans.values()):
        codes.add(CONFLICT)
    return worst(codes)


def _print_next(plans: Plans, out: Path | None, shared: SharedSettings, err: Console) -> None:
    """Print how to apply the plans: the saved ones, and exactly these by their digest."""
    approve = f"--approve {plans.digest[:SHORT]}"
    if not any(plan.can_apply for plan in plans.values()):
        if out is not None:
            err.print(f"saved to {out}")
        return
    if out is not None:
        needs_review = missing_review(plans.values(), plans.digest, shared, COMMAND) is not None
        line = f"reconciler apply --plan {shlex.quote(str(out))}"
        err.print(f"saved to {out}; apply it with:  {line}{f' {approve}' if needs_review else ''}")
    elif not all(plan.is_empty for plan in plans.values()):
        err.print(f"approve exactly this with {approve}", style="dim")


def _code(is_requested: bool, problem: UserError | StateError) -> int:
    """The exit code for a pipeline without a plan.

    Args:
        is_requested: whether the code of the command tells what the plans have.
    """
    return UNCHECKED if is_requested and isinstance(problem, CannotCheckError) else code_of(problem)


def dry_run(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    fleet_options: FleetOptions,
    outputs: Outputs,
    read_options: ReadOptions,
    *,
    unused: Mapping[str, object] = MappingProxyType({}),
    command: Command | None = None,
) -> int:
    """Run `plan` with the arguments of a command that applies.

    Args:
        unused: options that a plan has no use for, with their values. None may be set.
        command: as for `run`.

    Raises:
        UsageError: one of them is set, or an option for a report about what was applied.
    """
    refuse_unused(unused, outputs)
    return run(
        selection,
        where,
        request,
        out=None,
        outputs=outputs,
        exit_code=False,
        rps=fleet_options.rps,
        executor=fleet_options.executor,
        read_options=read_options,
        command=command,
    )


def show_plan(plan: Plan, outputs: Outputs) -> None:
    """Show the plan of one stack, and write it as requested. Raises UserError: it could not be written."""
    json_place, err = outputs.places.get("json"), console(sys.stderr)
    if json_place is not None:
        write_document(json_place, plan_text(plan))
    if json_place != STDOUT:
        print_plan(plan, terminal(outputs))
    print_diagnostics(plan.diagnostics, err)
    if json_place != STDOUT:
        print_refusals(plan, err)
    write_plans([plan], [], outputs)


def refuse_unused(unused: Mapping[str, object], outputs: Outputs) -> None:
    """Raise UsageError for options that `--dry-run` has no use for, with a value, and for such formats."""
    reports = {f"--{name}": True for name in outputs.places if name not in PLAN_FORMATS}
    if extra := [name for name, value in {**unused, **reports}.items() if value]:
        raise click.UsageError(f"--dry-run applies nothing, so it has no use for {', '.join(extra)}")
