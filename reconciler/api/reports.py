"""Drift reports that were written before."""

from collections.abc import Iterable
from pathlib import Path

from reconciler.drift.findings import Report
from reconciler.drift.merge import merged
from reconciler.views.reports.drift_json import read_report

__all__ = ["Report", "merged_report", "read_report"]


def merged_report(files: Iterable[Path]) -> Report:
    """The report of a check that ran in several jobs, from the JSON report of each.

    Raises:
        UserError: a file is no such report, or cannot be read.
    """
    return merged(read_report(file) for file in files)
