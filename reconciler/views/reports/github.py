"""What a step of GitHub Actions can show beside its log: annotations at lines of files. Text only."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from providers.regular_files import real_path
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.exit_codes import CONFLICT, DRIFT, PENDING
from reconciler.drift.findings import Finding, Report
from reconciler.views.phrases import Audience, details, headline, reason, unchecked, values
from reconciler.views.safe import one_line

MOST = 10
"""Annotations of one kind that GitHub keeps of a step; those above are dropped without a word."""
SUMMARY_BYTES = 1024 * 1024
"""A step summary that is longer is refused as a whole."""
_LEVELS = {PENDING: "warning", DRIFT: "error", CONFLICT: "error"}


def annotations(report: Report, here: Path, workspace: Path) -> list[str]:
    """Workflow commands, worst first, at most ten; the last one tells how many there would be more.

    Args:
        here: folder that places in the report are relative to.
        workspace: the checked out repository, which GitHub shows files relative to.
    """
    told = [*_all(report, here, workspace)]
    if len(told) > MOST:
        rest = len(told) - MOST + 1
        told[MOST - 1 :] = [_command("notice", "drift", "", [f"{rest} more; {headline(report)} in all."])]
    return told


def _all(report: Report, here: Path, workspace: Path) -> Iterator[str]:
    for finding in report.findings:
        if not finding.acknowledged:
            where = _where(finding.change.place, here, workspace)
            title = f"{finding.change.cls.value}: {finding.field}"
            yield _command(_LEVELS[finding.exit_code], title, where, _message(finding))
    for problem in unchecked(report):
        where = _where(problem.place, here, workspace)
        yield _command("error", f"not checked: {problem.address or problem.summary}", where, _said(problem))


def _message(finding: Finding) -> list[str]:
    said = [f"{word}: {value}" for word, value in values(finding)]
    first = f"{finding.stack}: {reason(finding.change.reason, Audience.DRIFT)}"
    return [first, *said, f"put it back: {finding.put_back}"]


def _said(problem: Diagnostic) -> list[str]:
    return [problem.summary, *details(problem)]


def _where(place: str, here: Path, workspace: Path) -> str:
    """`file=…,line=…,`; nothing for a file outside of the repository, which GitHub could not show."""
    path, _, line = place.rpartition(":")
    if not line.isdecimal():
        path, line = place, ""
    if not path:
        return ""
    try:
        file = real_path(here / path)
        if not file.is_relative_to(real_path(workspace)) or file.is_dir():
            return ""
    except (OSError, ValueError):  # no name that a file can have
        return ""
    shown = _property(one_line(file.relative_to(real_path(workspace)).as_posix()))
    return f"file={shown},line={line}," if line else f"file={shown},"


def _command(level: str, title: str, where: str, message: Iterable[str]) -> str:
    """One command; each of the message's lines is one where it is shown, whatever is in it."""
    told = "\n".join(map(one_line, message))
    return f"::{level} {where}title={_property(one_line(title))}::{_data(told)}"


def _data(text: str) -> str:
    """As the runner reads it back (actions/toolkit, command.ts)."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
