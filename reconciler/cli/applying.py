"""What `apply` and `destroy` share: ask, apply each pipeline, tell how it ended."""

from typing import TextIO

import click
from rich.console import Console

from reconciler.cli import options
from reconciler.cli.exits import CONFLICT, DONE, FAILED, INTERRUPTED, code_of
from reconciler.diagnostics import UserError
from reconciler.events import Event, StepStarted
from reconciler.plan import Plan
from reconciler.session import Applied, Planned, Reading, RefusedPlanError, Wishes, apply_plan, session
from reconciler.views.lines import console
from reconciler.views.plans import print_moved, print_plan, print_refusals
from reconciler.views.reports import diagnosed, print_applied, print_diagnostics, print_outcomes
from reconciler.views.watch import Watch
from state.errors import StateError


def apply_all(
    chosen: options.Chosen,
    where: options.Where,
    wishes: Wishes,
    reading: Reading,
    *,
    yes: bool,
    parallel: int,
    lock_timeout: float,
    saved: Plan | None = None,
    skip_moved: bool = False,
    out: TextIO,
    err: TextIO,
) -> int:
    """Apply each pipeline in turn; the exit code. One that fails does not keep the others from their turn."""
    shown, told = console(out), console(err)
    codes = {DONE}

    def failed(problem: UserError | StateError) -> None:
        watch.pause()
        print_diagnostics(diagnosed(problem), told)
        codes.add(CONFLICT if isinstance(problem, RefusedPlanError) else code_of(problem))

    def emit(event: Event) -> None:
        stop.stepping = stop.stepping or isinstance(event, StepStarted)
        watch(event)

    with options.interruptible() as stop, Watch(told) as watch:
        sound = list(options.checked(chosen.folders(failed), reading, failed))
        if sound:
            with session(where.target(), options.store(), emit, stop) as opened:
                for found in sound:
                    if stop.is_set():
                        break
                    approval = Approval(shown, told, watch, yes)
                    try:
                        applied = apply_plan(
                            opened,
                            found,
                            wishes,
                            approve=approval,
                            parallel=parallel,
                            lock_timeout=lock_timeout,
                            command=options.command_line(),
                            saved=saved,
                            skip_moved=skip_moved,
                        )
                    except (UserError, StateError) as problem:
                        failed(problem)
                        continue
                    finally:
                        stop.stepping = False
                    watch.pause()
                    codes.add(_tell(applied, approval, shown, told))
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

    def __call__(self, planned: Planned, ask: bool) -> bool:
        self._watch.pause()
        print_plan(planned.plan, self._out)
        print_diagnostics(planned.plan.diagnostics, self._err)
        self.shown = True
        if self._yes or not ask:
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


def _tell(applied: Applied, approval: Approval, out: Console, err: Console) -> int:
    """Say how it ended; the exit code that goes with it."""
    plan = applied.planned.plan
    if not approval.shown:
        print_plan(plan, out)
        print_diagnostics(plan.diagnostics, err)
    if applied.moved:
        print_moved(applied.moved, err)
    if applied.result is None:
        print_refusals(plan, err)
        refused = approval.refused or not plan.can_apply or applied.moved
        if not refused:
            err.print("Nothing was applied.")
        return CONFLICT if refused else FAILED
    print_outcomes(applied.result.outcomes, err)
    print_applied(applied, out, err)
    if not applied.result.succeeded:
        return FAILED
    return CONFLICT if applied.moved else DONE
