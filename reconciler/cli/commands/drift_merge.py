"""`reconciler drift merge`: one report from those of several jobs."""

import sys
from pathlib import Path

import click

from reconciler.cli.outputs import Outputs, output_files, write_report
from reconciler.drift.merge import merged
from reconciler.views.reports.drift_json import read_report
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from reconciler.views.terminal.messages import print_diagnostics


@click.command("merge")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_files("json", "junit", "markdown", "html")
def command(files: tuple[Path, ...], outputs: Outputs) -> int:
    """Make one report of those that `drift --shard K/N --json FILE` wrote.

    A part that is missing was not checked. Exits as `drift` does.
    """
    err = console(sys.stderr)
    report = merged(read_report(file) for file in files)
    print_report(report, outputs.terminal)
    print_diagnostics(dict.fromkeys((*report.remarks, *report.unchecked)), err)
    write_report(report, outputs, err)
    return report.exit_code
