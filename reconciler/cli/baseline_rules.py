"""Reads the rules of drift-baseline.toml before a check, and writes new ones after it."""

from datetime import timedelta
from pathlib import Path

from providers.leftovers import BASELINE
from reconciler.api.acknowledging import Rule, acknowledged_report, read_rules, write_rules
from reconciler.api.reports import Report
from reconciler.cli.baseline_options import DAYS, BaselineOptions
from reconciler.views.counting import plural
from reconciler.views.terminal.console import Console


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
    if baseline.write_to is not None:
        rules = _write(baseline, baseline.write_to, report, rules, err)
    return acknowledged_report(report, rules, report.at.date())


def _write(
    baseline: BaselineOptions, path: Path, report: Report, rules: tuple[Rule, ...], err: Console
) -> tuple[Rule, ...]:
    pending = sum(finding.is_pending for finding in report.findings)
    if pending:
        err.print(f"{plural(pending, 'change')} of the files not acknowledged: not applied yet, so not drift")
    is_changed = write_rules(
        path,
        report,
        rules,
        source=baseline.file,
        owner=baseline.owner or "",
        reason=baseline.reason or "",
        expires=baseline.expires or report.at.date() + timedelta(days=DAYS),
    )
    if not is_changed:
        err.print(f"{path} already acknowledges all drift")
        return rules
    new_rules = read_rules(path)
    err.print(f"{path}: {plural(len(report.findings) - pending, 'finding')} acknowledged")
    return new_rules
