"""Runs `reconciler apply`."""

import sys
from dataclasses import replace
from pathlib import Path

import click

from reconciler.cli import execution, options, stores
from reconciler.cli.applying import apply_all
from reconciler.engine.requests import ApplyOptions, PlanRequest, ReadOptions
from reconciler.views.reports.plan_json import read_plan
from reconciler.workspace.selection_request import SelectionRequest


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    plan_file: Path | None,
    skip_moved: bool,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    saved = None
    if plan_file is not None:
        if request != PlanRequest():
            raise click.UsageError("a saved plan has its own options: --plan excludes other planning options")
        saved, request = read_plan(plan_file)
        stack = saved.stack
        where = replace(
            where,
            organization=where.organization or stack.organization,
            environment=where.environment or stack.environment,
        )
        if selection.request.groups or selection.request.has_filters:
            raise click.UsageError(
                "a saved plan has its own pipeline: --plan excludes options that select some"
            )
        if not selection.request.names:
            selection = options.Selection(SelectionRequest((stack.name,)), where)
    elif skip_moved:
        raise click.UsageError("--skip-moved needs --plan")
    return apply_all(
        lambda failed, emit: execution.validated_pipelines(
            selection.folders(failed, stores.store), where.reads(read_options, search=True), failed, emit
        ),
        where,
        request,
        apply_options,
        yes=yes,
        saved=saved,
        skip_moved=skip_moved,
        out=sys.stdout,
        err=sys.stderr,
    )
