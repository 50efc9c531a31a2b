"""Applies the plans of many pipelines side by side, in waves, and reports each of them.

Plan all, approve once, then apply: a plan is applied as a saved one is, so it is made again under the lock of
its stack and compared with the approved one. One pipeline's failure stops no other, until the failures reach
their limit.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from providers.table import FACTS
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Event, PipelineEvent
from reconciler.core.plan import Plan
from reconciler.core.runs import (
    FAILURES,
    Follow,
    PipelineFinished,
    PipelineRun,
    PipelineStarted,
    RunEvent,
    RunResult,
    WaveStarted,
)
from reconciler.core.waves import NO_FAILURE, NO_LIMIT, ONE_WAVE
from reconciler.engine.apply import ApplyRequest, Approval
from reconciler.engine.chunks import Problem, Task
from reconciler.engine.fleet import Lane, run
from reconciler.engine.operations import Operation
from reconciler.engine.requests import ApplyOptions, FleetOptions, PlanRequest
from reconciler.engine.run_results import applied_run, failed_run
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.system.files import display_path
from state.errors import StateError


def publishes(plan: Plan) -> bool:
    """Whether applying the plan publishes an image, which may have to be built."""
    return any(step.writes and FACTS[step.address.kind].published_as for step in plan.steps)


def apply_approved(
    operation: Operation,
    options: ApplyOptions,
    skip_stale_steps: bool,
    session: Session,
    validated: ValidatedPipeline,
    plan: Plan,
) -> PipelineRun:
    """Apply the approved plan of one pipeline.

    Args:
        skip_stale_steps: apply the steps that are still valid, if others changed.

    Raises:
        UserError, StateError: as `apply_plan`.
    """
    started = time.monotonic()
    request = ApplyRequest(options, lambda *_: Approval.GIVEN, plan, skip_stale_steps, resumes=True)
    applied = operation.apply(session, validated, PlanRequest.from_document(plan.request), request)
    ended = applied_run(applied, plan.stack.folder, time.monotonic() - started)
    # The lock moves the state before the plan is made again. A worker that was killed did all of its plan.
    if ended.result is RunResult.UNCHANGED and (plan.changes_state or session.is_retry):
        return replace(ended, result=RunResult.APPLIED)
    return ended


def apply_fleet(
    plans: Mapping[Path, Plan],
    task: Task[Plan, PipelineRun],
    executor: Executor,
    options: FleetOptions,
    follow: Follow,
    stop: threading.Event,
    failures: int = 0,
    key_of_files: Callable[[Path], str] | None = None,
    isolates: bool = False,
) -> dict[Path, PipelineRun]:
    """Apply approved plans, and return the result of each pipeline that was started.

    Args:
        plans: the folder of each pipeline with its approved plan, which has something to do.
        task: applies one plan, see `apply_approved`.
        follow: gets every event from one thread at a time.
        stop: once it is set, no pipeline and no further step of a running one starts.
        failures: the pipelines that failed before, which count for the limit of the run.
        key_of_files, isolates: as for `fleet.run`.
    """
    runs: dict[Path, PipelineRun] = {}
    halt = threading.Event()
    followed = _InOrder(follow)
    limit = options.limit or (NO_FAILURE if options.waves else NO_LIMIT)
    for number, wave in enumerate((options.waves or ONE_WAVE).split(list(plans)), 1):
        if halt.is_set() or stop.is_set():
            break
        followed(WaveStarted(number, [display_path(folder) for folder in wave]))
        failures_in_wave = 0
        lanes = _lanes({folder: plans[folder] for folder in wave}, options)
        outcomes = run(
            lanes,
            task,
            executor,
            followed.engine_event,
            stop=halt,
            key_of_files=key_of_files,
            isolates=isolates,
        )
        with closing(outcomes):  # after an error, what is in hand is waited for
            for folder, outcome in _with_sign_in_errors(outcomes, wave):
                plan = plans[folder]
                ended = (
                    failed_run(outcome, plan.stack.folder, stack=plan.stack, plan=plan)
                    if isinstance(outcome, UserError | StateError)
                    else outcome
                )
                runs[folder] = replace(ended, folder=display_path(folder), wave=number)
                followed(PipelineFinished(runs[folder]))
                is_failure = ended.result in FAILURES
                failures += is_failure
                failures_in_wave += is_failure
                if stop.is_set() or limit.is_exceeded(
                    in_run=failures, in_wave=failures_in_wave, wave_size=len(wave)
                ):
                    halt.set()
    return runs


def _with_sign_in_errors(
    outcomes: Iterable[tuple[Path, PipelineRun | Problem]], wave: Sequence[Path]
) -> Iterator[tuple[Path, PipelineRun | Problem]]:
    """The outcomes of a wave. If signing in fails, its error is that of each pipeline without another one."""
    done = set()
    try:
        for folder, outcome in outcomes:
            done.add(folder)
            yield folder, outcome
    except (UserError, StateError) as problem:
        yield from ((folder, problem) for folder in wave if folder not in done)


def _lanes(plans: Mapping[Path, Plan], options: FleetOptions) -> Sequence[Lane[Plan]]:
    """Pipelines that build have a lane of their own, so that the others never wait for a build."""
    builds = {folder: plan for folder, plan in plans.items() if publishes(plan)}
    others = {folder: plan for folder, plan in plans.items() if folder not in builds}
    return [Lane(builds, options.builds), Lane(others, options.jobs)]


@dataclass(slots=True)
class _InOrder:
    """Passes on events from any thread, one at a time; a pipeline's first one after its start."""

    follow: Follow
    _started: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: RunEvent) -> None:
        with self._lock:
            if isinstance(event, PipelineFinished):
                self._start(event.run.folder)
            self.follow(event)

    def engine_event(self, event: Event) -> None:
        """Pass on an event of the engine, which may belong to no pipeline."""
        with self._lock:
            if isinstance(event, PipelineEvent):
                self._start(event.folder)
            self.follow(event)

    def _start(self, folder: str) -> None:
        if folder not in self._started:
            self._started.add(folder)
            self.follow(PipelineStarted(folder))
