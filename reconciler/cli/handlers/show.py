"""Runs `reconciler show`."""

import re
import sys
from pathlib import Path

from reconciler.core.exit_codes import DONE
from reconciler.core.runs import RunReport
from reconciler.views.reports.plan_json import read_plan
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_plan, print_refusals

_FORMAT = re.compile(rb'"format": ?"(reconciler/[a-z]+)"')
"""Every document begins with its format."""


def run(file: Path) -> int:
    match _format(file):
        case b"reconciler/run":
            from reconciler.views.reports.run_json import read_run

            _show_run(read_run(file))
        case b"reconciler/events":
            from reconciler.views.reports.run_events import read_events

            report, remarks = read_events(file)
            print_diagnostics(remarks, console(sys.stderr))
            _show_run(report)
        case _:
            _show_plan(file)
    return DONE


def _format(file: Path) -> bytes:
    """The format that the beginning of the file names; b"" if it names none or cannot be read."""
    try:
        if not file.is_file():  # a pipe could be read only once
            return b""
        with file.open("rb") as opened:
            found = _FORMAT.search(opened.read(200))
    except OSError:
        return b""
    return found[1] if found else b""


def _show_run(report: RunReport) -> None:
    from reconciler.views.terminal.recap import print_recap

    print_recap(report, console(sys.stdout), console(sys.stderr))


def _show_plan(file: Path) -> None:
    plan, _ = read_plan(file)
    print_plan(plan, console(sys.stdout))
    err = console(sys.stderr)
    print_diagnostics(plan.diagnostics, err)
    print_refusals(plan, err)
