"""Applies one pipeline: show its plan, ask, apply it and report, for every command that writes."""

import sys
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack

from msgspec import Struct
from msgspec.structs import replace

from reconciler.api.applying import (
    ApplyResult,
    ApplyStatus,
    Approval,
    PlanResult,
    Work,
    applied_run,
    apply_one,
    check_builders,
    failed_run,
)
from reconciler.api.approvals import COMMAND, unapproved, utc_now
from reconciler.api.commands import Command
from reconciler.api.errors import StateError, diagnostics_of
from reconciler.api.requests import ApplyOptions, Consent, PlanRequest
from reconciler.cli import execution, options, prompts
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question, confirm
from reconciler.cli.report_files import write_run
from reconciler.core.approval import digest
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.events import Emit, Event, PipelineEvent, StepStarted
from reconciler.core.plan import Plan, request_options
from reconciler.core.runs import Follow, PipelineStarted, RunEnded, RunReport, RunResult, RunStarted
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.lost_output import unstoppable
from reconciler.views.terminal.messages import print_applied, print_diagnostics, print_outcomes
from reconciler.views.terminal.plans import print_mismatch, print_plan, print_refusals, print_stale
from reconciler.views.terminal.progress import ProgressView


class Dialogue(Struct):
    """The output and questions between the plan of one pipeline and its apply, and the output after it.

    Attributes:
        command: the command, with its question.
        consent: what the arguments approve in advance.
        folder: the pipeline's folder, for reports.
        follow: gets the start of the run.
        approved: is entered once the plan is approved: nothing that is printed may end the run then.
        is_shown: whether the plan was printed.
        refusal: why a plan without problems of its own may not be applied; None if there is no reason.
    """

    out: Console
    err: Console
    progress: ProgressView
    command: "WritingCommand"
    consent: Consent
    folder: str
    follow: Follow
    approved: ExitStack
    is_shown: bool = False
    refusal: Diagnostic | None = None

    may_bump = False
    """Whether `revise` may bump the version. If so, the run locks config.toml, as it may write to it."""

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        """The request for the final plan, after a question about the version of the first plan."""
        version = planned.foreign_version
        if version is None or planned.plan.claimed or self.consent.yes or not prompts.is_interactive():
            return request
        self.progress.pause()
        self.show(planned.plan)
        accepted = confirm(Question.ACCEPT, version=version)
        self.progress.resume()
        return replace(request, accept_foreign=accepted)

    def approve(self, planned: PlanResult, ask: bool) -> Approval:
        """Show the plan, and ask for approval. Raises UserError: an image cannot be built."""
        self.progress.pause()
        self.show(planned.plan)
        answer = self._answer(planned, ask)
        if answer is Approval.GIVEN:
            self.approved.enter_context(unstoppable())
            self.progress.resume()
            plans = {self.folder: planned.plan}
            self.follow(RunStarted(self.command.does.verb, [[self.folder]], plans, digest(plans.values())))
            self.follow(PipelineStarted(self.folder))
        return answer

    def _answer(self, planned: PlanResult, ask: bool) -> Approval:
        plans, consent = [planned.plan], self.consent
        if consent.digest is None or ask or any(step.writes for step in planned.plan.steps):
            is_attended = ask and not consent.yes and prompts.is_interactive()
            shared = options.workspace().shared()
            self.refusal = unapproved(plans, digest(plans), consent, shared, COMMAND, is_attended=is_attended)
        if self.refusal is not None:
            print_diagnostics([self.refusal], self.err)
            return Approval.UNATTENDED
        if consent.yes or consent.digest is not None or not ask:
            return Approval.GIVEN
        if prompts.is_interactive():
            check_builders(planned)
            is_given = confirm(self.command.question, plans)
            return Approval.GIVEN if is_given else Approval.DECLINED
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


def unchanged(_: Collection[Plan], request: PlanRequest) -> PlanRequest:
    """The same options."""
    return request


class WritingCommand(Struct, frozen=True):
    """A command that writes, and what it asks and prints.

    Attributes:
        does: the command.
        question: asks for the approval of all plans.
        dialogue: asks and prints for one pipeline.
        revise: gets the plans of several pipelines and their options, and returns the options to plan with
            instead.
    """

    does: Command = Command()
    question: Question = Question.APPLY
    dialogue: type[Dialogue] = Dialogue
    revise: Callable[[Collection[Plan], PlanRequest], PlanRequest] = unchanged


def run_one(
    command: WritingCommand,
    prepare: Callable[[Emit], Work],
    folder: str,
    where: options.TargetOptions,
    request: PlanRequest,
    *,
    consent: Consent,
    apply_options: ApplyOptions,
    outputs: Outputs,
    saved: Plan | None = None,
    skip_moved: bool = False,
) -> int:
    """Plan and apply one stack, print and report the result and return the exit code.

    Args:
        prepare: returns what applies it. Raises UserError.
        folder: the pipeline's folder, for reports.
        request: the options of the plan, for a command that repeats the run.
        saved: a plan that was approved earlier; None to ask.
        skip_moved: apply the steps of a saved plan that are still valid, if others changed.

    Raises:
        UserError: a report could not be written.
    """
    out, err = console(sys.stderr if outputs.on_stdout else sys.stdout), console(sys.stderr)
    started_at, started, waited = utc_now(), time.monotonic(), prompts.waited()
    with (
        ExitStack() as approved,
        execution.interruptible() as stop,
        ProgressView(err) as progress,
        outputs.events() as follow,
    ):

        def emit(event: Event) -> None:
            stop.steps_running = stop.steps_running or isinstance(event, StepStarted)
            stop.note(event)
            progress(event)
            follow(PipelineEvent(folder, event))

        environment = where.named()
        talk = command.dialogue(out, err, progress, command, consent, folder, follow, approved)
        try:
            applied = apply_one(
                prepare,
                environment,
                options.state_url(),
                command.does,
                apply_options,
                talk,
                emit,
                stop=stop,
                saved=saved,
                skip_moved=skip_moved,
                override=consent.override,
            )
        except (UserError, StateError) as problem:
            progress.pause()
            with unstoppable():
                print_diagnostics(diagnostics_of(problem), err)
            run = failed_run(problem, folder)
        else:
            progress.pause()
            with unstoppable():
                _print_result(applied, talk)
            asked = prompts.waited() - waited
            run = applied_run(applied, folder, time.monotonic() - started - asked)
        report = RunReport(
            command.does.verb,
            started_at,
            utc_now(),
            digest([run.plan] if run.plan else []),
            (run,),
            refusal=talk.refusal,
            interrupted=stop.is_set(),
            declined=run.result is RunResult.NOT_STARTED and talk.refusal is None,
            options=command.does.options,
            plan_options=(
                *environment.arguments(command.does.verb),
                *request_options(request.to_document()),
            ),
            waited=round(prompts.waited() - waited),
        )
        follow(RunEnded(report))
    with unstoppable():
        write_run(report, outputs, err)
    return report.exit_code


def _print_result(applied: ApplyResult, dialogue: Dialogue) -> None:
    plan = applied.planned.plan
    if applied.mismatch is not None:
        print_mismatch(applied.mismatch, dialogue.err)
        return
    if not dialogue.is_shown:
        dialogue.show(plan)
    if applied.stale_steps:
        print_stale(applied.stale_steps, dialogue.err)
    if applied.result is None:
        print_refusals(plan, dialogue.err)
        if applied.status is ApplyStatus.DECLINED:
            dialogue.err.print("Nothing was applied.")
        dialogue.report_not_applied(applied.planned)
        return
    print_outcomes(applied.result.outcomes, dialogue.err)
    dialogue.report_applied(applied)
