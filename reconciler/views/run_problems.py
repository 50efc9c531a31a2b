"""Why pipelines of a run did not succeed: reasons as diagnostics, grouped, and the commands to run next."""

import re
import shlex
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from reconciler.core.diagnostics import Diagnostic, error
from reconciler.core.events import Outcome, Status
from reconciler.core.plan import Plan, Stack, Step, command_for
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.core.values import Address
from reconciler.views import phrases
from reconciler.views.conflict_ways import conflict_ways
from reconciler.views.counting import duration, plural
from reconciler.views.phrases import audience_of, way_text

WORST_FIRST = (
    RunResult.FAILED,
    RunResult.REFUSED,
    RunResult.INTERRUPTED,
    RunResult.NOT_STARTED,
    RunResult.APPLIED,
    RunResult.UNCHANGED,
)
SUCCEEDED = frozenset({RunResult.APPLIED, RunResult.UNCHANGED})
_BEGUN = frozenset({RunResult.FAILED, RunResult.INTERRUPTED})
"""The results of runs whose steps may have made a saved plan stale."""
_SELECTING = frozenset({"--plan", "--stack"})
"""Options that select what a run is about, so that its command names no pipelines."""
MANY = 50
"""Pipelines in one command line."""


class RunCause(Struct, frozen=True):
    """Pipelines that ended in the same way for the same reason.

    Attributes:
        result: how the run ended for them.
        problems: the reasons, of the first pipeline. There is at least one.
        runs: the pipelines, in the order of the report.
    """

    result: RunResult
    problems: tuple[Diagnostic, ...]
    runs: tuple[PipelineRun, ...]


def headline(report: RunReport) -> str:
    """The number of pipelines with each result, worst first: `1 failed, 299 applied`."""
    counts = report.counts
    parts = [f"{counts[result]:,} {result.value}" for result in WORST_FIRST if counts[result]]
    return ", ".join(parts) or ("no pipeline was started" if report.exit_code else "nothing to do")


def causes(report: RunReport) -> list[RunCause]:
    """The pipelines without success, worst result first, and those with the same reason together."""
    found: dict[tuple[object, ...], list[PipelineRun]] = {}
    for result in WORST_FIRST:
        for run in report.runs if result not in SUCCEEDED else ():
            if run.result is result:
                key = (result, *(_without_names(problem, run) for problem in problems(report, run)))
                found.setdefault(key, []).append(run)
    return [RunCause(runs[0].result, problems(report, runs[0]), tuple(runs)) for runs in found.values()]


def problems(report: RunReport, run: PipelineRun) -> tuple[Diagnostic, ...]:
    """The reasons why a pipeline did not succeed, at least one; none for one that did."""
    return reasons(run) or (() if run.result in SUCCEEDED else (_of_end(report, run),))


def reasons(run: PipelineRun) -> tuple[Diagnostic, ...]:
    """The reasons of its own why a pipeline did not succeed; none for one that did."""
    if run.result in SUCCEEDED:
        return ()
    found = [*run.errors, *_of_outcomes(run), *_of_approval(run)]
    if run.plan is not None and not run.outcomes:
        found += _of_plan(run.plan)
    return tuple(found)


def run_reasons(report: RunReport) -> list[Diagnostic]:
    """Why the run as a whole did not do everything, apart from the problems of single pipelines."""
    found = [report.refusal] if report.refusal else []
    found += report.problems
    found += [error("the run was interrupted")] if report.interrupted else []
    found += [error("the plan was not approved")] if report.declined else []
    found += (
        [error("too many pipelines failed, so no other one was started")]
        if report.stopped_by_failures
        else []
    )
    return found


def commands(report: RunReport, runs: Sequence[PipelineRun]) -> list[str]:
    """The commands to run next for these pipelines: the ways out of a refusal, or the same run again."""
    found: list[str] = []
    can_repeat = "--plan" not in report.options or "--skip-moved" in report.options
    stale: list[PipelineRun] = []
    again: list[PipelineRun] = []
    for run in runs:
        if run.result in SUCCEEDED or run.needs_other_options:
            continue
        ways = [*_ways_out(run)] if run.result is RunResult.REFUSED else []
        found += ways
        if not ways:
            is_stale = run.stale_steps or run.mismatch or (run.result in _BEGUN and not can_repeat)
            (stale if is_stale else again).append(run)
    return [*found, *_together("plan", report, stale), *_together(report.command, report, again)]


def _ways_out(run: PipelineRun) -> Iterator[str]:
    """The commands of the first way out of each refusal of a plan, and those of each conflict."""
    if run.plan is None or run.stale_steps or run.mismatch:
        return
    for step in run.plan.refused:
        assert step.refusal is not None
        yield from [way.command for way in step.refusal.ways if way.command][:1]
    for step in run.plan.conflicts:
        yield from (command for _, command in conflict_ways(run.plan, step, alone=True))


def _together(verb: str, report: RunReport, runs: Iterable[PipelineRun]) -> list[str]:
    """Command lines that name several pipelines each, where all else in them is equal."""
    runs = list(runs)
    if verb == report.command and _SELECTING.intersection(report.options):
        return [shlex.join(("reconciler", verb, *report.options))] if runs else []
    options_of_run = () if _SELECTING.intersection(report.options) else report.options
    several: dict[tuple[str, ...], list[Stack]] = {}
    single = []
    for run in runs:
        if run.stack is None:
            single.append(run.command(verb, (*report.plan_options, *options_of_run)))
        else:
            own_verb = "promote" if run.plan is not None and run.plan.is_promotion else verb
            options = (*options_of_run, *(run.plan.options if run.plan else ()))
            key = (own_verb, run.stack.organization, run.stack.environment, *options)
            several.setdefault(key, []).append(run.stack)
    lines = [
        command_for(stacks[start : start + MANY], own_verb, *options)
        for (own_verb, _, _, *options), stacks in several.items()
        for start in range(0, len(stacks), MANY)
    ]
    return [*lines, *single]


def _of_outcomes(run: PipelineRun) -> Iterator[Diagnostic]:
    for outcome in run.outcomes:
        if outcome.status is Status.FAILED:
            yield _of_step(outcome)


def _of_step(outcome: Outcome) -> Diagnostic:
    step, problem = outcome.step, outcome.error
    doing = f"{step.action.doing} failed"
    if problem is None:
        return error(doing, address=str(step.address))
    way = way_text(problem.way_out) if problem.way_out else ""
    detail = "\n".join(filter(None, (problem.hint, way)))
    return error(f"{doing}: {problem.message}", detail, address=str(step.address))


def _of_approval(run: PipelineRun) -> Iterator[Diagnostic]:
    if run.mismatch is not None:
        yield error("the approved plan cannot be applied", f"{phrases.plan_mismatch(run.mismatch)}.")
    for step in run.stale_steps:
        fields = ", ".join(field.path for field in step.fields if field.path)
        detail = f"Changed: {fields}." if fields else ""
        yield error("changed after the plan was made", detail, address=str(step.address))


def _of_plan(plan: Plan) -> Iterator[Diagnostic]:
    for step in plan.refused:
        assert step.refusal is not None
        detail = "\n".join(map(way_text, step.refusal.ways))
        yield _about(step, phrases.reason(step.refusal.reason, audience_of(plan)), detail)
    for step in plan.conflicts:
        fields = ", ".join(change.path for change in step.conflicts if change.path)
        why = phrases.reason(step.conflicts[0].reason, audience_of(plan))
        yield _about(step, f"conflict: {why}", f"{fields}." if fields else "")


def _about(step: Step, summary: str, detail: str) -> Diagnostic:
    return error(summary, detail, address=str(step.address))


def _of_end(report: RunReport, run: PipelineRun) -> Diagnostic:
    """Why a pipeline without any problem of its own did not succeed."""
    if report.refusal is not None:
        return report.refusal
    if report.interrupted:
        return error("the run was interrupted")
    if report.declined:
        return error("the plan was not approved")
    if run.result is RunResult.NOT_STARTED and report.stopped_by_failures:
        return error("too many pipelines failed before")
    return error("the run ended before" if run.result is not RunResult.FAILED else "the reason is unknown")


def _without_names(problem: Diagnostic, run: PipelineRun) -> tuple[str, str]:
    """The problem without what differs between pipelines that have the same: names, places and details."""
    kind = Address.parse(problem.address).kind if "/" in problem.address else problem.address
    names = {run.folder, run.version}
    names |= {str(run.stack), run.stack.name, run.stack.pipeline} if run.stack else set()
    longest_first = sorted(filter(None, names), key=len, reverse=True)
    own = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in longest_first)
    return kind, re.sub(own, "…", problem.summary) if own else problem.summary


def reach(report: RunReport) -> str:
    """The number of pipelines, and how long the run took."""
    return f"{plural(len(report.runs), 'pipeline')} in {duration(report.seconds)}"
