"""Reads the rules of drift-baseline.toml before a check, and writes new ones after it."""

from datetime import date, timedelta
from pathlib import Path

from rich.console import Console

from providers.leftovers import BASELINE
from providers.regular_files import read_regular
from providers.text import utf8
from reconciler.cli.baseline_options import DAYS, BaselineOptions
from reconciler.drift.baseline import Rule, acknowledged_report, read_rules, updated_text
from reconciler.drift.findings import Acknowledgement, Report
from reconciler.engine.run_identity import user_name
from reconciler.system.files import replace_file
from reconciler.views.counting import plural


def load_rules(baseline: BaselineOptions, err: Console) -> tuple[Rule, ...]:
    """The rules of the baseline file; none if there is no file. Raises UserError for an invalid file."""
    path = baseline.file or baseline.write_to or Path(BASELINE)
    if baseline.file is None and not path.exists():
        return ()
    rules = read_rules(path)
    if baseline.file is None and baseline.write_to is None:
        err.print(f"using the acknowledgements in {path}")
    return rules


def with_acknowledgements(
    baseline: BaselineOptions, report: Report, rules: tuple[Rule, ...], err: Console
) -> Report:
    """The report with the findings acknowledged by these rules, and by new ones if they are requested."""
    today = report.at.date()
    if baseline.write_to is not None:
        rules = _write(baseline, baseline.write_to, report, rules, today, err)
    return acknowledged_report(report, rules, today)


def _write(
    baseline: BaselineOptions, path: Path, report: Report, rules: tuple[Rule, ...], today: date, err: Console
) -> tuple[Rule, ...]:
    source = baseline.file or path
    before = read_regular(source).decode() if source.exists() else ""
    acknowledgement = Acknowledgement(
        utf8(baseline.owner or user_name()),
        utf8(baseline.reason or f"acknowledged on {today} without a reason"),
        (baseline.expires or today + timedelta(days=DAYS)).isoformat(),
    )
    after = updated_text(before, rules, report, acknowledgement, today)
    pending = sum(finding.is_pending for finding in report.findings)
    if pending:
        err.print(f"{plural(pending, 'change')} of the files not acknowledged: not applied yet, so not drift")
    if after == before and source == path:
        err.print(f"{path} already acknowledges all drift")
        return rules
    replace_file(path, after.encode(), mode=None if path.exists() else 0o644)
    new_rules = read_rules(path)
    err.print(f"{path}: {plural(len(report.findings) - pending, 'finding')} acknowledged")
    return new_rules
