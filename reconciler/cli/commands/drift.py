"""`reconciler drift`."""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.acknowledging import BaselineOptions, acknowledging
from reconciler.cli.outputs import Outputs, output_files, write_report
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.drift.check import check
from reconciler.drift.findings import Report
from reconciler.engine import fleet
from reconciler.engine.session import ReadOptions
from reconciler.views.reports.drift_json import first_seen
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from reconciler.views.terminal.messages import diagnosed, print_diagnostics
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.shards import Shard, part_of


class _DriftCommand(click.Command):
    """`drift PIPELINE...`, and `drift merge FILE...`; a pipeline of that name is `./merge`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["merge"]:
            from reconciler.cli.commands.drift_merge import command as merge

            return merge.make_context("drift merge", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("drift", cls=_DriftCommand)
@options.pipelines
@options.where
@output_files("json", "junit", "markdown", "html")
@acknowledging
@options.fleet
@click.option("--shard", type=options.ShardType(), help="Only this part of the pipelines, for CI matrices.")
@options.classes
def command(
    selection: options.Selection,
    where: options.TargetOptions,
    outputs: Outputs,
    known: BaselineOptions,
    rps: float | None,
    shard: Shard | None,
    read_options: ReadOptions,
) -> int:
    """Tell what somebody changed outside of the files.

    Reads only: it sends no write of any kind, takes no lock, and works with a read-only token. Exits with 0
    when all is in sync, 10 when the files ask for changes, 11 for drift, 12 for a conflict, and 13 when
    something could not be checked; the highest wins.

    Several jobs share the pipelines with --shard; `reconciler drift merge FILE...` makes one report of
    theirs. (A pipeline called merge is ./merge.)
    """
    err = console(sys.stderr)
    now = datetime.now(UTC).replace(microsecond=0)
    rules = known.rules(err)
    earlier = outputs.file("json")
    since = first_seen(earlier) if earlier else {}
    failed: dict[str, tuple[Diagnostic, ...]] = {}

    def not_found(name: str, problem: UserError) -> None:
        failed[name] = diagnosed(problem)

    with ProgressView(err) as watch:
        result = fleet.inspect_all(
            folders := part_of(selection.named_folders(not_found), Path.cwd(), shard),
            where.reads(read_options),
            partial(options.signed_in, where, rps),
            partial(check, first_seen=since, now=now),
            watch,
        )
    if result.sign_in_error is not None:
        raise result.sign_in_error
    failed |= {options.shown(folder): diagnosed(problem) for folder, problem in result.problems.items()}
    report = known.with_acknowledgements(
        Report(now, tuple(result.results.values()), failed, shard=shard), rules, err
    )
    print_report(report, outputs.terminal)
    print_diagnostics(dict.fromkeys((*report.remarks, *report.unchecked)), err)
    write_report(report, outputs, err)
    print_diagnostics(outputs.in_images(folders), err)
    return report.exit_code
