"""Shared by `apply`, `deploy`, `destroy` and `rollback`: show each plan, ask, apply it, print the result."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TextIO

from rich.console import Console

from reconciler.cli import execution, options, prompts, stores
from reconciler.cli.prompts import confirm
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit, Event, StepStarted
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, INTERRUPTED, code_of, worst
from reconciler.core.plan import Plan
from reconciler.engine.apply import ApplyRequest, ApplyResult, ApplyStatus, Approval, apply_plan
from reconciler.engine.plan import PlanResult
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.requests import ApplyOptions, PlanRequest
from reconciler.engine.session import Session, session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import (
    print_applied,
    print_diagnostics,
    print_outcomes,
)
from reconciler.views.terminal.plans import print_mismatch, print_plan, print_refusals, print_stale
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below
from state.errors import StateError

Failed = Callable[[UserError | StateError], None]


@dataclass
class Dialogue:
    """The output and questions between a plan and its apply, and the output after it.

    Attributes:
        yes: skip all questions.
        is_shown: whether the plan was printed.
    """

    out: Console
    err: Console
    progress: ProgressView
    yes: bool
    is_shown: bool = False

    verb = "apply"
    question = "Apply this?"
    default_answer = False
    """The answer to `question` for Enter."""
    may_bump = False
    """Whether `revise` may bump the version. If so, the run locks config.toml, as it may write to it."""

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        """The request for the final plan, after a question about the version of the first plan."""
        version = planned.foreign_version
        if version is None or planned.plan.claimed or self.yes or not prompts.is_interactive():
            return request
        self.progress.pause()
        self.show(planned.plan)
        accepted = confirm(f"Accept {version} as made from these files?", default=False)
        return replace(request, accept_foreign=accepted)

    def approve(self, planned: PlanResult, ask: bool) -> Approval:
        """Show the plan, and ask for approval."""
        self.progress.pause()
        self.show(planned.plan)
        if self.yes or not ask:
            return Approval.GIVEN
        if prompts.is_interactive():
            is_approved = confirm(self.question, default=self.default_answer)
            return Approval.GIVEN if is_approved else Approval.DECLINED
        return Approval.UNATTENDED if self.needs_yes(planned) else Approval.GIVEN

    def needs_yes(self, planned: PlanResult) -> bool:
        """Whether the plan needs --yes without a terminal; prints the reason."""
        if planned.plan.is_destructive:
            self.err.print(
                "refused: the plan deletes or replaces resources; without a terminal this needs --yes"
            )
        return planned.plan.is_destructive

    def show(self, plan: Plan) -> None:
        print_plan(plan, self.out)
        print_diagnostics(plan.diagnostics, self.err)
        self.is_shown = True

    def report_not_applied(self, planned: PlanResult) -> None:
        """Print the consequences if nothing was applied; none by default."""

    def report_applied(self, applied: ApplyResult) -> None:
        """Print the result of an apply."""
        print_applied(applied, self.out, self.err)


Task = Callable[[Session, Dialogue], ApplyResult]
"""The work for one pipeline, in a signed-in session."""


def apply_all(
    find: Callable[[Failed, Emit], Iterable[ValidatedPipeline]],
    where: options.TargetOptions,
    request: PlanRequest,
    apply_options: ApplyOptions,
    *,
    yes: bool,
    dialogue: type[Dialogue] = Dialogue,
    saved: Plan | None = None,
    skip_moved: bool = False,
    out: TextIO,
    err: TextIO,
) -> int:
    """Apply the pipelines one after the other and return the exit code.

    Args:
        find: returns the pipelines whose files have no errors; passes other problems and events to its
            arguments.
    """

    def task(validated: ValidatedPipeline) -> Task:
        return lambda opened, dialogue: apply_plan(
            opened,
            validated,
            request,
            ApplyRequest(apply_options, dialogue.approve, saved, skip_moved),
            revise=dialogue.revise,
            may_bump=dialogue.may_bump,
        )

    return run_each(
        lambda failed, emit: map(task, find(failed, emit)),
        where,
        yes=yes,
        dialogue=dialogue,
        out=out,
        err=err,
    )


def run_each(
    find: Callable[[Failed, Emit], Iterable[Task]],
    where: options.TargetOptions,
    *,
    yes: bool,
    dialogue: type[Dialogue],
    out: TextIO,
    err: TextIO,
) -> int:
    """Run the tasks one after the other, print each result and return the exit code.

    A failed task does not stop the others.

    Args:
        find: returns the tasks; passes problems and events to its arguments.
    """
    out_console, err_console = console(out), console(err)
    codes = {DONE}

    def failed(problem: UserError | StateError) -> None:
        progress.pause()
        print_diagnostics(diagnostics_of(problem), err_console)
        codes.add(code_of(problem))

    def emit(event: Event) -> None:
        stop.steps_running = stop.steps_running or isinstance(event, StepStarted)
        progress(event)

    with execution.interruptible() as stop, ProgressView(err_console) as progress:
        tasks = list(find(failed, emit))
        if tasks:
            with session(
                where.target(), stores.store(emit), emit, stop, verb=dialogue.verb, stacks_below=stacks_below
            ) as opened:
                for task in tasks:
                    if stop.is_set():
                        break
                    dialogue_of_task = dialogue(out_console, err_console, progress, yes)
                    try:
                        applied = task(opened, dialogue_of_task)
                    except (UserError, StateError) as problem:
                        failed(problem)
                        continue
                    finally:
                        stop.steps_running = False
                    progress.pause()
                    codes.add(_report_result(applied, dialogue_of_task))
        if stop.is_set():
            return INTERRUPTED
    return worst(codes)


def _report_result(applied: ApplyResult, dialogue: Dialogue) -> int:
    """Print the result and return its exit code."""
    plan = applied.planned.plan
    if applied.mismatch is not None:
        print_mismatch(applied.mismatch, dialogue.err)
        return CONFLICT
    if not dialogue.is_shown:
        dialogue.show(plan)
    if applied.stale_steps:
        print_stale(applied.stale_steps, dialogue.err)
    if applied.result is None:
        print_refusals(plan, dialogue.err)
        declined = applied.status is ApplyStatus.DECLINED
        if declined:
            dialogue.err.print("Nothing was applied.")
        dialogue.report_not_applied(applied.planned)
        return FAILED if declined else CONFLICT
    print_outcomes(applied.result.outcomes, dialogue.err)
    dialogue.report_applied(applied)
    if not applied.succeeded:
        return FAILED
    return CONFLICT if applied.stale_steps else DONE
