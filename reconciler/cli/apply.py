"""`reconciler apply`."""

import sys
from pathlib import Path

import click
from rich.console import Console

from reconciler.cli import options
from reconciler.cli.exits import CONFLICT, DONE, FAILED, INTERRUPTED
from reconciler.diagnostics import UserError
from reconciler.events import Status
from reconciler.pipeline.version import Bump
from reconciler.planner import Options
from reconciler.session import Applied, Planned, Wishes, apply_plan, session
from reconciler.values import Address
from reconciler.views.lines import console
from reconciler.views.plans import print_plan, print_refusals
from reconciler.views.reports import print_applied, print_diagnostics, print_outcomes
from reconciler.views.watch import Watch


@click.command("apply")
@options.pipelines
@options.where
@options.planning
@click.option("--yes", "-y", is_flag=True, help="Do not ask; allow inputs to be deleted and replaced.")
@click.option("--ours", is_flag=True, help="In a conflict the files win.")
@click.option("--theirs", is_flag=True, help="In a conflict the live value is kept, and recorded.")
@click.option("--parallel", type=click.IntRange(1, 64), default=8, show_default=True, help="Steps at once.")
@click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another run.",
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
    yes: bool,
    ours: bool,
    theirs: bool,
    parallel: int,
    lock_timeout: float,
    python: Path | None,
    static_only: bool,
    class_timeout: float,
) -> int:
    """Make the platform and the registry what the files say.

    Shows the plan first and asks, in a terminal. Elsewhere it goes on by itself, unless something would be
    deleted or replaced: that needs --yes.
    """
    if ours and theirs:
        raise click.UsageError("--ours and --theirs say opposite things")
    out, err = console(sys.stdout), console(sys.stderr)
    folders = options.folders(names, everything)
    reading = options.reading(python, static_only, class_timeout)
    conflicts = Options(
        ours=None if ours else (), theirs=None if theirs else (), replace=replace, prune=prune
    )
    wishes = Wishes(Bump(bump) if bump else None, conflicts, targets)
    codes = {DONE}

    def failed(problem: UserError) -> None:
        watch.pause()
        print_diagnostics(problem.diagnostics, err)
        codes.add(FAILED)

    with options.interruptible() as stop, Watch(err) as watch:
        sound = list(options.checked(folders, reading, failed))
        if sound:
            target = options.target(organization, environment)
            with session(target, options.store(), watch, stop) as opened:
                for found in sound:
                    approval = Approval(out, err, watch, yes)
                    try:
                        applied = apply_plan(
                            opened,
                            found,
                            wishes,
                            approve=approval,
                            parallel=parallel,
                            lock_timeout=lock_timeout,
                            command=options.command_line(),
                        )
                    except UserError as problem:
                        failed(problem)
                        continue
                    watch.pause()
                    codes.add(_told(applied, approval, out, err))
        if stop.is_set():
            return INTERRUPTED
    return FAILED if FAILED in codes else max(codes)


class Approval:
    """Shows the plan and finds out whether to go on."""

    def __init__(self, out: Console, err: Console, watch: Watch, yes: bool) -> None:
        self._out = out
        self._err = err
        self._watch = watch
        self._yes = yes
        self.shown = False
        self.refused = False

    def __call__(self, planned: Planned) -> bool:
        self._watch.pause()
        print_plan(planned.plan, self._out)
        print_diagnostics(planned.plan.diagnostics, self._err)
        self.shown = True
        if self._yes:
            return True
        if options.someone_watches():
            return click.confirm("\nApply this?", default=False, err=True)
        if planned.plan.is_destructive:
            self._err.print(
                "refused: something would be deleted or replaced, and nobody can be asked; use --yes"
            )
            self.refused = True
            return False
        return True


def _told(applied: Applied, approval: Approval, out: Console, err: Console) -> int:
    """Say how it ended; the exit code that goes with it."""
    plan = applied.planned.plan
    if not approval.shown:
        print_plan(plan, out)
        print_diagnostics(plan.diagnostics, err)
    if applied.result is None:
        print_refusals(plan, err)
        return CONFLICT if approval.refused or not plan.can_apply else FAILED
    print_outcomes(applied.result.outcomes, err)
    print_applied(applied, out, err)
    return DONE if not applied.result.of(Status.FAILED) and applied.result.succeeded else FAILED
