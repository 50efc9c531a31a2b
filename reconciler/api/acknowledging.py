"""Acknowledges findings: the rules of a baseline file, and new ones for what a check found."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from providers.regular_files import read_regular
from providers.text import utf8
from reconciler.api.reports import Report
from reconciler.drift.baseline import Rule, acknowledged_report, read_rules, updated_text
from reconciler.drift.findings import Acknowledgement
from reconciler.engine.run_identity import user_name
from reconciler.system.files import replace_file, writing

__all__ = ["Rule", "acknowledged_report", "read_rules", "write_rules"]


def write_rules(
    path: Path,
    report: Report,
    rules: Sequence[Rule],
    *,
    source: Path | None = None,
    owner: str = "",
    reason: str = "",
    expires: date,
) -> bool:
    """Acknowledge every finding of a report in a file, except pending changes; False if it does it already.

    Args:
        rules: those of `source`.
        source: the file whose text is kept; None for `path`.
        owner: the contact; "" for the user.
        reason: "" for the date alone.
        expires: the last day of the new acknowledgements.

    Raises:
        UserError: the file cannot be written.
    """
    today, source = report.at.date(), source or path
    before = read_regular(source).decode() if source.exists() else ""
    acknowledgement = Acknowledgement(
        utf8(owner or user_name()),
        utf8(reason or f"acknowledged on {today} without a reason"),
        expires.isoformat(),
    )
    after = updated_text(before, rules, report, acknowledgement, today)
    if after == before and source == path:
        return False
    with writing(path, "the baseline cannot be written"):
        replace_file(path, after.encode(), mode=None if path.exists() else 0o644)
    return True
