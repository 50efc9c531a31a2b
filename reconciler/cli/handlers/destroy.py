"""Runs `reconciler destroy`."""

import shlex
import sys
from collections.abc import Sequence

import click
from msgspec.structs import replace

from reconciler.api.applying import of_stack, plan_stack
from reconciler.api.commands import Command
from reconciler.api.requests import (
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    ReadOptions,
    SelectionRequest,
)
from reconciler.api.state_edits import (
    OtherWorkspaceError,
    SharedStackError,
    recorded_stack,
    refuse_shared,
)
from reconciler.cli import options, stores
from reconciler.cli.applying import WritingCommand, run_one
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question
from reconciler.cli.selected_applying import apply_selected
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import CONFLICT, DONE
from reconciler.core.plan import Stack
from reconciler.core.plan_options import PlanOptions
from reconciler.system.files import display_path
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below


def run(
    selection: options.Selection,
    stack: str | None,
    where: options.TargetOptions,
    prune: bool,
    dry_run: bool,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    outputs: Outputs,
    read_options: ReadOptions,
) -> int:
    request, command = PlanRequest(options=PlanOptions(prune=prune, destroy=True)), Command.destroy()
    if stack is not None:
        if selection.request != SelectionRequest():
            raise click.UsageError("select pipelines, or a stack without a folder with --stack STACK")
        return _destroy_stack(stack, command, where, request, dry_run, apply_options, consent, outputs)
    if dry_run:
        from reconciler.cli.handlers import plan

        return plan.dry_run(selection, where, request, fleet_options, outputs, read_options, command=command)
    return apply_selected(
        WritingCommand(command, Question.DESTROY),
        selection,
        where,
        request,
        consent=consent,
        fleet_options=fleet_options,
        apply_options=apply_options,
        read_options=read_options,
        outputs=outputs,
    )


def _destroy_stack(
    name: str,
    command: Command,
    where: options.TargetOptions,
    request: PlanRequest,
    dry_run: bool,
    apply_options: ApplyOptions,
    consent: Consent,
    outputs: Outputs,
) -> int:
    if dry_run:
        from reconciler.cli.handlers.plan import refuse_unused

        refuse_unused({}, outputs)
    if where == options.TargetOptions(None, None):
        where = _in_name(name) or where
    target = where.target()
    try:
        with stores.opened() as state:
            found, source = recorded_stack(state, name, target.scope)
            _refuse_existing_folder(found, where.arguments("destroy"))
            refuse_shared(state, found)
    except (OtherWorkspaceError, SharedStackError) as problem:
        print_diagnostics(problem.diagnostics, console(sys.stderr))
        return CONFLICT
    own_name = found.partition("/")[2]
    stack = Stack(
        target.organization, target.environment.name, target.host, own_name, own_name, source.folder
    )
    if dry_run:
        return _show_plan(stack, where, request, outputs)
    where_it_is = ("--stack", own_name, "--organization", stack.organization, "--env", stack.environment)
    again = (*where_it_is, *(["--prune"] if request.options.prune else []))
    return run_one(
        WritingCommand(replace(command, options=again), Question.DESTROY),
        lambda _: of_stack(stack, request),
        source.folder,
        where,
        PlanRequest(),
        consent=consent,
        apply_options=apply_options,
        outputs=outputs,
    )


def _in_name(name: str) -> options.TargetOptions | None:
    """The environment in front of the name of a stack: `LIVE/app`, `my-org@LIVE/app`; None without one.

    In capitals only, as the name of a stack may begin with that of an image: `live/app`.
    """
    before, slash, _ = name.partition("/")
    organization, _, environment = before.rpartition("@")
    if not slash or environment not in options.environment_names():
        return None
    return options.TargetOptions(organization or None, environment)


def _show_plan(stack: Stack, where: options.TargetOptions, request: PlanRequest, outputs: Outputs) -> int:
    """Show the plan for a stack without a folder, and write it as requested."""
    from reconciler.cli.handlers.plan import show_plan

    with ProgressView(console(sys.stderr)) as progress:
        plan = plan_stack(stack, where.named(), options.state_url(), request, progress)
    show_plan(plan, outputs)
    return DONE


def _refuse_existing_folder(stack: str, target_options: Sequence[str]) -> None:
    """Raise UserError if a folder of the workspace declares this stack of the target with these options."""
    name = stack.partition("/")[2]
    for folder, names in stacks_below(options.workspace().root).items():
        if name in names:
            shown = display_path(folder)
            command = shlex.join(("reconciler", "destroy", shown, *target_options))
            raise UserError(
                error(
                    f"{stack} has a folder: {shown}",
                    f"Destroy it with its files:  {command}",
                )
            )
