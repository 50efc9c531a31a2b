"""Runs `reconciler drift merge`."""

import sys
from pathlib import Path

from reconciler.api.reports import merged_report
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import terminal, write_report
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from reconciler.views.terminal.messages import print_diagnostics


def run(files: tuple[Path, ...], outputs: Outputs) -> int:
    err = console(sys.stderr)
    report = merged_report(files)
    print_report(report, terminal(outputs))
    print_diagnostics(dict.fromkeys((*report.remarks, *report.unchecked)), err)
    write_report(report, outputs, err)
    return report.exit_code
