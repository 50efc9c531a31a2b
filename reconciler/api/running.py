"""Applies plans: who may, side by side, in waves, and the report of all of it."""

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from providers.text import shown_names
from providers.threads import start
from reconciler.api.approvals import PYTHON, ApprovalWords, unapproved, unconfirmed, utc_now
from reconciler.api.events import EventSink, OnEvent
from reconciler.api.executors import LocalWorkers, OpenWorkers, count_of, is_of_threads, open_workers
from reconciler.api.plans import Plan, Plans
from reconciler.api.requests import BUILDS, JOBS, ApplyOptions, Consent, FleetOptions
from reconciler.api.runs import RunReport
from reconciler.api.sessions import open_session
from reconciler.core.approval import digest
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.exit_codes import CONFLICT
from reconciler.core.plan import Plan as CorePlan
from reconciler.core.plan import request_options
from reconciler.core.runs import (
    FAILURES,
    Follow,
    PipelineFinished,
    PipelineRun,
    RunEnded,
    RunEvent,
    RunResult,
    RunStarted,
    WaveStarted,
)
from reconciler.core.stale import plan_mismatch, stale_steps
from reconciler.core.waves import ONE_WAVE, FailureLimit, Waves
from reconciler.engine.apply import SHARED
from reconciler.engine.chunks import Task
from reconciler.engine.files_key import files_key
from reconciler.engine.fleet_apply import apply_approved, apply_fleet
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.run_results import failed_run, planned_run
from reconciler.engine.workers import THREADS
from reconciler.system.files import display_path
from reconciler.views.counting import plural

__all__ = ["FleetRun", "Saved", "apply_plans"]

WAIT = 120.0
"""Seconds that a worker elsewhere waits for the lock of one that died."""


class Saved(Struct, frozen=True):
    """Plans that the user approved when they were saved.

    Attributes:
        plans: the folder of each pipeline with its plan.
        digest: of all plans, also of those of other shards.
        skip_stale: apply the other plans if some are out of date. Otherwise one of them stops all.
    """

    plans: Mapping[Path, CorePlan]
    digest: str
    skip_stale: bool = False


class FleetRun(Struct, frozen=True, dict=True):
    """A run that applies plans.

    Attributes:
        plans: the plans, made now.
        consent: what is approved in advance.
        fleet: how to apply many plans.
        apply: how to apply one plan.
        saved: the plans that `plans` were made again from; None if they were not saved.
        skip_moved: apply the steps of a plan that are still valid, if others changed since it was made.
        words: how the user approves a plan.
        started: the start of the report.
        waited: returns the seconds that the run waited for answers of the user.
    """

    plans: Plans
    consent: Consent
    fleet: FleetOptions
    apply: ApplyOptions
    saved: Saved | None = None
    skip_moved: bool = False
    words: ApprovalWords = PYTHON
    started: datetime = field(default_factory=utc_now)
    waited: Callable[[], float] = float

    @cached_property
    def runs(self) -> Mapping[Path, PipelineRun]:
        """The result of each pipeline, as if the run ended before anything is applied."""
        plans, saved = self.plans, self.saved
        runs = {}
        for folder in plans.pipelines.folders:
            name = display_path(folder)
            plan = plans.by_folder.get(folder)
            if plan is None:
                runs[folder] = failed_run(plans.problems[name], name)
                continue
            runs[folder] = planned_run(plan, name)
            if saved is not None:
                runs[folder] = self._compared(saved.plans[folder], plan, runs[folder])
        return runs

    @cached_property
    def chosen(self) -> dict[Path, Plan]:
        """The plans that can be applied, and have something to do."""
        runs = self.runs
        return {
            folder: plan
            for folder, plan in self.plans.by_folder.items()
            if runs[folder].result is RunResult.NOT_STARTED
        }

    @property
    def failures(self) -> int:
        """The number of pipelines that failed, or were refused, while they were planned."""
        return sum(run.result in FAILURES for run in self.runs.values())

    @property
    def is_over_limit(self) -> bool:
        """Whether so many pipelines failed while they were planned that nothing may start.

        They belong to no wave, so without a limit they stop nothing. A percentage is of all pipelines.
        """
        if (limit := self.fleet.limit) is None:
            return False
        failures = self.failures
        return limit.is_exceeded(failures, in_wave=failures, wave_size=len(self.plans.pipelines))

    @property
    def total(self) -> str:
        """The digest of all plans of the run."""
        return self.saved.digest if self.saved else digest(self.plans.values())

    def refusal(self, *, is_attended: bool = False) -> Diagnostic | None:
        """Why nothing may be applied; None if there is no reason.

        Args:
            is_attended: whether the user is about to answer a question about the plans.
        """
        consent, total = self.consent, self.total
        plans = list(self.plans.values())
        shared = self.plans.pipelines.workspace.settings.shared()
        applicable = [plan for plan in plans if plan.can_apply]
        if self.fleet.executor and (writing := [plan for plan in applicable if plan.writes_config]):
            return _written_elsewhere(writing)
        is_asked = is_attended and not (consent.yes or self.saved)
        refusal = unapproved(applicable, total, consent, shared, self.words, is_attended=is_asked)
        if refusal is not None:
            return refusal
        if self.saved is not None and not self.saved.skip_stale:
            stale = [run for run in self.runs.values() if run.stale_steps or run.mismatch]
            if stale:
                detail = "Nothing was changed. Make a new plan, or apply the others with --skip-stale."
                are = "is" if len(stale) == 1 else "are"
                return error(f"{plural(len(stale), 'saved plan')} {are} out of date", detail)
        if not (consent.yes or consent.digest or self.saved or is_attended):
            waiting = list(filter(self.plans.command.confirms, plans))
            if waiting:
                return unconfirmed(waiting, total, self.words)
        return None

    def carry_out(
        self,
        follow: Follow,
        stop: threading.Event,
        workers: OpenWorkers,
        *,
        in_threads: bool = True,
    ) -> RunReport:
        """Apply the plans that are to be applied.

        Args:
            follow: gets the events, from one thread at a time; all but the end of the run.
            stop: once it is set, nothing new starts.
            workers: run the pipelines.
            in_threads: whether they are threads on this machine, where running pipelines can be stopped.
        """
        chosen = self.chosen
        waves = (self.fleet.waves or ONE_WAVE).split([display_path(folder) for folder in chosen])
        by_name: dict[str, CorePlan] = {display_path(folder): plan for folder, plan in chosen.items()}
        follow(RunStarted(self.plans.command.verb, waves, by_name, self.total))
        started = self._apply(chosen, follow, stop, workers, in_threads)
        return self.report(
            {**self.runs, **started},
            interrupted=stop.is_set(),
            stopped_by_failures=not stop.is_set() and started.keys() != chosen.keys(),
        )

    def refused(self, refusal: Diagnostic) -> RunReport:
        """The report of a run that is refused as a whole."""
        runs = {
            folder: replace(run, exit_code=CONFLICT) if run.result is RunResult.NOT_STARTED else run
            for folder, run in self.runs.items()
        }
        return self.report(runs, refusal=refusal)

    def report(
        self,
        runs: Mapping[Path, PipelineRun] | None = None,
        *,
        refusal: Diagnostic | None = None,
        interrupted: bool = False,
        stopped_by_failures: bool = False,
        declined: bool = False,
    ) -> RunReport:
        """The report, with the results so far; None for those before anything is applied."""
        plans, command = self.plans, self.plans.command
        runs = self.runs if runs is None else runs
        not_found = dict.fromkeys(plans.pipelines.problems.values())
        arguments = plans.environment.arguments(command.verb)
        return RunReport(
            command.verb,
            self.started,
            utc_now(),
            self.total,
            tuple(runs[folder] for folder in plans.pipelines.folders),
            tuple(line for problem in not_found for line in diagnostics_of(problem)),
            refusal,
            interrupted,
            stopped_by_failures,
            declined,
            command.options,
            (*arguments, *request_options(plans.request.to_document())),
            round(self.waited()),
        )

    def _compared(self, before: CorePlan, now: CorePlan, run: PipelineRun) -> PipelineRun:
        """The result of a pipeline, refused if its saved plan is out of date, unless it was applied since."""
        if (mismatch := plan_mismatch(before, now)) is not None:
            return replace(run, result=RunResult.REFUSED, exit_code=CONFLICT, mismatch=mismatch)
        stale = stale_steps(before, now, SHARED)
        if stale and not now.is_empty and not self.skip_moved:
            return replace(run, result=RunResult.REFUSED, exit_code=CONFLICT, stale_steps=stale)
        return run

    def _apply(
        self,
        chosen: Mapping[Path, Plan],
        follow: Follow,
        stop: threading.Event,
        workers: OpenWorkers,
        in_threads: bool,
    ) -> dict[Path, PipelineRun]:
        """Apply the plans, and return the result of each pipeline that was started."""
        plans, fleet = self.plans, self.fleet
        at_once = min(len(chosen), fleet.jobs + fleet.builds)
        # Few steps of each pipeline, if many of them are applied at once.
        steps = max(1, min(self.apply.parallel, THREADS // at_once))
        timeout = self.apply.lock_timeout if in_threads else max(self.apply.lock_timeout, WAIT)
        reads = plans.environment.reads(plans.pipelines.read_options, search=plans.command.searches)
        sign_in = partial(
            open_session,
            plans.environment,
            plans.pipelines.workspace.state,
            plans.rps,
            verb=plans.command.verb,
            override=plans.override,
        )
        with workers(len(chosen)) as opened:
            if in_threads and opened.processes == 1:
                sign_in = partial(sign_in, stop=stop)
            work = partial(
                apply_approved,
                plans.command.operation,
                replace(self.apply, parallel=steps, lock_timeout=timeout),
                self.skip_moved,
            )
            sessions = min(opened.processes, at_once)  # the rest is idle, and needs no share of the requests
            task = Task(reads, sign_in, work, sessions, total=len(chosen), writes=True)
            return apply_fleet(
                dict(chosen),
                task,
                opened.executor,
                fleet,
                follow,
                stop,
                self.failures if fleet.limit else 0,
                partial(files_key, read_options=reads, emit=follow) if opened.elsewhere else None,
                isolates=opened.isolates,
            )


def _written_elsewhere(plans: Iterable[CorePlan]) -> Diagnostic:
    """The refusal of plans that write config.toml, on a cluster: each worker has a checkout of its own."""
    files = shown_names([f"{plan.stack.folder}/config.toml" for plan in plans], 4)
    detail = f"Nothing was changed. New values go into {files}. Run it without --executor."
    return error("a worker would write config.toml in its own checkout", detail)


def apply_plans(
    plans: Plans,
    *,
    approve: str | bool,
    on_event: OnEvent | None,
    executor: Executor | None,
    stop: threading.Event | None,
    waves: str | Waves | None,
    max_failures: str | int | FailureLimit | None,
    jobs: int | None,
    builds: int | None,
    parallel: int,
    lock_timeout: float,
    skip_moved: bool,
    saved: Saved | None = None,
) -> RunReport:
    """As `Plans.apply`."""
    fleet = FleetOptions(
        jobs or JOBS,
        builds or BUILDS,
        Waves.parse(waves) if isinstance(waves, str) else waves,
        max_failures
        if max_failures is None or isinstance(max_failures, FailureLimit)
        else FailureLimit.parse(str(max_failures)),
        plans.rps,
    )
    if executor is not None:  # what it cannot run at once would wait in its queue
        count = count_of(executor)
        fleet = replace(fleet, jobs=min(fleet.jobs, count), builds=min(fleet.builds, count))
    consent = Consent(approve is True, approve if isinstance(approve, str) else None, plans.override)
    command = ("reconciler.api", plans.command.verb)
    run = FleetRun(plans, consent, fleet, ApplyOptions(parallel, lock_timeout, command), saved, skip_moved)
    stop = stop or threading.Event()
    sink = EventSink(on_event, stop)
    report = _in_a_thread(partial(_run, run, sink, stop, executor), stop)
    sink(RunEnded(report))
    sink.raise_error()
    return report


def _run(run: FleetRun, sink: EventSink, stop: threading.Event, executor: Executor | None) -> RunReport:
    if not run.chosen:
        return run.report()
    if run.is_over_limit:
        return run.report(stopped_by_failures=True)
    if (refusal := run.refusal()) is not None:
        return run.refused(refusal)
    follow: Follow = sink
    is_of_one = run.plans.is_of_one
    if is_of_one:
        follow = partial(_without_waves, sink)
    with LocalWorkers(stop) as here:
        workers = open_workers(executor, here)
        report = run.carry_out(follow, stop, workers, in_threads=is_of_threads(executor))
    return replace(report, runs=tuple(replace(one, wave=0) for one in report.runs)) if is_of_one else report


def _without_waves(sink: EventSink, event: RunEvent) -> None:
    """Pass on the events of a run of one pipeline, which has no waves."""
    match event:
        case WaveStarted():
            return
        case PipelineFinished(run):
            sink(PipelineFinished(replace(run, wave=0)))
        case _:
            sink(event)


def _in_a_thread(work: Callable[[], RunReport], stop: threading.Event) -> RunReport:
    """Do the work in a thread of its own, so that an interruption of this one stops it in order."""
    done: list[RunReport] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as problem:  # noqa: BLE001 - raised again in the thread of the caller
            failed.append(problem)
        finally:
            ended.set()

    ended = threading.Event()  # an interrupted `join` takes the thread for ended
    start(threading.Thread(target=run, name="apply"))
    interruption: BaseException | None = None
    while not ended.is_set():
        try:
            while not ended.wait(1.0):  # on Windows, a wait without an end cannot be interrupted
                pass
        except BaseException as problem:  # noqa: BLE001 - raised again when the steps have ended
            stop.set()
            interruption = interruption or problem
    if interruption is not None:
        raise interruption
    if failed:
        raise failed[0]
    return done[0]
