"""Runs `reconciler drift`."""

import sys
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from providers.errors import ProviderError
from reconciler.cli import execution, options, stores
from reconciler.cli.baseline_options import BaselineOptions
from reconciler.cli.baseline_rules import load_rules, with_acknowledgements
from reconciler.cli.cluster import workers_of
from reconciler.cli.orphans import folders_beside_orphans, orphans_of
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import in_images, terminal, write_report
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.drift.check import check, no_state_remarks
from reconciler.drift.findings import Report, UnmanagedObject
from reconciler.drift.orphans import orphan_report
from reconciler.drift.unmanaged import find_unmanaged
from reconciler.engine.inspection import inspect_all
from reconciler.engine.problems import diagnostics_of, provider_diagnostic
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import session
from reconciler.system.files import display_path
from reconciler.views.reports.drift_json import first_seen
from reconciler.views.terminal.console import console
from reconciler.views.terminal.drift import print_report
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.shards import Shard, part_of
from state.errors import StateError


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    outputs: Outputs,
    baseline: BaselineOptions,
    rps: float | None,
    executor: str | None,
    shard: Shard | None,
    unmanaged: bool,
    fail_on: tuple[str, ...],
    read_options: ReadOptions,
) -> int:
    if unmanaged and not selection.request.everything:
        raise click.UsageError("--unmanaged needs --all: one pipeline does not show what the others have")
    if fail_on and not unmanaged:
        raise click.UsageError("--fail-on unmanaged needs --unmanaged")
    if executor is not None:
        where = where.explicit()  # workers have other variables
    err = console(sys.stderr)
    now = datetime.now(UTC).replace(microsecond=0)
    rules = load_rules(baseline, err)
    earlier = outputs.file("json")
    since = first_seen(earlier) if earlier else {}
    failed: dict[str, tuple[Diagnostic, ...]] = {}

    def not_found(name: str, problem: UserError) -> None:
        failed[name] = diagnostics_of(problem)

    folders = part_of(folders_beside_orphans(selection, not_found, where.scopes), Path.cwd(), shard)
    with ProgressView(err) as progress:
        result = inspect_all(
            folders,
            where.reads(read_options),
            partial(execution.shared_session, where, rps),
            partial(check, first_seen=since, now=now),
            progress,
            workers_of(executor, where),
        )
    if result.sign_in_error is not None:
        raise result.sign_in_error
    failed |= {display_path(folder): diagnostics_of(problem) for folder, problem in result.problems.items()}
    reports = tuple(result.results.values())
    remarks = no_state_remarks(reports)
    try:
        orphans = orphans_of(selection, where.scopes)
    except (UserError, StateError) as problem:
        orphans = []
        failed["the stacks without a folder"] = diagnostics_of(problem)
    for orphan in orphans:
        if not part_of([Path(orphan.folder)], Path(), shard):
            continue
        if orphan.problem is not None:
            failed[orphan.stack] = diagnostics_of(orphan.problem)
        else:
            reports += (orphan_report(orphan, where.target(), first_seen=since, now=now),)
    objects = _unmanaged(where, rps, failed) if unmanaged and (shard is None or shard.index == 1) else None
    report = Report(now, reports, failed, remarks, shard, objects, bool(fail_on))
    report = with_acknowledgements(baseline, report, rules, err)
    print_report(report, terminal(outputs))
    print_diagnostics(dict.fromkeys((*report.remarks, *report.unchecked)), err)
    write_report(report, outputs, err)
    print_diagnostics(in_images(outputs, folders, read_options.shared), err)
    return report.exit_code


def _unmanaged(
    where: options.TargetOptions, rps: float | None, failed: dict[str, tuple[Diagnostic, ...]]
) -> tuple[UnmanagedObject, ...] | None:
    """The unmanaged objects; None, with the error in `failed`, if they cannot be listed."""
    try:
        with (
            ProgressView(console(sys.stderr)) as progress,
            session(where.target(), stores.store(progress), progress, threading.Event(), rps=rps) as opened,
        ):
            return find_unmanaged(opened)
    except ProviderError as problem:
        failed["the unmanaged objects"] = (provider_diagnostic(problem, "the objects could not be listed"),)
    except (UserError, StateError) as problem:
        failed["the unmanaged objects"] = diagnostics_of(problem)
    return None
