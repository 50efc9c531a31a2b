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
from reconciler.session import CannotCheckError, Wishes, make_plan, session
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
    reading = options.reading(python, static_only, class_timeout)
    wishes = Wishes(Bump(bump) if bump else None, Options(replace=replace, prune=prune), targets)
    plans: list[Plan] = []
    errors: list[Diagnostic] = []
    codes = {DONE}

    def failed(problem: UserError) -> None:
        errors.extend(problem.diagnostics)
        codes.add(UNCHECKED if exit_code and isinstance(problem, CannotCheckError) else FAILED)

    with Watch(err) as watch:
        sound = list(options.checked(folders, reading, failed))
        try:
            if sound:
                target = options.target(organization, environment)
                with session(target, options.store(), watch, threading.Event()) as opened:
                    for found in sound:
                        try:
                            plans.append(make_plan(opened, found, wishes).plan)
                        except UserError as problem:
                            failed(problem)
        except UserError as problem:
            failed(problem)
    if as_json:
        only_one = len(folders) == 1 and plans
        sys.stdout.write(plan_text(plans[0]) if only_one else plans_text(plans, errors))
    for plan in plans:
        if not as_json:
            print_plan(plan, out)
        print_diagnostics(plan.diagnostics, err)
        if not as_json:
            print_refusals(plan, err)
    print_diagnostics(errors, err)
    if exit_code:
        codes |= {plan.exit_code for plan in plans}
    return FAILED if FAILED in codes else max(codes)
