"""A run that writes: its events, the result of each pipeline, and the report of all of them. Pure."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from providers.reasons import Reason
from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.core.events import Event, Outcome
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, INTERRUPTED, worst
from reconciler.core.plan import Plan, Stack
from reconciler.core.stale import StaleStep


class RunResult(Enum):
    """How a run ended for one pipeline."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"  # there was nothing to do
    REFUSED = "refused"  # a conflict, a claim of another stack, or a plan that is out of date
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # it had started, and some of its steps did not run
    NOT_STARTED = "not started"  # the run ended before: interrupted, not approved, or too many failures


FAILURES = frozenset({RunResult.FAILED, RunResult.REFUSED})
"""The results that count for the limit of failures."""


class PipelineRun(Struct, frozen=True):
    """The result of one pipeline.

    Attributes:
        folder: the pipeline's folder, relative to the current one if it is below it.
        stack: its stack; None if the files do not say which.
        result: how the run ended for it.
        exit_code: the exit code of a run for this pipeline alone.
        plan: what was to be done; None if there is no plan.
        outcomes: the outcome of each step; empty if no step was to run.
        diagnostics: the errors and remarks about this pipeline, except what `outcomes` and `plan` say: the
            errors of failed steps, and the refusals and conflicts.
        stale_steps: steps of the approved plan that changed since, so did not run.
        mismatch: why the approved plan does not match the files or the state at all; None if it does.
        version: the version in config.toml after the run; "" if it is unknown.
        seconds: how long it took, without waiting for its turn.
        wave: the number of its wave, counted from 1; 0 if it was in none.
    """

    folder: str
    stack: Stack | None
    result: RunResult
    exit_code: int
    plan: Plan | None = None
    outcomes: tuple[Outcome, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    stale_steps: tuple[StaleStep, ...] = ()
    mismatch: Reason | None = None
    version: str = ""
    seconds: float = 0.0
    wave: int = 0

    @property
    def label(self) -> str:
        """The pipeline for people: its stack with the folder, or the folder alone."""
        return self.stack.label if self.stack else self.folder

    @property
    def image_digest(self) -> str:
        """The digest of the image that the platform uses after the run; "" if no step returned one."""
        found = (outcome.live.outputs.get("digest") for outcome in self.outcomes if outcome.live)
        return next((digest for digest in found if isinstance(digest, str)), "")

    @property
    def image(self) -> str:
        """The image of the run by its digest, `reg.io/team/app@sha256:…`; "" if no step returned one."""
        lives = (outcome.live for outcome in self.outcomes if outcome.live)
        return next(
            (f"{'/'.join(live.name)}@{live.outputs['digest']}" for live in lives if "digest" in live.outputs),
            "",
        )

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The errors about this pipeline, including those of its plan."""
        every = (*self.diagnostics, *(self.plan.diagnostics if self.plan else ()))
        return tuple(dict.fromkeys(problem for problem in every if problem.severity is Severity.ERROR))

    @property
    def needs_other_options(self) -> bool:
        """Whether an option is refused, so that the same command fails again."""
        return any(problem.in_options for problem in self.errors)

    @property
    def needs_change(self) -> bool:
        """Whether the same run fails again until the user changes something."""
        if self.result is RunResult.REFUSED:
            return True
        failures = [outcome.error for outcome in self.outcomes if outcome.error is not None]
        return self.result is RunResult.FAILED and (
            any(problem.is_lasting for problem in failures)
            or any(not problem.may_pass for problem in self.errors)
        )

    def with_relative_paths(self, folder: Path) -> Self:
        """A copy whose files, if they are below `folder`, are relative to it."""
        plan = self.plan
        if plan is not None:
            remarks = tuple(remark.with_relative_paths(folder) for remark in plan.diagnostics)
            plan = replace(plan, diagnostics=remarks)
        remarks = tuple(remark.with_relative_paths(folder) for remark in self.diagnostics)
        return replace(self, plan=plan, diagnostics=remarks)

    def command(self, verb: str, options: Sequence[str] = ()) -> str:
        """The command line of the same run for this pipeline alone, with the options of its plan.

        Args:
            options: further options.
        """
        if self.stack is None:
            return shlex.join(("reconciler", verb, self.folder, *options))
        verb = "promote" if self.plan is not None and self.plan.is_promotion else verb
        return self.stack.command(verb, *options, *(self.plan.options if self.plan else ()))


class RunReport(Struct, frozen=True):
    """The report of a run.

    Attributes:
        command: the verb: `apply`, `deploy`, …
        started, ended: UTC, in whole seconds.
        digest: of the approved plans, see `approval.digest`.
        runs: one for each pipeline that was selected, in the order of the folders.
        problems: errors that concern no single pipeline, such as a failed login or an unknown name.
        refusal: why nothing was applied at all, such as another digest than the approved one; None otherwise.
        interrupted: whether the user interrupted the run.
        stopped_by_failures: whether the run started nothing new because too many pipelines failed.
        declined: whether the user did not approve the plan.
        options: options of a command that repeats the run, apart from those of its plans: `--to 3`.
        plan_options: options of a command that repeats a pipeline without a plan: its environment, and those
            that every plan of the run had.
        waited: whole seconds that the run waited for answers of the user.
    """

    command: str
    started: datetime
    ended: datetime
    digest: str
    runs: tuple[PipelineRun, ...]
    problems: tuple[Diagnostic, ...] = ()
    refusal: Diagnostic | None = None
    interrupted: bool = False
    stopped_by_failures: bool = False
    declined: bool = False
    options: tuple[str, ...] = ()
    plan_options: tuple[str, ...] = ()
    waited: int = 0

    @property
    def counts(self) -> dict[RunResult, int]:
        """The number of pipelines with each result, all results included."""
        return {result: sum(run.result is result for run in self.runs) for result in RunResult}

    @property
    def exit_code(self) -> int:
        """130 if it was interrupted, 1 if anything failed or was not started, otherwise the highest code."""
        if self.interrupted:
            return INTERRUPTED
        codes = {DONE, *(run.exit_code for run in self.runs)}
        codes |= {FAILED} if self.problems else set()
        codes |= {CONFLICT} if self.refusal else set()
        return worst(codes)

    @property
    def seconds(self) -> float:
        """The duration of the run, without waiting for answers."""
        return max(0.0, (self.ended - self.started).total_seconds() - self.waited)

    @property
    def versions(self) -> dict[str, str]:
        """Stack -> version, of the pipelines whose files the platform matches after the run."""
        return {
            str(run.stack): run.version
            for run in self.runs
            if run.stack and run.version and run.result in (RunResult.APPLIED, RunResult.UNCHANGED)
        }

    @property
    def images(self) -> dict[str, str]:
        """Stack -> image by its digest, of the pipelines that this run applied."""
        return {
            str(run.stack): run.image
            for run in self.runs
            if run.stack and run.image and run.result is RunResult.APPLIED
        }

    def with_relative_paths(self, folder: Path) -> Self:
        """A copy whose files, if they are below `folder`, are relative to it."""
        return replace(
            self,
            runs=tuple(run.with_relative_paths(folder) for run in self.runs),
            problems=tuple(problem.with_relative_paths(folder) for problem in self.problems),
            refusal=self.refusal and self.refusal.with_relative_paths(folder),
        )


class RunStarted(Struct, frozen=True):
    """The plan is approved; the run starts.

    Attributes:
        waves: the folders of each wave.
        plans: folder -> its plan, of each pipeline that is to be applied.
        digest: of the approved plan.
    """

    command: str
    waves: Sequence[Sequence[str]]
    plans: Mapping[str, Plan]
    digest: str


class WaveStarted(Struct, frozen=True):
    """The pipelines of a wave start. Its number counts from 1."""

    number: int
    folders: Sequence[str]


class PipelineStarted(Struct, frozen=True):
    """The work on the pipeline in a folder starts."""

    folder: str


class PipelineFinished(Struct, frozen=True):
    """The work on a pipeline is done, or failed."""

    run: PipelineRun


class RunEnded(Struct, frozen=True):
    """The end of a run, with what it did in all pipelines."""

    report: RunReport


RunEvent = RunStarted | WaveStarted | PipelineStarted | PipelineFinished | RunEnded | Event
Follow = Callable[[RunEvent], None]
"""Gets the events of a run, in the order in which they happen; from one thread at a time.

The events of the engine during it are `PipelineEvent`, or belong to no pipeline.
"""
