"""Applies one pipeline: show its plan, ask, apply it and report, for every command that writes."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace
from rich.console import Console

from reconciler.api.approvals import utc_now
from reconciler.api.errors import StateError, diagnostics_of
from reconciler.api.requests import ApplyOptions, Consent, PlanRequest
from reconciler.api.validating import ValidatedPipeline
from reconciler.cli import execution, options, prompts, stores
from reconciler.cli.approvals import other_plan, plan_options, unreviewed
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question, confirm
from reconciler.cli.report_files import write_run
from reconciler.core.approval import digest, is_approved
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.events import Emit, Event, PipelineEvent, StepStarted
from reconciler.core.plan import Plan
from reconciler.core.runs import Follow, PipelineStarted, RunEnded, RunReport, RunResult, RunStarted
from reconciler.engine.apply import ApplyRequest, ApplyResult, ApplyStatus, Approval, apply_plan
from reconciler.engine.plan import PlanResult, check_builders
from reconciler.engine.run_results import applied_run, failed_run
from reconciler.engine.session import Session, session
from reconciler.views.terminal.console import console
from reconciler.views.terminal.lost_output import unstoppable
from reconciler.views.terminal.messages import print_applied, print_diagnostics, print_outcomes
from reconciler.views.terminal.plans import print_mismatch, print_plan, print_refusals, print_stale
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below


@dataclass
class Dialogue:
    """The output and questions between a plan and its apply, and the output after it.

    Attributes:
        consent: what the arguments approve in advance.
        folder: the pipeline's folder, for reports.
        follow: gets the start of the run.
        is_shown: whether the plan was printed.
        refusal: why a plan without problems of its own may not be applied; None if there is no reason.
    """

    out: Console
    err: Console
    progress: ProgressView
    consent: Consent
    folder: str
    follow: Follow
    is_shown: bool = False
    refusal: Diagnostic | None = None

    verb = "apply"
    question = Question.APPLY
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
            self.progress.resume()
            plans = {self.folder: planned.plan}
            self.follow(RunStarted(self.verb, [[self.folder]], plans, digest(plans.values())))
            self.follow(PipelineStarted(self.folder))
        return answer

    def _answer(self, planned: PlanResult, ask: bool) -> Approval:
        approved, actual = self.consent.digest, digest([planned.plan])
        writes = ask or any(step.writes for step in planned.plan.steps)
        if approved is not None and writes:
            if is_approved(approved, actual):
                return Approval.GIVEN
            self.refusal = other_plan(approved, actual)
            print_diagnostics([self.refusal], self.err)
            return Approval.UNATTENDED
        is_attended = ask and not self.consent.yes and prompts.is_interactive()
        refusal = unreviewed([planned.plan], self.consent, actual, is_attended=is_attended)
        if refusal is not None:
            self.refusal = refusal
            print_diagnostics([self.refusal], self.err)
            return Approval.UNATTENDED
        if self.consent.yes or not ask:
            return Approval.GIVEN
        if prompts.is_interactive():
            check_builders(planned)
            is_given = confirm(self.question, [planned.plan])
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


Task = Callable[[Session, Dialogue], ApplyResult]
"""The work for one pipeline, in a signed-in session."""


def apply_one(
    find: Callable[[Emit], ValidatedPipeline],
    folder: str,
    where: options.TargetOptions,
    request: PlanRequest,
    apply_options: ApplyOptions,
    *,
    consent: Consent,
    outputs: Outputs,
    dialogue: type[Dialogue] = Dialogue,
    saved: Plan | None = None,
    skip_moved: bool = False,
    again: tuple[str, ...] = (),
) -> int:
    """Apply one pipeline and return the exit code.

    Args:
        find: returns the pipeline, whose files have no errors. Raises UserError.
        folder: the pipeline's folder, for reports.
        again: as for `run_one`.
    """

    def prepare(emit: Emit) -> Task:
        validated = find(emit)
        return lambda opened, dialogue: apply_plan(
            opened,
            validated,
            request,
            ApplyRequest(apply_options, dialogue.approve, saved, skip_moved),
            revise=dialogue.revise,
            may_bump=dialogue.may_bump,
        )

    return run_one(
        prepare,
        folder,
        where,
        consent=consent,
        outputs=outputs,
        dialogue=dialogue,
        request=request,
        again=again,
    )


def run_one(
    prepare: Callable[[Emit], Task],
    folder: str,
    where: options.TargetOptions,
    *,
    consent: Consent,
    outputs: Outputs,
    dialogue: type[Dialogue],
    request: PlanRequest | None = None,
    again: tuple[str, ...] = (),
) -> int:
    """Run a task for one pipeline, print and report the result and return the exit code.

    Args:
        prepare: returns the task. Raises UserError.
        folder: the pipeline's folder, for reports.
        request: the options of the plan, for a command that repeats the run.
        again: options of a command that repeats the run, apart from those of its plan; with `--plan` or
            `--stack` all of them.

    Raises:
        UserError: a report could not be written.
    """
    out, err = console(sys.stderr if outputs.on_stdout else sys.stdout), console(sys.stderr)
    started_at, started, waited = utc_now(), time.monotonic(), prompts.waited()
    with execution.interruptible() as stop, ProgressView(err) as progress, outputs.events() as follow:

        def emit(event: Event) -> None:
            stop.steps_running = stop.steps_running or isinstance(event, StepStarted)
            stop.note(event)
            progress(event)
            follow(PipelineEvent(folder, event))

        talk = dialogue(out, err, progress, consent, folder, follow)
        try:
            task = prepare(emit)
            with session(
                where.target(),
                stores.store(emit),
                emit,
                stop,
                verb=dialogue.verb,
                stacks_below=stacks_below,
                find_target=where.beside,
                override=consent.override,
            ) as opened:
                applied = task(opened, talk)
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
            dialogue.verb,
            started_at,
            utc_now(),
            digest([run.plan] if run.plan else []),
            (run,),
            refusal=talk.refusal,
            interrupted=stop.is_set(),
            declined=run.result is RunResult.NOT_STARTED and talk.refusal is None,
            options=again,
            plan_options=plan_options(dialogue.verb, where, request or PlanRequest()),
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
