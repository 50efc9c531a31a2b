"""Runs `reconciler destroy`."""

import shlex
import sys
from functools import partial

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
    refuse_declared,
    refuse_shared,
)
from reconciler.cli import options, stores
from reconciler.cli.applying import WritingCommand, run_one
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question
from reconciler.cli.selected_applying import apply_selected
from reconciler.core.exit_codes import CONFLICT, DONE
from reconciler.core.plan import Stack
from reconciler.core.plan_options import PlanOptions
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView


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
            refuse_declared(state, found, target.environment.name, source, partial(_with_files, where))
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
        lambda _: of_stack(stack, request, options.workspace().shared()),
        source.folder,
        where,
        PlanRequest(),
        consent=consent,
        apply_options=apply_options,
        outputs=outputs,
    )


def _with_files(where: options.TargetOptions, folder: str) -> str:
    """The command that destroys the pipeline in this folder."""
    return shlex.join(("reconciler", "destroy", folder, *where.arguments("destroy")))


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
        plan = plan_stack(
            stack, where.named(), options.state_url(), request, options.workspace().shared(), progress
        )
    show_plan(plan, outputs)
    return DONE
