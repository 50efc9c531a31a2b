"""Writes reports and plans in the requested formats.

Each file is written completely or not at all, whatever the exit code. `-` is stdout, which then has nothing
else. The report modules are imported on use, as most runs only print to the terminal.
"""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.cli.documents import not_written, write_to
from reconciler.cli.outputs import Outputs
from reconciler.core.diagnostics import Diagnostic, UserError, warning
from reconciler.core.plan import Plan
from reconciler.core.runs import RunReport
from reconciler.system.files import append_output, why_not_written
from reconciler.views.safe import in_workflow
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.messages import print_diagnostics

if TYPE_CHECKING:
    from reconciler.api.reports import Report


def terminal(outputs: Outputs) -> Console:
    """The console for people: stdout, or stderr if a document goes to stdout."""
    return console(sys.stderr if outputs.on_stdout else sys.stdout)


def write_report(report: "Report", outputs: Outputs, err: Console) -> None:
    """Write a drift report in all requested formats. In GitHub Actions, add annotations and a step summary.

    Raises:
        UserError: a file could not be written.
    """
    report = report.with_relative_paths(Path.cwd())
    if in_workflow():
        _show_in_workflow(report, err)
    if not outputs.places:
        return
    from reconciler.views.reports.drift_json import report_text
    from reconciler.views.reports.html import drift_html
    from reconciler.views.reports.junit import junit_text
    from reconciler.views.reports.markdown import drift_markdown

    _write_all(
        outputs,
        {
            "json": lambda: report_text(report),
            "junit": lambda: junit_text(report),
            "markdown": lambda: drift_markdown(report),
            "html": lambda: drift_html(report, outputs.dashboard),
        },
    )


def write_run(report: RunReport, outputs: Outputs, err: Console) -> None:
    """Write the report of a run in all requested formats.

    In GitHub Actions, add annotations and a step summary, and set the outputs of the step.

    Raises:
        UserError: a file could not be written, or the events could not during the run.
    """
    report = report.with_relative_paths(Path.cwd())
    if in_workflow():
        _show_run_in_workflow(report, err)
    if not outputs.places:
        return
    from reconciler.views.reports.html import run_html
    from reconciler.views.reports.run_json import run_text
    from reconciler.views.reports.run_junit import run_junit
    from reconciler.views.reports.run_markdown import run_markdown

    _write_all(
        outputs,
        {
            "json": lambda: run_text(report),
            "junit": lambda: run_junit(report),
            "markdown": lambda: run_markdown(report),
            "html": lambda: run_html(report, outputs.dashboard),
        },
    )


def write_plans(plans: list[Plan], errors: list[Diagnostic], outputs: Outputs) -> None:
    """Write plans in all requested formats.

    Raises:
        UserError: a file could not be written.
    """
    if not outputs.places:
        return
    from reconciler.api.plans import owners_of
    from reconciler.views.reports.html import plan_html
    from reconciler.views.reports.plan_markdown import plan_markdown

    here = Path.cwd()
    errors = [problem.with_relative_paths(here) for problem in errors]
    plans = [
        replace(plan, diagnostics=tuple(problem.with_relative_paths(here) for problem in plan.diagnostics))
        for plan in plans
    ]
    owners = owners_of(plans, here)
    _write_all(
        outputs,
        {
            "markdown": lambda: plan_markdown(plans, errors, owners=owners),
            "html": lambda: plan_html(plans, errors, outputs.dashboard, owners=owners),
        },
    )


def _write_all(outputs: Outputs, texts: Mapping[str, Callable[[], str]]) -> None:
    """Write each format. A failure does not stop the others.

    Raises:
        UserError: a file could not be written.
    """
    failed = [*outputs.failures]
    for format_, place in outputs.places.items():
        if format_ not in texts:
            continue  # written during the run
        try:
            write_to(place, texts[format_](), format_)
        except OSError as problem:
            detail = f"{why_not_written(place, problem)} The results are above, and in the other outputs."
            failed.append(not_written(f"the {format_} output", place, detail))
    if failed:
        raise UserError(*failed)


def _show_in_workflow(report: "Report", err: Console) -> None:
    """Print annotations for the files, and write the step summary."""
    from reconciler.views.reports.github import annotations
    from reconciler.views.reports.markdown import drift_markdown

    _annotate(annotations(report, Path.cwd(), _repository()), err)
    _append_summary(lambda room: drift_markdown(report, room), err)


def _show_run_in_workflow(report: RunReport, err: Console) -> None:
    """Print annotations, write the step summary, and set the outputs of the step."""
    from reconciler.views.reports.run_github import output_lines, run_annotations
    from reconciler.views.reports.run_markdown import run_markdown

    _annotate(run_annotations(report, Path.cwd(), _repository()), err)
    _append_summary(lambda room: run_markdown(report, room), err)
    if file := os.environ.get("GITHUB_OUTPUT"):
        try:
            append_output(Path(file), output_lines(report).encode())
        except OSError as problem:
            print_diagnostics([warning("the outputs of the step cannot be set", f"{problem.strerror}.")], err)


def _repository() -> Path:
    """The checkout that GitHub shows files relative to."""
    return Path(os.environ.get("GITHUB_WORKSPACE") or Path.cwd())


def _annotate(commands: Iterable[str], err: Console) -> None:
    for line in commands:
        err.file.write(f"{line}\n")  # not escaped: this is a workflow command


def _append_summary(text_in: Callable[[int], str], err: Console) -> None:
    """Append to the step summary up to GitHub's limit. A write error is only a warning.

    Args:
        text_in: returns the text, in at most so many bytes.
    """
    from reconciler.views.reports.github import SUMMARY_BYTES

    if not (place := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    summary = Path(place)
    try:
        room = SUMMARY_BYTES - 1 - (summary.stat().st_size if summary.exists() else 0)
        text = text_in(room).encode("utf-8", "backslashreplace")
        if len(text) <= room:
            append_output(summary, text)
    except OSError as problem:
        print_diagnostics([warning("the step summary cannot be written", f"{problem.strerror}.")], err)
