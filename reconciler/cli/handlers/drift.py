"""Runs `reconciler drift`."""

import sys

import click
from msgspec.structs import replace

from reconciler.api.clusters import workers_of
from reconciler.api.drifting import find_drift
from reconciler.api.requests import ReadOptions, Shard
from reconciler.cli import options
from reconciler.cli.baseline_options import BaselineOptions
from reconciler.cli.baseline_rules import load_rules, with_acknowledgements
from reconciler.cli.orphans import pipelines_beside_orphans
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import terminal, write_report
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    outputs: Outputs,
    baseline: BaselineOptions,
    rps: float | None,
    executor: str | None,
    shard: Shard | None,
    unmanaged: bool,
    fail_on: tuple[str, ...],
    read_options: ReadOptions,
) -> int:
    if unmanaged and not selection.request.everything:
        raise click.UsageError("--unmanaged needs --all: one pipeline does not show what the others have")
    if fail_on and not unmanaged:
        raise click.UsageError("--fail-on unmanaged needs --unmanaged")
    if executor is not None:
        where = where.explicit()  # workers have other variables
    err = console(sys.stderr)
    rules = load_rules(baseline, err)
    selection = replace(selection, read_options=read_options, is_strict=baseline.write_to is not None)
    pipelines = pipelines_beside_orphans(selection, where.scopes)
    environment = where.named()
    with ProgressView(err) as progress:
        found = find_drift(
            pipelines,
            environment,
            progress,
            workers=workers_of(executor, pipelines.workspace, environment),
            earlier=outputs.file("json"),
            shard=shard,
            unmanaged=unmanaged,
            fails_on_unmanaged=bool(fail_on),
            rps=rps,
        )
    report = with_acknowledgements(baseline, found, rules, err)
    print_report(report, terminal(outputs))
    print_diagnostics(dict.fromkeys((*report.remarks, *report.unchecked)), err)
    write_report(report, outputs, err)
    return report.exit_code
