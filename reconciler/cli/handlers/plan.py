"""Runs `reconciler plan`."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final

import click

from reconciler.cli import execution, options
from reconciler.cli.approvals import review_of
from reconciler.cli.cluster import workers_of
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.orphans import folders_beside_orphans, orphans_of
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import in_images, terminal, write_plans
from reconciler.core.approval import SHORT, digest
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.exit_codes import DONE, UNCHECKED, code_of, worst
from reconciler.core.plan import Plan
from reconciler.drift.orphans import orphans_note
from reconciler.engine.inspection import inspect_all
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.promote import plan_pipeline
from reconciler.engine.requests import FleetOptions, PlanRequest, ReadOptions
from reconciler.engine.session import CannotCheckError, Session
from reconciler.engine.sources import workspace_name
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.image_source import is_in_image
from reconciler.views.reports.plan_json import plan_text, plans_text, save_plan
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_plan, print_refusals
from reconciler.views.terminal.progress import ProgressView
from state.errors import StateError

MakePlan = Callable[[Session, ValidatedPipeline], Plan]

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
    make: MakePlan | None = None,
    search: bool = True,
) -> int:
    """Show the plans, write them as requested, and save them.

    Args:
        make: makes the plan of a pipeline. Default: that of the files, or a promotion, as requested.
        search: whether to search the sources for secrets.
    """
    if executor is not None:
        where = where.explicit()  # workers have other variables
    shown, err = terminal(outputs), console(sys.stderr)
    errors: list[Diagnostic] = []
    codes = {DONE}

    def failed(problem: UserError | StateError) -> None:
        errors.extend(diagnostics_of(problem))
        unchecked = exit_code and isinstance(problem, CannotCheckError)
        codes.add(UNCHECKED if unchecked else code_of(problem))

    folders = folders_beside_orphans(selection, lambda _, problem: failed(problem), where.scopes)
    only_one = len(folders) == 1 and selection.request.is_by_name
    if out is not None and not (folders or selection.request.allow_empty):
        raise click.UsageError("--out saves plans, and there is no pipeline to plan")
    if out is not None and any(is_in_image(folder, out, read_options.shared) for folder in folders):
        raise click.UsageError(
            f"{out} would become part of the image; save the plan outside of the build context"
        )
    with ProgressView(err) as progress:
        result = inspect_all(
            folders,
            where.reads(read_options, search=search),
            partial(execution.shared_session, where, rps),
            make or partial(_plan, request),
            progress,
            workers_of(executor, where),
        )
    plans = list(result.results.values())
    for problem in dict.fromkeys(result.problems.values()):
        failed(problem)
    json_place = outputs.places.get("json")
    text = _text(plans, errors, only_one) if json_place or out is not None else ""
    if json_place is not None:
        write_document(json_place, text)
    for plan in plans:
        if json_place != STDOUT:
            print_plan(plan, shown)
        print_diagnostics(plan.diagnostics, err)
        if json_place != STDOUT:
            print_refusals(plan, err)
    print_diagnostics(errors, err)
    if out is not None and plans:
        save_plan(text, out)
        err.print(f"saved to {out}; apply it with:  reconciler apply --plan {shlex.quote(str(out))}")
    needs_digest = not only_one or any(review_of(plan) in ("always", "destructive") for plan in plans)
    if needs_digest and not all(plan.is_empty for plan in plans):
        err.print(f"approve exactly this with --approve {digest(plans)[:SHORT]}", style="dim")
    if result.sign_in_error is None:
        try:
            if orphans := orphans_of(selection, where.scopes):
                print_diagnostics([orphans_note(orphans, where.arguments("drift"))], err)
        except (UserError, StateError) as problem:
            print_diagnostics(diagnostics_of(problem), err)
            codes.add(UNCHECKED if exit_code else code_of(problem))
    write_plans(plans, errors, outputs)
    print_diagnostics(in_images(outputs, folders, read_options.shared), err)
    if exit_code:
        codes |= {plan.exit_code for plan in plans}
    return worst(codes)


def dry_run(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    fleet_options: FleetOptions,
    outputs: Outputs,
    read_options: ReadOptions,
    *,
    unused: Mapping[str, object] = MappingProxyType({}),
    make: MakePlan | None = None,
    search: bool = True,
) -> int:
    """Run `plan` with the arguments of a command that applies.

    Args:
        unused: options that a plan has no use for, with their values. None may be set.
        make, search: as for `run`.

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
        make=make,
        search=search,
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


def _text(plans: Sequence[Plan], errors: Sequence[Diagnostic], only_one: bool) -> str:
    """The document of --json and --out. A selection that can match several pipelines has a list of plans."""
    if only_one and plans:
        return plan_text(plans[0])
    workspace = options.workspace()
    return plans_text(plans, errors, workspace_name(workspace.root, workspace.name))


def _plan(request: PlanRequest, opened: Session, found: ValidatedPipeline) -> Plan:
    return plan_pipeline(opened, found, request).plan
