"""The rules of drift-baseline.toml around a report: read before it, and written after it."""

from datetime import date, timedelta
from pathlib import Path

from rich.console import Console

from providers.leftovers import BASELINE
from providers.regular_files import read_regular
from providers.text import utf8
from reconciler.cli.acknowledging import DAYS, BaselineOptions
from reconciler.drift.baseline import Rule, acknowledged_report, read_rules, updated_text
from reconciler.drift.findings import Acknowledgement, Report
from reconciler.engine.run_identity import user_name
from reconciler.system.files import replace_file
from reconciler.views.counting import plural


def acknowledged_rules(known: BaselineOptions, err: Console) -> tuple[Rule, ...]:
    """What was acknowledged before. Raises UserError for a file that is not as it should be."""
    path = known.file or known.written or Path(BASELINE)
    if known.file is None and not path.exists():
        return ()
    rules = read_rules(path)
    if known.file is None and known.written is None:
        err.print(f"acknowledgements are read from {path}")
    return rules


def with_acknowledgements(
    known: BaselineOptions, report: Report, rules: tuple[Rule, ...], err: Console
) -> Report:
    """The report with what was acknowledged, now or before."""
    today = report.at.date()
    if known.written is not None:
        rules = _write(known, known.written, report, rules, today, err)
    return acknowledged_report(report, rules, today)


def _write(
    known: BaselineOptions, path: Path, report: Report, rules: tuple[Rule, ...], today: date, err: Console
) -> tuple[Rule, ...]:
    source = known.file or path
    before = read_regular(source).decode() if source.exists() else ""
    acknowledgement = Acknowledgement(
        utf8(known.owner or user_name()),
        utf8(known.reason or f"known on {today}; nobody said why"),
        (known.expires or today + timedelta(days=DAYS)).isoformat(),
    )
    after = updated_text(before, rules, report, acknowledgement, today)
    pending = sum(finding.is_pending for finding in report.findings)
    if pending:
        told = "not applied yet: no drift, so it is not acknowledged"
        err.print(f"{plural(pending, 'change')} of the files {told}")
    if after == before and source == path:
        err.print(f"{path} acknowledges all of the drift already")
        return rules
    replace_file(path, after.encode(), mode=None if path.exists() else 0o644)
    written = read_rules(path)
    err.print(f"{path}: {plural(len(report.findings) - pending, 'finding')} acknowledged")
    return written
