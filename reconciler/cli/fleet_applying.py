"""Applies many pipelines: plan all, show one summary, ask once, apply side by side, and report each."""

import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from reconciler.cli import execution, options, prompts, stores
from reconciler.cli.approvals import missing_review, other_plan, plan_options, utc_now
from reconciler.cli.cluster import workers_of
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import write_run
from reconciler.core.approval import SHORT, digest, is_approved
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.exit_codes import CONFLICT
from reconciler.core.plan import Plan
from reconciler.core.runs import Follow, PipelineRun, RunEnded, RunEvent, RunReport, RunResult, RunStarted
from reconciler.core.stale import plan_mismatch, stale_steps
from reconciler.core.waves import ONE_WAVE
from reconciler.engine.apply import SHARED
from reconciler.engine.chunks import Task
from reconciler.engine.files_key import files_key
from reconciler.engine.fleet_apply import Operation, apply_approved, apply_fleet
from reconciler.engine.inspection import inspect_all
from reconciler.engine.requests import (
    JOBS,
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    ReadOptions,
)
from reconciler.engine.run_results import failed_run, planned_run
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.system.files import display_path
from reconciler.views.counting import plural
from reconciler.views.terminal.console import console
from reconciler.views.terminal.fleet_plan import print_fleet_plan
from reconciler.views.terminal.fleet_progress import FleetTable
from reconciler.views.terminal.progress import ProgressView
from reconciler.views.terminal.recap import print_recap

WAIT = 120.0
"""Seconds that a worker of a cluster waits for the lock of one that died."""


def is_destructive(plan: Plan) -> bool:
    """Whether the plan deletes or replaces resources."""
    return plan.is_destructive


def unchanged(_: Collection[Plan], request: PlanRequest) -> PlanRequest:
    """The same options."""
    return request


@dataclass(frozen=True, slots=True)
class FleetCommand:
    """A command that writes, and its words.

    Attributes:
        operation: plans and applies one pipeline.
        verb: its name.
        question: asks for the approval of all plans.
        confirms: the plans that need an approval without a terminal.
        revise: gets the plans and their options, and returns the options to plan with instead.
        options: of a command that repeats the run, apart from those of its plans.
    """

    operation: Operation
    verb: str = "apply"
    question: prompts.Question = prompts.Question.APPLY
    confirms: Callable[[Plan], bool] = is_destructive
    revise: Callable[[Collection[Plan], PlanRequest], PlanRequest] = unchanged
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SavedPlans:
    """Plans that the user approved when they were saved.

    Attributes:
        plans: the folder of each pipeline with its plan.
        digest: of all plans, also of those of other shards.
        skip_stale: apply the other plans if some are out of date. Otherwise one of them stops all.
        skip_stale_steps: apply the steps of a plan that are still valid, if others changed.
    """

    plans: Mapping[Path, Plan]
    digest: str
    skip_stale: bool
    skip_stale_steps: bool


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """What to do with the selected pipelines.

    Attributes:
        command: the words of the command.
        folders: the folders of the pipelines.
        problems: errors of the selection, such as a name without a pipeline.
        plan: the options of every plan. Saved plans have their own.
        saved: the plans to apply; None to plan from the files.
        consent: what the arguments approve in advance.
        fleet: how many at once, in which waves, and where.
        apply: how to apply one plan.
        read: how to read the files.
    """

    command: FleetCommand
    folders: Sequence[Path]
    problems: Sequence[Diagnostic]
    plan: PlanRequest
    saved: SavedPlans | None
    consent: Consent
    fleet: FleetOptions
    apply: ApplyOptions
    read: ReadOptions


def apply_selected(
    command: FleetCommand,
    selection: options.Selection,
    where: options.TargetOptions,
    plan: PlanRequest,
    *,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
    outputs: Outputs,
) -> int:
    """As `apply_pipelines`, for the pipelines of a selection, which are planned from their files."""
    problems: list[Diagnostic] = []
    folders = selection.folders(lambda problem: problems.extend(problem.diagnostics), stores.store)
    request = FleetRequest(
        command, folders, problems, plan, None, consent, fleet_options, apply_options, read_options
    )
    return apply_pipelines(request, where, outputs)


def apply_pipelines(request: FleetRequest, where: options.TargetOptions, outputs: Outputs) -> int:
    """Plan all pipelines, ask once, apply them and return the exit code.

    Raises:
        UserError: a report could not be written.
    """
    final = request.plan.promote is not None and request.plan.promote.final
    if request.fleet.executor and (request.plan.bump or final):
        option = "--final" if final else "--bump"
        raise click.UsageError(f"{option} writes config.toml, which workers may not share; run `bump` first")
    out, err = console(sys.stderr if outputs.on_stdout else sys.stdout), console(sys.stderr)
    run = _Run(request, where, out, err)
    with execution.interruptible() as stop, outputs.events() as write_event:
        report = run(stop, write_event)
        write_event(RunEnded(report))
    if run.broken is None:
        print_recap(report, out, err)
    write_run(report, outputs, err)
    if run.broken is not None:
        raise run.broken
    return report.exit_code


class _Run:
    """One run over the selected pipelines.

    Attributes:
        broken: the error of the terminal, if it ended the run.
    """

    def __init__(
        self, request: FleetRequest, where: options.TargetOptions, out: Console, err: Console
    ) -> None:
        self._request = request
        self._where = where.explicit() if request.fleet.executor else where  # workers have other variables
        self._out = out
        self._err = err
        self._started, self._waited = utc_now(), prompts.waited()
        self.broken: OSError | None = None
        self._reads = self._where.reads(request.read, search=True)

    def __call__(self, stop: execution.StopSignal, write_event: Follow) -> RunReport:
        plans, runs = self._plan_all(self._request.plan)
        revised = self._request.command.revise(plans.values(), self._request.plan)
        if revised != self._request.plan:
            plans, runs = self._plan_all(revised)
        chosen = {
            folder: plans[folder] for folder, run in runs.items() if run.result is RunResult.NOT_STARTED
        }
        print_fleet_plan(list(plans.values()), _problems(runs), self._out, self._err)
        saved = self._request.saved
        total = saved.digest if saved else digest(plans.values())
        if not chosen:
            return self._report(runs, total)
        if (refusal := self._refusal(plans, runs, total)) is not None:
            return self._report(_not_started(runs), total, refusal=refusal)
        if not self._is_approved(chosen.values()):
            return self._report(runs, total, declined=True)
        stop.steps_running = True
        with FleetTable(self._err, interrupted=stop.is_set) as table:
            stop.is_shown = table.is_live
            follow = _Follower(write_event, table, stop)
            waves = (self._request.fleet.waves or ONE_WAVE).split([display_path(folder) for folder in chosen])
            follow(
                RunStarted(
                    self._request.command.verb,
                    waves,
                    {display_path(folder): plan for folder, plan in chosen.items()},
                    total,
                )
            )
            started = self._apply(chosen, follow, stop)
            runs |= started
            report = self._report(
                runs,
                total,
                interrupted=stop.is_set(),
                stopped_by_failures=not stop.is_set() and started.keys() != chosen.keys(),
            )
            follow.show_end(report)
        stop.is_shown = False
        self.broken = follow.broken
        return report

    def _plan_all(self, options_: PlanRequest) -> tuple[dict[Path, Plan], dict[Path, PipelineRun]]:
        """The plan of each pipeline, and the result of each one as if the run ended here."""
        request, saved = self._request, self._request.saved
        with ProgressView(self._err) as progress:
            found = inspect_all(
                request.folders,
                self._reads,
                self._sign_in(),
                partial(_plan, request.command.operation, options_, saved.plans if saved else {}),
                progress,
                workers_of(request.fleet.executor, self._where),
            )
        runs = {
            folder: failed_run(found.problems[folder], display_path(folder))
            if folder in found.problems
            else planned_run(found.results[folder], display_path(folder))
            for folder in self._request.folders
        }
        if saved is not None:
            runs |= {
                folder: compared
                for folder, plan in found.results.items()
                if (compared := _compared(saved, saved.plans[folder], plan, runs[folder])) is not None
            }
        return dict(found.results), runs

    def _sign_in(self) -> Callable[..., AbstractContextManager[Session]]:
        request = self._request
        return partial(
            execution.shared_session,
            self._where,
            request.fleet.rps,
            verb=request.command.verb,
            override=request.consent.override,
        )

    def _refusal(
        self, plans: Mapping[Path, Plan], runs: Mapping[Path, PipelineRun], total: str
    ) -> Diagnostic | None:
        """Why nothing may be applied; None if there is no reason."""
        request, approved = self._request, self._request.consent.digest
        if approved is not None and not is_approved(approved, total):
            return other_plan(approved, total)
        is_attended = not (request.consent.yes or request.saved) and prompts.is_interactive()
        applicable = [plan for plan in plans.values() if plan.can_apply]
        if (
            missing := missing_review(applicable, request.consent, total, is_attended=is_attended)
        ) is not None:
            return missing
        if request.saved is not None and not request.saved.skip_stale:
            stale = [run for run in runs.values() if run.stale_steps or run.mismatch]
            if stale:
                detail = "Nothing was changed. Make a new plan, or apply the others with --skip-stale."
                are = "is" if len(stale) == 1 else "are"
                return error(f"{plural(len(stale), 'saved plan')} {are} out of date", detail)
        if not (request.consent.yes or approved or request.saved or prompts.is_interactive()):
            unconfirmed = list(filter(request.command.confirms, plans.values()))
            if unconfirmed:
                detail = (
                    f"Nothing was changed. Without a terminal this needs --approve {total[:SHORT]} or --yes."
                )
                what = (
                    "deletes or replaces resources of"
                    if any(plan.is_destructive for plan in unconfirmed)
                    else "changes"
                )
                return error(f"the plan {what} {plural(len(unconfirmed), 'pipeline')}", detail)
        return None

    def _is_approved(self, plans: Iterable[Plan]) -> bool:
        """Whether the arguments, or the user, approve the plans."""
        request = self._request
        if request.consent.yes or request.consent.digest or request.saved or not prompts.is_interactive():
            return True
        return prompts.confirm(request.command.question, plans)

    def _apply(
        self, chosen: Mapping[Path, Plan], follow: Follow, stop: execution.StopSignal
    ) -> dict[Path, PipelineRun]:
        """Apply the plans, and return the result of each pipeline that was started."""
        request, fleet = self._request, self._request.fleet
        at_once = min(len(chosen), fleet.jobs + fleet.builds)
        # Few steps of each pipeline, if many of them are applied at once.
        steps = max(1, min(request.apply.parallel, 2 * JOBS // at_once))
        timeout = max(request.apply.lock_timeout, WAIT if fleet.executor else 0.0)
        skip_stale_steps = request.saved is not None and request.saved.skip_stale_steps
        sign_in = self._sign_in()
        task = Task(
            self._reads,
            sign_in,
            partial(
                apply_approved,
                request.command.operation,
                replace(request.apply, parallel=steps, lock_timeout=timeout),
                skip_stale_steps,
            ),
            total=len(chosen),
            writes=True,
        )
        if fleet.executor is not None:
            with workers_of(fleet.executor, self._where)(len(chosen)) as workers:
                task = replace(task, sessions=workers.processes)
                key = partial(files_key, read_options=self._reads, emit=follow)
                return apply_fleet(chosen, task, workers.executor, fleet, follow, stop, key)

        task = replace(task, sign_in=partial(sign_in, stop=stop))
        with ThreadPoolExecutor(at_once, thread_name_prefix="fleet") as executor:
            return apply_fleet(chosen, task, executor, fleet, follow, stop)

    def _report(
        self,
        runs: Mapping[Path, PipelineRun],
        total: str,
        *,
        refusal: Diagnostic | None = None,
        interrupted: bool = False,
        stopped_by_failures: bool = False,
        declined: bool = False,
    ) -> RunReport:
        return RunReport(
            self._request.command.verb,
            self._started,
            utc_now(),
            total,
            tuple(runs[folder] for folder in self._request.folders),
            tuple(self._request.problems),
            refusal,
            interrupted,
            stopped_by_failures,
            declined,
            self._request.command.options,
            plan_options(self._request.command.verb, self._where, self._request.plan),
            round(prompts.waited() - self._waited),
        )


@dataclass(slots=True)
class _Follower:
    """Passes on the events. If the terminal's reader is gone, nothing new starts, and what runs may finish.

    Attributes:
        broken: the error of the output; None if there is none.
    """

    write_event: Follow
    show: Follow
    stop: execution.StopSignal
    broken: OSError | None = None

    def __call__(self, event: RunEvent) -> None:
        self.write_event(event)
        self._show(event)

    def show_end(self, report: RunReport) -> None:
        """Show the end of the run, which is written after every run, also if nothing was applied."""
        self._show(RunEnded(report))

    def _show(self, event: RunEvent) -> None:
        if self.broken is not None:
            return
        try:
            self.show(event)
        except OSError as problem:
            self.broken = problem
            self.stop.set()


def _plan(
    operation: Operation,
    request: PlanRequest,
    saved: Mapping[Path, Plan],
    opened: Session,
    validated: ValidatedPipeline,
) -> Plan:
    """The plan of one pipeline, with the options of its saved plan if there is one."""
    folder = validated.require_valid()[0].folder
    if folder in saved:
        request = PlanRequest.from_document(saved[folder].request)
    return operation.plan(opened, validated, request)


def _compared(saved: SavedPlans, before: Plan, now: Plan, run: PipelineRun) -> PipelineRun | None:
    """The result of a pipeline whose saved plan is out of date; None if it can be applied, or was applied."""
    if (mismatch := plan_mismatch(before, now)) is not None:
        return replace(run, result=RunResult.REFUSED, exit_code=CONFLICT, mismatch=mismatch)
    stale = stale_steps(before, now, SHARED)
    if stale and not now.is_empty and not saved.skip_stale_steps:
        return replace(run, result=RunResult.REFUSED, exit_code=CONFLICT, stale_steps=stale)
    return None


def _problems(runs: Mapping[Path, PipelineRun]) -> dict[str, Sequence[Diagnostic]]:
    """The errors of the pipelines without a plan."""
    return {run.folder: run.diagnostics for run in runs.values() if run.plan is None}


def _not_started(runs: Mapping[Path, PipelineRun]) -> dict[Path, PipelineRun]:
    """The results of a run that is refused as a whole."""
    return {
        folder: replace(run, exit_code=CONFLICT) if run.result is RunResult.NOT_STARTED else run
        for folder, run in runs.items()
    }
