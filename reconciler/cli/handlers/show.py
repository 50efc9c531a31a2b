"""Runs `reconciler show`."""

import sys
from pathlib import Path

from reconciler.cli.documents import format_of
from reconciler.core.exit_codes import DONE
from reconciler.core.runs import RunReport
from reconciler.views.reports.plan_json import SavedPlans, read_saved
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_plan, print_refusals


def run(file: Path) -> int:
    match format_of(file):
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


def _show_run(report: RunReport) -> None:
    from reconciler.views.terminal.recap import print_recap

    print_recap(report, console(sys.stdout), console(sys.stderr))


def _show_plan(file: Path) -> None:
    saved = read_saved(file)
    out, err = console(sys.stdout), console(sys.stderr)
    for plan in saved.plans if isinstance(saved, SavedPlans) else (saved,):
        print_plan(plan, out)
        print_diagnostics(plan.diagnostics, err)
        print_refusals(plan, err)
