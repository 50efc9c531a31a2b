"""Runs `reconciler destroy`."""

import sys
import threading

import click

from reconciler.api.commands import Command
from reconciler.api.requests import (
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    ReadOptions,
    SelectionRequest,
)
from reconciler.cli import options, stores
from reconciler.cli.applying import Dialogue, run_one
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question
from reconciler.cli.recorded_stacks import OtherWorkspaceError, recorded_stack, refuse_existing_folder
from reconciler.cli.selected_applying import apply_files
from reconciler.core.exit_codes import CONFLICT, DONE
from reconciler.core.plan import Stack
from reconciler.core.plan_options import PlanOptions
from reconciler.engine.apply import ApplyRequest, ApplyResult
from reconciler.engine.destroy import destroy_stack, plan_destroy
from reconciler.engine.session import Session, session
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
    request = PlanRequest(options=PlanOptions(prune=prune, destroy=True))
    if stack is not None:
        if selection.request != SelectionRequest():
            raise click.UsageError("select pipelines, or a stack without a folder with --stack STACK")
        return _destroy_stack(stack, where, request, dry_run, apply_options, consent, outputs)
    if dry_run:
        from reconciler.cli.handlers import plan

        command = Command.destroy()
        return plan.dry_run(selection, where, request, fleet_options, outputs, read_options, command=command)
    return apply_files(
        _Destroy,
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
    target = where.target()
    try:
        with stores.opened() as store:
            found, source = recorded_stack(store, name, target.scope)
    except OtherWorkspaceError as problem:
        print_diagnostics(problem.diagnostics, console(sys.stderr))
        return CONFLICT
    refuse_existing_folder(found, where.arguments("destroy"))
    own_name = found.partition("/")[2]
    stack = Stack(
        target.organization, target.environment.name, target.host, own_name, own_name, source.folder
    )
    if dry_run:
        return _show_plan(stack, where, request, outputs)

    def task(opened: Session, dialogue: Dialogue) -> ApplyResult:
        return destroy_stack(opened, stack, request, ApplyRequest(apply_options, dialogue.approve))

    again = ("--stack", own_name, "--organization", stack.organization, "--env", stack.environment)
    return run_one(
        lambda _: task,
        source.folder,
        where,
        consent=consent,
        outputs=outputs,
        dialogue=_Destroy,
        again=(*again, *(["--prune"] if request.options.prune else [])),
    )


def _show_plan(stack: Stack, where: options.TargetOptions, request: PlanRequest, outputs: Outputs) -> int:
    """Show the plan for a stack without a folder, and write it as requested."""
    from reconciler.cli.handlers.plan import show_plan

    with (
        ProgressView(console(sys.stderr)) as progress,
        session(
            where.target(),
            stores.store(progress),
            progress,
            threading.Event(),
            verb="destroy",
            stacks_below=stacks_below,
        ) as opened,
    ):
        plan = plan_destroy(opened, stack, request).plan
    show_plan(plan, outputs)
    return DONE


class _Destroy(Dialogue):
    verb = "destroy"
    question = Question.DESTROY
