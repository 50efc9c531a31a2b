"""`reconciler show`."""

import sys
from pathlib import Path

import click

from reconciler.cli.exits import DONE
from reconciler.views.documents import read_plan
from reconciler.views.lines import console
from reconciler.views.plans import print_plan, print_refusals
from reconciler.views.reports import print_diagnostics


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
