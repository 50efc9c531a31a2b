"""What `apply`, `deploy` and `destroy` share: show the plan, ask, apply each pipeline, tell how it ended."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TextIO

from rich.console import Console

from reconciler.cli import execution, options, prompts, stores
from reconciler.cli.prompts import confirm
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Event, StepStarted
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, INTERRUPTED, code_of, worst
from reconciler.core.plan import Plan
from reconciler.engine.apply import ApplyRequest, ApplyResult, ApplyStatus, Approval, apply_plan
from reconciler.engine.plan import PlanResult
from reconciler.engine.requests import ApplyOptions, PlanRequest
from reconciler.engine.session import Session, session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import diagnosed, print_applied, print_diagnostics, print_outcomes
from reconciler.views.terminal.plans import print_mismatch, print_plan, print_refusals, print_stale
from reconciler.views.terminal.progress import ProgressView
from state.errors import StateError

Failed = Callable[[UserError | StateError], None]


@dataclass
class Dialogue:
    """What is shown and asked between the plan and the deed, and what is told afterwards.

    Attributes:
        yes: the answer to every question is known.
        shown: whether the plan was shown already.
    """

    out: Console
    err: Console
    watch: ProgressView
    yes: bool
    shown: bool = False

    verb = "apply"
    question = "Apply this?"
    usually = False
    """The answer that Enter gives."""
    bumps = False
    """Whether `revise` may bump: config.toml may be written then, and by no other run meanwhile."""

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        """The wishes that the plan should be made with again, after a question about its version."""
        version = planned.foreign_version
        if version is None or self.yes or not prompts.someone_watches():
            return request
        self.watch.pause()
        self.show(planned.plan)
        taken = confirm(f"Take {version} as it is, as made from these files?", default=False)
        return replace(request, accept_foreign=taken)

    def approve(self, planned: PlanResult, ask: bool) -> Approval:
        """Show the plan, and ask whether to apply it."""
        self.watch.pause()
        self.show(planned.plan)
        if self.yes or not ask:
            return Approval.GIVEN
        if prompts.someone_watches():
            given = confirm(self.question, default=self.usually)
            return Approval.GIVEN if given else Approval.DECLINED
        return Approval.UNATTENDED if self.is_refused_unseen(planned.plan) else Approval.GIVEN

    def is_refused_unseen(self, plan: Plan) -> bool:
        """Whether this plan needs an answer where there is no terminal to ask at; prints why."""
        if plan.is_destructive:
            told = "refused: the plan deletes or replaces resources; without a terminal this needs --yes"
            self.err.print(told)
        return plan.is_destructive

    def show(self, plan: Plan) -> None:
        print_plan(plan, self.out)
        print_diagnostics(plan.diagnostics, self.err)
        self.shown = True

    def undone(self, planned: PlanResult) -> None:
        """Tell what else there is to know when nothing was applied."""

    def done(self, applied: ApplyResult) -> None:
        """Tell how it ended."""
        print_applied(applied, self.out, self.err)


Work = Callable[[Session, Dialogue], ApplyResult]
"""What is done for one pipeline, once we are signed in."""


def apply_all(
    find: Callable[[Failed], Iterable[ValidatedPipeline]],
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
    """Apply each pipeline in turn; the exit code.

    Args:
        find: gives the pipelines whose files have no errors, and what is wrong with others to its argument.
    """

    def work_for(found: ValidatedPipeline) -> Work:
        return lambda opened, talk: apply_plan(
            opened,
            found,
            request,
            ApplyRequest(apply_options, talk.approve, saved, skip_moved),
            revise=talk.revise,
            may_bump=talk.bumps,
        )

    return in_turn(
        lambda failed: map(work_for, find(failed)), where, yes=yes, dialogue=dialogue, out=out, err=err
    )


def in_turn(
    find: Callable[[Failed], Iterable[Work]],
    where: options.TargetOptions,
    *,
    yes: bool,
    dialogue: type[Dialogue],
    out: TextIO,
    err: TextIO,
) -> int:
    """Do one thing after the other and tell how each ended; the exit code.

    One that fails does not keep the others from their turn.

    Args:
        find: gives what is to be done, and what cannot be to its argument.
    """
    shown, told = console(out), console(err)
    codes = {DONE}

    def failed(problem: UserError | StateError) -> None:
        watch.pause()
        print_diagnostics(diagnosed(problem), told)
        codes.add(code_of(problem))

    def emit(event: Event) -> None:
        stop.stepping = stop.stepping or isinstance(event, StepStarted)
        watch(event)

    with execution.interruptible() as stop, ProgressView(told) as watch:
        todo = list(find(failed))
        if todo:
            with session(where.target(), stores.store(emit), emit, stop, verb=dialogue.verb) as opened:
                for work in todo:
                    if stop.is_set():
                        break
                    talk = dialogue(shown, told, watch, yes)
                    try:
                        applied = work(opened, talk)
                    except (UserError, StateError) as problem:
                        failed(problem)
                        continue
                    finally:
                        stop.stepping = False
                    watch.pause()
                    codes.add(_report_outcome(applied, talk))
        if stop.is_set():
            return INTERRUPTED
    return worst(codes)


def _report_outcome(applied: ApplyResult, talk: Dialogue) -> int:
    """Say how it ended; the exit code that goes with it."""
    plan = applied.planned.plan
    if applied.mismatch is not None:
        print_mismatch(applied.mismatch, talk.err)
        return CONFLICT
    if not talk.shown:
        talk.show(plan)
    if applied.stale_steps:
        print_stale(applied.stale_steps, talk.err)
    if applied.result is None:
        print_refusals(plan, talk.err)
        declined = applied.status is ApplyStatus.DECLINED
        if declined:
            talk.err.print("Nothing was applied.")
        talk.undone(applied.planned)
        return FAILED if declined else CONFLICT
    print_outcomes(applied.result.outcomes, talk.err)
    talk.done(applied)
    if not applied.succeeded:
        return FAILED
    return CONFLICT if applied.stale_steps else DONE
