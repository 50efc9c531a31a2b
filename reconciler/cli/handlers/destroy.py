"""Runs `reconciler destroy`."""

import sys

from reconciler.cli import execution, options
from reconciler.cli.applying import apply_all
from reconciler.core.plan_options import PlanOptions
from reconciler.engine.requests import ApplyOptions, PlanRequest, ReadOptions


def run(
    name: str | None,
    where: options.TargetOptions,
    prune: bool,
    yes: bool,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
) -> int:
    return apply_all(
        lambda failed, emit: execution.validated_pipelines(
            [options.pipeline_folder(name)], where.reads(read_options), failed, emit
        ),
        where,
        PlanRequest(options=PlanOptions(prune=prune, destroy=True)),
        apply_options,
        yes=yes,
        out=sys.stdout,
        err=sys.stderr,
    )
