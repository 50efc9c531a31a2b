"""Plans and applies one stack under its lock, and asks the caller in between.

`Plans.apply` makes approved plans again under that lock. Here a plan is made once, and nothing can change
while its approval is awaited.
"""

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from reconciler.api.commands import Command
from reconciler.api.environments import Environment
from reconciler.api.requests import ApplyOptions, PlanRequest, ReadOptions
from reconciler.api.sessions import open_session
from reconciler.core.events import Emit
from reconciler.core.plan import Plan, Stack
from reconciler.engine.apply import ApplyRequest, ApplyResult, ApplyStatus, Approval
from reconciler.engine.destroy import destroy_stack, plan_destroy, with_protected
from reconciler.engine.plan import PlanResult, check_builders
from reconciler.engine.recorded import pipeline_at
from reconciler.engine.run_results import applied_run, failed_run
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.shared import SharedSettings

__all__ = [
    "Answers",
    "ApplyResult",
    "ApplyStatus",
    "Approval",
    "PlanResult",
    "Work",
    "applied_run",
    "apply_one",
    "check_builders",
    "configured",
    "failed_run",
    "of_pipeline",
    "of_stack",
    "plan_stack",
]


class Answers(Protocol):
    """The answers of the caller, while the run holds the lock of the stack.

    Attributes:
        may_bump: whether `revise` may bump the version. If so, the run locks config.toml, as it may write it.
    """

    may_bump: bool

    def revise(self, planned: PlanResult, request: PlanRequest) -> PlanRequest:
        """The options for the final plan."""

    def approve(self, planned: PlanResult, ask: bool) -> Approval:
        """The answer to the plan.

        Args:
            ask: whether the plan has to be approved.
        """


Work = Callable[[Session, ApplyRequest], ApplyResult]
"""Plans and applies one stack. Raises as `apply_one`."""


def of_pipeline(validated: ValidatedPipeline, command: Command, request: PlanRequest) -> Work:
    """What the command does with a pipeline.

    Args:
        request: the options of the plan.
    """
    return lambda session, apply: command.operation.apply(session, validated, request, apply)


def of_stack(stack: Stack, request: PlanRequest, shared: SharedSettings) -> Work:
    """Deletes the resources of a stack without a folder.

    Args:
        shared: the settings of the workspace.
    """
    return lambda session, apply: destroy_stack(session, stack, with_protected(request, shared), apply)


def configured(folder: Path, read_options: ReadOptions) -> ValidatedPipeline:
    """A pipeline from config.toml alone, which is enough for a rollback. Raises UserError: it has errors."""
    return ValidatedPipeline(pipeline_at(folder, read_options.environment, read_options.shared), None, ())


def apply_one(
    prepare: Callable[[Emit], Work],
    environment: Environment,
    state: str | None,
    command: Command,
    options: ApplyOptions,
    answers: Answers,
    emit: Emit,
    *,
    stop: threading.Event,
    saved: Plan | None = None,
    skip_moved: bool = False,
    override: str = "",
) -> ApplyResult:
    """Plan one stack, get an approval, and apply the plan.

    Args:
        prepare: reads the files, before anything is opened.
        state: the address of the state; None for the default place.
        stop: once it is set, no further step starts.
        saved: a plan that was approved earlier. Only its steps run, without a further approval.
        skip_moved: run the steps of the saved plan that are still valid, if others changed.
        override: why promote_from and review of reconciler.toml are overridden; "" to keep to them.

    Raises:
        UserError: the files have errors, the platform refuses the token, or a check before the first write
            failed.
        StateError: another run holds the lock, or the state cannot be read or saved.
    """
    work = prepare(emit)
    request = ApplyRequest(
        options, answers.approve, saved, skip_moved, revise=answers.revise, may_bump=answers.may_bump
    )
    signed_in = partial(open_session, environment, state, None, emit, 1)
    with signed_in(verb=command.verb, stop=stop, override=override) as session:
        return work(session, request)


def plan_stack(
    stack: Stack,
    environment: Environment,
    state: str | None,
    request: PlanRequest,
    shared: SharedSettings,
    emit: Emit,
) -> Plan:
    """The plan to delete the resources of a stack without a folder. Reads only.

    Args:
        shared: the settings of the workspace.

    Raises:
        UserError: the stack has no state, the platform refuses the token, or an object cannot be read.
        StateError: the state cannot be read.
    """
    with open_session(environment, state, None, emit, 1, verb="destroy") as session:
        return plan_destroy(session, stack, with_protected(request, shared)).plan
