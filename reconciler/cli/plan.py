"""`reconciler plan`."""

import sys
import threading
from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.exits import DONE, FAILED, UNCHECKED
from reconciler.diagnostics import Diagnostic, UserError
from reconciler.pipeline.version import Bump
from reconciler.plan import Plan
from reconciler.planner import Options
from reconciler.session import CannotCheckError, Wishes, make_plan, session, validate
from reconciler.values import Address
from reconciler.views.documents import plan_text, plans_text
from reconciler.views.lines import console
from reconciler.views.plans import print_plan, print_refusals
from reconciler.views.reports import print_diagnostics
from reconciler.views.watch import Watch


@click.command("plan")
@options.pipelines
@options.where
@options.planning
@click.option("--json", "as_json", is_flag=True, help="Print the plan as a JSON document.")
@click.option(
    "--exit-code", is_flag=True, help="0 in sync, 10 changes, 11 drift, 12 conflict, 13 not checked."
)
@options.classes
def command(
    names: tuple[str, ...],
    everything: bool,
    organization: str | None,
    environment: str | None,
    bump: str | None,
    targets: tuple[Address, ...],
    replace: tuple[Address, ...],
    prune: bool,
    as_json: bool,
    exit_code: bool,
    python: Path | None,
    static_only: bool,
    class_timeout: float,
) -> int:
    """Show what apply would change, and why.

    Reads only: it sends no write of any kind, takes no lock, and works with a read-only token.
    """
    out, err = console(sys.stdout), console(sys.stderr)
    folders = options.folders(names, everything)
    target = options.target(organization, environment)
    reading = options.reading(python, static_only, class_timeout)
    wishes = Wishes(Bump(bump) if bump else None, Options(replace=replace, prune=prune), targets)
    plans: list[Plan] = []
    errors: list[Diagnostic] = []
    codes = {DONE}
    with Watch(err) as watch:
        checked = {folder: validate(folder, reading) for folder in folders}
        for found in checked.values():
            found.sound() if len(folders) == 1 else None
        with session(target, options.store(), reading, watch, threading.Event()) as opened:
            for folder in folders:
                try:
                    plans.append(make_plan(opened, checked[folder], wishes).plan)
                except UserError as problem:
                    errors.extend(problem.diagnostics)
                    codes.add(UNCHECKED if exit_code and isinstance(problem, CannotCheckError) else FAILED)
    if as_json:
        single = len(folders) == 1 and plans
        sys.stdout.write(plan_text(plans[0]) if single else plans_text(plans, errors))
    else:
        for plan in plans:
            print_plan(plan, out)
    for plan in plans:
        print_diagnostics(plan.diagnostics, err)
        if not as_json:
            print_refusals(plan, err)
    print_diagnostics(errors, err)
    if exit_code:
        codes |= {plan.exit_code for plan in plans}
    return FAILED if FAILED in codes else max(codes)
