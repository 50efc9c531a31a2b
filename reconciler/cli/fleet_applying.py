"""Applies many pipelines: plan all, show one summary, ask once, apply side by side, and report each."""

import sys
from collections.abc import Collection

import click
from msgspec import Struct

from reconciler.api.approvals import COMMAND, utc_now
from reconciler.api.clusters import workers_of
from reconciler.api.events import Follow, RunEnded, RunEvent
from reconciler.api.executors import LocalWorkers, OpenWorkers
from reconciler.api.pipelines import Pipelines
from reconciler.api.planning import make_plans
from reconciler.api.plans import Plans
from reconciler.api.requests import ApplyOptions, Consent, FleetOptions, PlanRequest
from reconciler.api.running import FleetRun, Saved
from reconciler.api.runs import RunReport
from reconciler.cli import execution, options, prompts
from reconciler.cli.applying import WritingCommand
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import write_run
from reconciler.core.plan import Plan
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.fleet_plan import print_fleet_plan
from reconciler.views.terminal.fleet_progress import FleetTable
from reconciler.views.terminal.lost_output import unstoppable
from reconciler.views.terminal.progress import ProgressView
from reconciler.views.terminal.recap import print_recap


class FleetRequest(Struct, frozen=True):
    """What to do with the selected pipelines.

    Attributes:
        command: the command, with its question.
        pipelines: the pipelines, and the names that match none.
        plan: the options of the plans.
        saved: the plans that were saved; None to plan from the files.
        skip_moved: apply the steps of a saved plan that are still valid, if others changed.
        consent: what the arguments approve in advance.
        fleet: how to apply many plans.
        apply: how to apply one plan.
    """

    command: WritingCommand
    pipelines: Pipelines
    plan: PlanRequest
    consent: Consent
    fleet: FleetOptions
    apply: ApplyOptions
    saved: Saved | None = None
    skip_moved: bool = False


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
    with unstoppable():
        print_recap(report, out, err, is_planned_only=run.is_planned_only)
        write_run(report, outputs, err)
    return report.exit_code


class _Run:
    """One run over the selected pipelines.

    Attributes:
        is_planned_only: whether no plan could be started.
    """

    def __init__(
        self, request: FleetRequest, where: options.TargetOptions, out: Console, err: Console
    ) -> None:
        self._request = request
        where = where.explicit() if request.fleet.executor else where  # workers have other variables
        self._environment = where.named()
        self._out = out
        self._err = err
        self._started, self._waited = utc_now(), prompts.waited()
        self.is_planned_only = False

    def __call__(self, stop: execution.StopSignal, write_event: Follow) -> RunReport:
        with LocalWorkers(stop) as here:
            return self._run(stop, write_event, here)

    def _run(self, stop: execution.StopSignal, write_event: Follow, here: LocalWorkers) -> RunReport:
        request = self._request
        workers = workers_of(request.fleet.executor, request.pipelines.workspace, self._environment, here)
        plans = self._plan_all(request.plan, workers)
        revised = request.command.revise(plans.values(), request.plan)
        if revised != request.plan:
            plans = self._plan_all(revised, workers)
        run = FleetRun(
            plans,
            request.consent,
            request.fleet,
            request.apply,
            request.saved,
            request.skip_moved,
            COMMAND,
            self._started,
            lambda: prompts.waited() - self._waited,
        )
        problems = {one.folder: one.diagnostics for one in run.runs.values() if one.plan is None}
        print_fleet_plan([*plans.by_folder.values()], problems, self._out, self._err)
        chosen = run.chosen
        if not chosen:
            self.is_planned_only = True
            return run.report()
        if run.is_over_limit:
            return run.report(stopped_by_failures=True)
        if (refusal := run.refusal(is_attended=prompts.is_interactive())) is not None:
            return run.refused(refusal)
        if not self._is_approved(chosen.values()):
            return run.report(declined=True)
        stop.steps_running = True
        with unstoppable(), FleetTable(self._err, interrupted=stop.is_set) as table:
            stop.is_shown = table.is_live

            def follow(event: RunEvent) -> None:
                stop.note(event)
                write_event(event)
                table(event)

            report = run.carry_out(follow, stop, workers, in_threads=request.fleet.executor is None)
            table(RunEnded(report))  # `write_event` gets it after every run, also if nothing was applied
        stop.is_shown = False
        return report

    def _plan_all(self, options_: PlanRequest, workers: OpenWorkers) -> Plans:
        request = self._request
        with ProgressView(self._err) as progress:
            return make_plans(
                request.pipelines,
                self._environment,
                options_,
                request.command.does,
                progress,
                workers=workers,
                rps=request.fleet.rps,
                override=request.consent.override,
                saved=request.saved.plans if request.saved else None,
            )

    def _is_approved(self, plans: Collection[Plan]) -> bool:
        """Whether the arguments, or the user, approve the plans."""
        request = self._request
        if request.consent.yes or request.consent.digest or request.saved or not prompts.is_interactive():
            return True
        return prompts.confirm(request.command.question, plans)
