"""Prints the end of a run of many pipelines: totals, each problem with its way out, and what to run next."""

from collections.abc import Sequence

from providers.text import shown_names
from reconciler.core.diagnostics import Severity
from reconciler.core.exit_codes import DONE
from reconciler.core.plan import Plan
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.views.counting import duration, plural
from reconciler.views.fleet_changes import published_versions
from reconciler.views.fleet_problems import Affected, diagnostic_problem, problem_rows, refusals
from reconciler.views.phrases import run_name
from reconciler.views.run_problems import SUCCEEDED, WORST_FIRST, RunCause, causes, commands, run_reasons
from reconciler.views.terminal.console import Console, indented
from reconciler.views.terminal.messages import print_block, print_diagnostics
from reconciler.views.terminal.problems import in_pipelines, print_problems
from reconciler.views.terminal.text import Text

RESULT_STYLES = {
    RunResult.APPLIED: "green",
    RunResult.UNCHANGED: "dim",
    RunResult.REFUSED: "bold red",
    RunResult.FAILED: "bold red",
    RunResult.INTERRUPTED: "yellow",
    RunResult.NOT_STARTED: "yellow",
}
MOST_NAMES = 6
"""Pipelines that are named with one version; the others are counted."""


def print_recap(report: RunReport, out: Console, err: Console, *, is_planned_only: bool = False) -> None:
    """Print the recap: on `out` if everything is done, otherwise the totals and problems on `err`.

    Args:
        is_planned_only: nothing was started, and the problems are right above, below the plan.
    """
    if report.declined:
        err.print("Nothing was applied.")
        return
    is_done = report.exit_code == DONE
    (out if is_done else err).print(_totals(report, is_done=is_done))
    for version, pipelines in published_versions(report).items():
        names = shown_names(pipelines, MOST_NAMES)
        many = names if len(pipelines) == 1 else f"{plural(len(pipelines), 'pipeline')}: {names}"
        out.print(Text.assemble("Published ", (version, "bold"), f" for {many}"))
    of_all = run_reasons(report)
    if report.counts[RunResult.NOT_STARTED]:  # these have the reasons that stopped the run
        of_all = [*([report.refusal] if report.refusal else []), *report.problems]
    print_diagnostics(of_all, err)
    refused = {id(run): run.plan for run in report.runs if run.plan and _is_refused(run, run.plan)}
    for cause in causes(report):
        if not all(id(run) in refused for run in cause.runs):
            if not is_planned_only:
                _print_cause(cause, err)
            for command in commands(report, cause.runs) if cause.result is not RunResult.NOT_STARTED else ():
                err.print(indented(Text(command, "cyan"), 4))
    if not is_planned_only:
        print_problems(refusals(refused.values()), err)
    print_problems(problem_rows(_remarks(report)), err)
    if not is_done:
        left = sum(run.result not in SUCCEEDED for run in report.runs)
        what = f"{plural(left, 'pipeline')} left. " if left else ""
        if "--plan" in report.options:
            again = ""
        elif any(run.needs_other_options for run in report.runs):
            again = "Correct the refused options: the command then does only what is left."
        elif report.problems or any(run.needs_change for run in report.runs):
            again = "Solve the problems above first: the same command then does only what is left."
        else:
            again = "Run the same command again: it does only what is left."
        err.print(f"{what}{again}".rstrip())


def _is_refused(run: PipelineRun, plan: Plan) -> bool:
    """Whether the plan's own refusals and conflicts are all that there is to say about the pipeline."""
    stale = run.stale_steps or run.mismatch
    return run.result is RunResult.REFUSED and bool(plan.refused or plan.conflicts) and not stale


def _totals(report: RunReport, *, is_done: bool) -> Text:
    counts = report.counts
    parts = [
        Text(f"{counts[result]:,} {result.value}", RESULT_STYLES[result])
        for result in (WORST_FIRST if not is_done else RunResult)
        if counts[result]
    ]
    heading = ("Done: ", "bold green") if is_done else ("Not finished: ", "bold red")
    what = Text(", ").join(parts or [Text("nothing to do")])
    return Text.assemble(heading, what, ".", (f"  {duration(report.seconds)}", "dim"))


def _print_cause(cause: RunCause, err: Console) -> None:
    """Print the reason of some pipelines."""
    heading = (f"{cause.result.value}: ", RESULT_STYLES[cause.result])
    if cause.result is RunResult.NOT_STARTED:
        what = f"{plural(len(cause.runs), 'pipeline')}, because {cause.problems[0].summary}"
        err.print(Text.assemble(heading, what))
        return
    is_one, where = len(cause.runs) == 1, Text(in_pipelines([run_name(run) for run in cause.runs]))
    for problem in cause.problems:
        err.print(Text.assemble(heading, (problem.summary, "bold")))
        err.print(indented(where, 2))
        if is_one and (place := "  ".join(filter(None, (problem.place, problem.address)))):
            err.print(indented(Text(f"at {place}", "dim"), 2))
        print_block(problem.detail, err)


def _remarks(report: RunReport) -> Sequence[Affected]:
    """The warnings and remarks that came up while the pipelines were applied."""
    return [
        Affected(run_name(run), run_name(run), diagnostic_problem(remark))
        for run in report.runs
        for remark in run.diagnostics
        if remark.severity is not Severity.ERROR
    ]
