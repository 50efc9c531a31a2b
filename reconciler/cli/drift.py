"""`reconciler drift`."""

import sys
import threading
from datetime import UTC, datetime

import click

from reconciler.checking import check
from reconciler.cli import options
from reconciler.cli.acknowledging import Known, acknowledging
from reconciler.cli.outputs import Outputs, output_files, write_report
from reconciler.diagnostics import Diagnostic, UserError
from reconciler.drift import Report, StackReport
from reconciler.session import CannotCheckError, Reading, session
from reconciler.views.drift_document import first_seen
from reconciler.views.findings import print_report
from reconciler.views.lines import console
from reconciler.views.reports import diagnosed, print_diagnostics
from reconciler.views.watch import Watch
from state.errors import StateError


@click.command("drift")
@options.pipelines
@options.where
@output_files("json", "junit", "markdown", "html")
@acknowledging
@options.classes
def command(
    chosen: options.Chosen, where: options.Where, outputs: Outputs, known: Known, reading: Reading
) -> int:
    """Tell what somebody changed outside of the files.

    Reads only: it sends no write of any kind, takes no lock, and works with a read-only token. Exits with 0
    when all is in sync, 10 when the files ask for changes, 11 for drift, 12 for a conflict, and 13 when
    something could not be checked; the highest wins.
    """
    err = console(sys.stderr)
    now = datetime.now(UTC).replace(microsecond=0)
    rules = known.rules(err)
    earlier = outputs.file("json")
    since = first_seen(earlier) if earlier else {}
    found: list[StackReport] = []
    failed: dict[str, tuple[Diagnostic, ...]] = {}

    def not_found(problem: UserError) -> None:
        failed[f"pipeline {len(failed) + 1}"] = diagnosed(problem)

    with Watch(err) as watch:
        sound = list(options.checked(chosen.folders(not_found), where.reads(reading), not_found))
        try:
            if sound:
                with session(where.target(), options.store(), watch, threading.Event()) as opened:
                    for checked in sound:
                        pipeline, _ = checked.sound()
                        try:
                            found.append(check(opened, checked, first_seen=since, now=now))
                        except (UserError, StateError) as problem:
                            failed[pipeline.name] = diagnosed(problem)
        except CannotCheckError as problem:
            failed.update({checked.sound()[0].name: diagnosed(problem) for checked in sound})
    report = known.said_of(Report(now, tuple(found), failed), rules, err)
    print_report(report, outputs.terminal)
    print_diagnostics((*report.remarks, *report.unchecked), err)
    write_report(report, outputs, err)
    return report.exit_code
