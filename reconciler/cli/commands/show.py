"""`reconciler show`."""

import sys
from pathlib import Path

import click

from reconciler.core.exit_codes import DONE
from reconciler.views.reports.plan_json import read_plan
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.plans import print_plan, print_refusals


@click.command("show")
@click.argument("plan_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def command(plan_file: Path) -> int:
    """Show a plan that was saved by plan --out, as it was made.

    Asks nobody, so it works for a plan that is long out of date.
    """
    plan, _ = read_plan(plan_file)
    print_plan(plan, console(sys.stdout))
    err = console(sys.stderr)
    print_diagnostics(plan.diagnostics, err)
    print_refusals(plan, err)
    return DONE
