"""The report of a run as Markdown, for one comment about any number of pipelines, or a step summary."""

from functools import partial
from urllib.parse import quote

from reconciler.core.approval import SHORT
from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.views.fleet_changes import change_rows, contract_rows
from reconciler.views.phrases import moment
from reconciler.views.reports.markdown_parts import (
    CHANGES,
    COMMENT,
    CONTRACT,
    Section,
    block,
    change_item,
    code,
    contract_item,
    fitted,
    folded,
    plain,
    problem_item,
)
from reconciler.views.run_problems import RunCause, causes, commands, headline, reach, run_reasons
from reconciler.views.shown_values import SHORT_DIGEST

MOST_NAMES = 20
"""Pipelines that are named in one row; the others are counted. The commands name them all."""
MOST_PROBLEMS = 5
"""Problems of one pipeline in its row; the others are counted."""

_CAUSES = "\n| result | pipelines | reason |\n|---|---|---|\n"
_APPLIED = "\n| pipeline | version | image |\n|---|---|---|\n"


def run_markdown(report: RunReport, limit: int = COMMENT) -> str:
    """The report in at most `limit` bytes. It starts with a marker, by which a workflow finds its comment."""
    found = causes(report)
    applied = [run for run in report.runs if run.result is RunResult.APPLIED]
    changes = change_rows(run.plan for run in applied if run.plan)
    contract = contract_rows(run.plan for run in applied if run.plan)
    unchanged = [run for run in report.runs if run.result is RunResult.UNCHANGED]
    digest = f" The digest of the plan is {code(report.digest[:SHORT])}." if report.digest else ""
    return fitted(
        f"<!-- reconciler:{quote(report.command, errors='backslashreplace')} -->\n"
        f"## {plain(report.command.capitalize())}: {headline(report)}\n\n"
        f"{reach(report)}, from {moment(report.started)}.{digest}\n",
        [
            Section("\n", run_reasons(report), problem_item, "problem", share=0.3),
            Section(_CAUSES, found, _cause, "reason", share=0.5),
            Section("\nWhat to run next:\n\n", found, partial(_commands, report), "reason", share=0.7),
            Section(CONTRACT, contract, contract_item, "change of the contract", share=0.4),
            folded("Changes", changes, change_item, "change", table=CHANGES, share=0.5),
            folded("Applied", applied, _applied, "pipeline", table=_APPLIED, share=0.8),
            folded("Unchanged", unchanged, lambda run: f"- {code(run.label)}\n", "pipeline", share=0.8),
            folded("Remarks", _remarks(report), problem_item, "remark"),
        ],
        limit,
    )


def _cause(cause: RunCause) -> str:
    names = [code(run.label) for run in cause.runs[:MOST_NAMES]]
    more = len(cause.runs) - len(names)
    names += [f"and {more:,} more"] if more else []
    reasons = [_reason(problem) for problem in cause.problems[:MOST_PROBLEMS]]
    rest = len(cause.problems) - len(reasons)
    reasons += [f"and {rest:,} more"] if rest else []
    return f"| **{cause.result.value}** | {'<br>'.join(names)} | {'<br>'.join(reasons)} |\n"


def _reason(problem: Diagnostic) -> str:
    at = " ".join(code(part) for part in (problem.address, problem.place) if part)
    detail = f" {plain(problem.detail)}" if problem.detail else ""
    return f"{at} {plain(problem.summary)}.{detail}".strip()


def _commands(report: RunReport, cause: RunCause) -> str:
    return block(commands(report, cause.runs))


def _applied(run: PipelineRun) -> str:
    return f"| {code(run.label)} | {code(run.version)} | {code(run.image_digest[:SHORT_DIGEST])} |\n"


def _remarks(report: RunReport) -> list[Diagnostic]:
    """The remarks about pipelines, each once."""
    every = (
        remark
        for run in report.runs
        for remark in (*run.diagnostics, *(run.plan.diagnostics if run.plan else ()))
    )
    return list(dict.fromkeys(remark for remark in every if remark.severity is not Severity.ERROR))
