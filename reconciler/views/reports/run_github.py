"""What a run reports to GitHub Actions: annotations at lines of files, and the outputs of the step."""

import json
from collections.abc import Iterator
from pathlib import Path

from providers.text import shown_names
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.counting import plural
from reconciler.views.phrases import details
from reconciler.views.reports.github import MOST, command, place_of
from reconciler.views.reports.run_json import totals
from reconciler.views.run_problems import RunCause, causes, commands, headline, run_reasons
from reconciler.views.safe import one_line

LONGEST_OUTPUT = 1024 * 1024
"""Size of an output in characters. GitHub refuses the outputs of a step with a longer one.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idoutputs
"""


def run_annotations(report: RunReport, here: Path, workspace: Path) -> list[str]:
    """Workflow commands, worst first, at most as many as GitHub shows. The last one has the rest.

    Args:
        here: the folder that places in the report are relative to.
        workspace: the checkout of the repository. GitHub shows files relative to it.
    """
    found = [*_all(report, here, workspace)]
    if len(found) > MOST:
        rest = len(found) - MOST + 1
        found[MOST - 1 :] = [
            command("notice", report.command, "", [f"{rest} more; {headline(report)} in all."])
        ]
    return found


def _all(report: RunReport, here: Path, workspace: Path) -> Iterator[str]:
    for problem in run_reasons(report):
        yield _annotation(f"{report.command}: {problem.summary}", problem, [], here, workspace)
    for cause in causes(report):
        if cause.result is not RunResult.NOT_STARTED:
            yield _of_cause(report, cause, here, workspace)


def _of_cause(report: RunReport, cause: RunCause, here: Path, workspace: Path) -> str:
    labels = [run.label for run in cause.runs]
    subject = labels[0] if len(labels) == 1 else plural(len(labels), "pipeline")
    lines = [f"in {shown_names(labels, 20)}", *commands(report, cause.runs)[:3]]
    return _annotation(f"{cause.result.value}: {subject}", cause.problems[0], lines, here, workspace)


def _annotation(title: str, problem: Diagnostic, more: list[str], here: Path, workspace: Path) -> str:
    first = f"{problem.address} {problem.summary}".strip()
    return command(
        "error", title, place_of(problem.place, here, workspace), [first, *details(problem), *more]
    )


def output_lines(report: RunReport) -> str:
    """The outputs of the step, `name=value` each: the number of pipelines with each result, versions, images.

    No value has a line break, so none can add an output or end one. Versions and images that are too long for
    an output are left out.
    """
    tables = {"versions": report.versions, "images": report.images}
    texts = {name: json.dumps(table) for name, table in tables.items()}  # in ASCII, on one line
    values = {
        "pipelines": len(report.runs),
        **totals(report),
        "exit_code": report.exit_code,
        "digest": one_line(report.digest),
        **{name: text for name, text in texts.items() if len(text) <= LONGEST_OUTPUT},
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())
