"""Plans the selected pipelines for an environment."""

from collections.abc import Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path

from providers.table import FACTS
from reconciler.api.commands import Command
from reconciler.api.environments import Environment
from reconciler.api.events import EventSink, OnEvent
from reconciler.api.executors import OpenWorkers, open_workers
from reconciler.api.pipelines import Pipelines
from reconciler.api.plans import Plan, Plans
from reconciler.api.requests import PlanRequest
from reconciler.api.sessions import sign_in
from reconciler.core.contradictions import without_contradictions
from reconciler.core.events import Emit
from reconciler.core.plan import Plan as CorePlan
from reconciler.engine.chunks import Problem
from reconciler.engine.inspection import inspect_all
from reconciler.engine.operations import Operation
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.system.files import display_path

__all__ = ["make_plans", "plan_pipelines"]


def plan_pipelines(
    pipelines: Pipelines,
    environment: Environment,
    request: PlanRequest,
    *,
    on_event: OnEvent | None = None,
    executor: Executor | None = None,
    rps: float | None = None,
    override: str = "",
    command: Command | None = None,
) -> Plans:
    """As `Pipelines.plan`, for any command."""
    sink = EventSink(on_event)
    plans = make_plans(
        pipelines,
        environment,
        request,
        command or Command(),
        sink,
        workers=open_workers(executor),
        rps=rps,
        override=override,
    )
    sink.raise_error()
    if plans.sign_in_error is not None:
        raise plans.sign_in_error
    return plans


def make_plans(
    pipelines: Pipelines,
    environment: Environment,
    request: PlanRequest,
    command: Command,
    emit: Emit,
    *,
    workers: OpenWorkers,
    rps: float | None = None,
    override: str = "",
    saved: Mapping[Path, CorePlan] | None = None,
) -> Plans:
    """The plan of each pipeline; the errors of the others, and of signing in, are among its problems.

    Args:
        saved: folder -> a saved plan, which is made again with its own options.

    Raises:
        UserError: the environment is unknown.
    """
    folders = pipelines.folders
    saved_by_name = {display_path(folder): plan for folder, plan in (saved or {}).items()}
    found = inspect_all(
        folders,
        environment.reads(pipelines.read_options, search=command.searches),
        sign_in(environment, pipelines.workspace.state, rps=rps, verb=command.verb, override=override),
        partial(_plan, command.operation, request, saved_by_name),
        emit,
        workers,
    )
    results = without_contradictions(found.results, FACTS)
    problems: dict[str, Problem] = {**pipelines.problems}
    problems |= {display_path(folder): problem for folder, problem in found.problems.items()}
    return Plans(
        pipelines,
        environment,
        {folder: Plan.of(plan) for folder, plan in results.items()},
        problems,
        command,
        request,
        override,
        rps,
        found.sign_in_error,
    )


def _plan(
    operation: Operation,
    request: PlanRequest,
    saved: Mapping[str, CorePlan],
    opened: Session,
    validated: ValidatedPipeline,
) -> CorePlan:
    """The plan of one pipeline, with the options of its saved plan if there is one.

    Args:
        saved: `display_path` of a folder -> its saved plan. On a cluster, folders are relative.
    """
    name = display_path(validated.require_valid()[0].folder)
    if name in saved:
        request = PlanRequest.from_document(saved[name].request)
    return operation.plan(opened, validated, request)
