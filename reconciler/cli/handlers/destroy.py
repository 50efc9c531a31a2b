"""Runs `reconciler destroy`."""

import sys

import click

from reconciler.cli import execution, options, stores
from reconciler.cli.applying import Dialogue, apply_all, run_each
from reconciler.cli.recorded_stacks import OtherWorkspaceError, recorded_stack, refuse_existing_folder
from reconciler.core.exit_codes import CONFLICT
from reconciler.core.plan import Stack
from reconciler.core.plan_options import PlanOptions
from reconciler.engine.apply import ApplyRequest, ApplyResult
from reconciler.engine.destroy import destroy_stack
from reconciler.engine.requests import ApplyOptions, PlanRequest, ReadOptions
from reconciler.engine.session import Session
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics


def run(
    name: str | None,
    stack: str | None,
    where: options.TargetOptions,
    prune: bool,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    request = PlanRequest(options=PlanOptions(prune=prune, destroy=True))
    if stack is not None:
        if name is not None:
            raise click.UsageError("name a pipeline, or a stack without a folder with --stack STACK")
        return _destroy_stack(stack, where, request, apply_options, yes)
    return apply_all(
        lambda failed, emit: execution.validated_pipelines(
            [options.pipeline_folder(name)], where.reads(read_options), failed, emit
        ),
        where,
        request,
        apply_options,
        yes=yes,
        out=sys.stdout,
        err=sys.stderr,
    )


def _destroy_stack(
    name: str, where: options.TargetOptions, request: PlanRequest, apply_options: ApplyOptions, yes: bool
) -> int:
    target = where.target()
    try:
        with stores.opened() as store:
            found, source = recorded_stack(store, name, target.scope)
    except OtherWorkspaceError as problem:
        print_diagnostics(problem.diagnostics, console(sys.stderr))
        return CONFLICT
    refuse_existing_folder(found)
    own_name = found.partition("/")[2]
    stack = Stack(
        target.organization, target.environment.name, target.host, own_name, own_name, source.folder
    )

    def task(opened: Session, dialogue: Dialogue) -> ApplyResult:
        return destroy_stack(opened, stack, request, ApplyRequest(apply_options, dialogue.approve))

    return run_each(lambda *_: [task], where, yes=yes, dialogue=Dialogue, out=sys.stdout, err=sys.stderr)
