"""Runs `reconciler show`."""

import sys
from pathlib import Path

from reconciler.core.exit_codes import DONE
from reconciler.views.reports.plan_json import read_plan
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_plan, print_refusals


def run(plan_file: Path) -> int:
    plan, _ = read_plan(plan_file)
    print_plan(plan, console(sys.stdout))
    err = console(sys.stderr)
    print_diagnostics(plan.diagnostics, err)
    print_refusals(plan, err)
    return DONE
