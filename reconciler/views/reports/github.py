"""Annotations of drift for GitHub Actions, at lines of files. Plain text only."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from providers.regular_files import real_path
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.exit_codes import CONFLICT, DRIFT, PENDING
from reconciler.drift.findings import Finding, Report
from reconciler.views.phrases import Audience, details, headline, reason, unchecked, values, ways
from reconciler.views.safe import limited, one_line

MOST = 10
"""Annotations of one level that GitHub keeps per step. It drops the others silently."""
SUMMARY_BYTES = 1024 * 1024
"""Maximum size of a step summary. GitHub refuses a longer one completely."""
_LEVELS = {PENDING: "warning", DRIFT: "error", CONFLICT: "error"}


def annotations(report: Report, here: Path, workspace: Path) -> list[str]:
    """Workflow commands, worst first, at most ten. The last one has the number of the others.

    Args:
        here: the folder that places in the report are relative to.
        workspace: the checkout of the repository. GitHub shows files relative to it.
    """
    commands = [*_all(report, here, workspace)]
    if len(commands) > MOST:
        rest = len(commands) - MOST + 1
        commands[MOST - 1 :] = [command("notice", "drift", "", [f"{rest} more; {headline(report)} in all."])]
    return commands


def _all(report: Report, here: Path, workspace: Path) -> Iterator[str]:
    for finding in report.findings:
        if not finding.acknowledged:
            where = place_of(finding.change.place, here, workspace)
            title = f"{finding.change.cls.value}: {finding.field}"
            yield command(_LEVELS[finding.exit_code], title, where, _message(finding))
    for problem in unchecked(report):
        where = place_of(problem.place, here, workspace)
        yield command("error", f"not checked: {problem.address or problem.summary}", where, _problem(problem))


def _message(finding: Finding) -> list[str]:
    first = f"{finding.stack.label}: {reason(finding.change.reason, Audience.DRIFT)}"
    pairs = [*values(finding), *ways(finding)[:1]]
    return [first, *(f"{label}: {text}" for label, text in pairs)]


def _problem(problem: Diagnostic) -> list[str]:
    return [problem.summary, *details(problem)]


def place_of(place: str, here: Path, workspace: Path) -> str:
    """`file=…,line=…,`; "" for a file outside of the repository, which GitHub cannot show."""
    path, _, line = place.rpartition(":")
    if not line.isdecimal():
        path, line = place, ""
    if not path:
        return ""
    try:
        file = real_path(here / path)
        if not file.is_relative_to(real_path(workspace)) or file.is_dir():
            return ""
    except (OSError, ValueError):  # not a valid file name
        return ""
    shown = _property(one_line(file.relative_to(real_path(workspace)).as_posix()))
    return f"file={shown},line={line}," if line else f"file={shown},"


def command(level: str, title: str, where: str, message: Iterable[str]) -> str:
    """A workflow command with the lines of a message, at a place that `where` returned."""
    text = "\n".join(one_line(limited(line)) for line in message)
    return f"::{level} {where}title={_property(one_line(limited(title)))}::{_data(text)}"


def _data(text: str) -> str:
    """Text escaped for the runner (actions/toolkit, command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
