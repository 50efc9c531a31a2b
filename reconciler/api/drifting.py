"""Compares the selected pipelines with the live objects of an environment."""

import os
from collections.abc import Mapping
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Self

from msgspec.structs import asdict

from providers.errors import ProviderError
from providers.leftovers import BASELINE
from reconciler.api.displays import Displayed
from reconciler.api.environments import Environment
from reconciler.api.events import EventSink, OnEvent
from reconciler.api.executors import OpenWorkers, open_workers
from reconciler.api.orphaned import orphans_of
from reconciler.api.pipelines import Pipelines
from reconciler.api.requests import Shard, part_of
from reconciler.api.sessions import open_session, sign_in
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.events import Emit
from reconciler.drift.baseline import acknowledged_report, read_rules
from reconciler.drift.check import check, no_state_remarks
from reconciler.drift.findings import (
    FOLDER,
    ORPHANS,
    UNMANAGED,
    Acknowledgement,
    Cause,
    Finding,
    PartOf,
    Report,
    StackReport,
    UnmanagedObject,
)
from reconciler.drift.orphans import orphan_report
from reconciler.drift.unmanaged import find_unmanaged
from reconciler.engine.inspection import inspect_all
from reconciler.engine.problems import diagnostics_of, provider_diagnostic
from reconciler.engine.run_identity import ci_run
from reconciler.pipeline.image_source import git_commit
from reconciler.system.files import display_path
from reconciler.views.terminal.console import Console
from reconciler.workspace.shards import selection_hash
from state.errors import StateError

__all__ = [
    "Acknowledgement",
    "Cause",
    "DriftReport",
    "Finding",
    "StackReport",
    "UnmanagedObject",
    "drift_of",
    "find_drift",
]


class DriftReport(Displayed, Report, frozen=True):
    """The changes that were made outside of the files, in all selected pipelines."""

    @classmethod
    def of(cls, report: Report) -> Self:
        """The same report, which notebooks and terminals can show."""
        return cls(**asdict(report))

    def __getitem__(self, name: str) -> StackReport:
        """The report of the stack with this name, or of the only pipeline with it."""
        found = [one for one in self.stacks if one.stack.name == name]
        found = found or [one for one in self.stacks if name in (one.stack.folder, one.stack.pipeline)]
        if len(found) != 1:
            raise KeyError(name)
        return found[0]

    def to_json(self) -> str:
        """The document of `reconciler drift --json`."""
        from reconciler.views.reports.drift_json import report_text

        return report_text(self._relative())

    def to_junit(self) -> str:
        """The text of `reconciler drift --junit`."""
        from reconciler.views.reports.junit import junit_text

        return junit_text(self._relative())

    def to_markdown(self) -> str:
        """The text of `reconciler drift --markdown`."""
        from reconciler.views.reports.markdown import drift_markdown

        return drift_markdown(self._relative())

    def _relative(self) -> Self:
        return self.with_relative_paths(Path.cwd())

    def _print(self, out: Console) -> None:
        from reconciler.views.terminal.drift import print_report
        from reconciler.views.terminal.messages import print_diagnostics

        print_report(self, out)
        print_diagnostics(dict.fromkeys((*self.remarks, *self.unchecked)), out)

    def _html(self, fragment: bool) -> str:
        from reconciler.views.reports.html import drift_html

        return drift_html(self._relative(), fragment=fragment)

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {word}" for word, count in self.counts.items() if count)
        count = self.unchecked_pipelines
        unchecked = f", {count:,} not checked" if count else ", not everything checked"
        unchecked = unchecked if self.unchecked else ""
        return f"<DriftReport {counts or 'no finding'}{unchecked}, exit code {self.exit_code}>"

    __str__ = Displayed.__str__


def drift_of(
    pipelines: Pipelines,
    environment: Environment,
    *,
    unmanaged: bool,
    baseline: Path | None,
    earlier: Path | None,
    shard: Shard | None,
    on_event: OnEvent | None,
    executor: Executor | None,
    rps: float | None,
) -> DriftReport:
    """As `Pipelines.drift`."""
    usual = pipelines.workspace.folder / BASELINE
    rules = read_rules(baseline or usual) if baseline is not None or usual.exists() else ()
    sink = EventSink(on_event)
    report = find_drift(
        pipelines,
        environment,
        sink,
        workers=open_workers(executor),
        earlier=earlier,
        shard=shard,
        unmanaged=unmanaged,
        rps=rps,
    )
    sink.raise_error()
    return DriftReport.of(acknowledged_report(report, rules, report.at.date()))


def find_drift(
    pipelines: Pipelines,
    environment: Environment,
    emit: Emit,
    *,
    workers: OpenWorkers,
    earlier: Path | None = None,
    shard: Shard | None = None,
    unmanaged: bool = False,
    fails_on_unmanaged: bool = False,
    rps: float | None = None,
) -> DriftReport:
    """The report, without acknowledgements.

    Args:
        earlier: the report of an earlier run, for the age of findings; None for none.
        fails_on_unmanaged: whether unmanaged objects change the exit code.

    Raises:
        UserError, StateError: nothing could be checked.
    """
    from reconciler.views.reports.drift_json import first_seen

    now = datetime.now(UTC).replace(microsecond=0)
    since = first_seen(earlier) if earlier else {}
    failed: dict[str, tuple[Diagnostic, ...]] = {
        name if name in pipelines.request.names else f"{FOLDER}{name}": diagnostics_of(problem)
        for name, problem in pipelines.problems.items()
    }
    workspace = pipelines.workspace
    result = inspect_all(
        part_of(pipelines.folders, workspace.folder, shard),
        environment.reads(pipelines.read_options),
        sign_in(environment, workspace.state, rps=rps),
        partial(check, first_seen=since, now=now),
        emit,
        workers,
    )
    if result.sign_in_error is not None:
        raise result.sign_in_error
    failed |= {display_path(folder): diagnostics_of(problem) for folder, problem in result.problems.items()}
    reports = tuple(result.results.values())
    remarks = no_state_remarks(reports)
    reports += _orphans(pipelines, environment, emit, shard, since, now, failed)
    objects = None
    if unmanaged and (shard is None or shard.index == 1):
        objects = _unmanaged(pipelines, environment, emit, rps, failed)
    whole = _whole(pipelines, environment) if shard is not None else None
    return DriftReport(now, reports, failed, remarks, shard, objects, fails_on_unmanaged, whole)


def _whole(pipelines: Pipelines, environment: Environment) -> PartOf:
    """What a shard of these pipelines is a part of."""
    target, here = environment.target(), pipelines.workspace.folder
    return PartOf(
        target.scope,
        target.environment.name,
        selection_hash(pipelines.folders, here),
        git_commit(here),
        ci_run(os.environ),
    )


def _orphans(
    pipelines: Pipelines,
    environment: Environment,
    emit: Emit,
    shard: Shard | None,
    since: Mapping[str, datetime],
    now: datetime,
    failed: dict[str, tuple[Diagnostic, ...]],
) -> tuple[StackReport, ...]:
    """The reports of the stacks without a folder. Errors go to `failed`."""
    try:
        orphans = orphans_of(pipelines, lambda: [environment.scope()], emit)
    except (UserError, StateError) as problem:
        failed[ORPHANS] = diagnostics_of(problem)
        return ()
    reports = []
    for orphan in orphans:
        if not part_of([Path(orphan.folder)], Path(), shard):
            continue
        if orphan.problem is not None:
            failed[orphan.stack] = diagnostics_of(orphan.problem)
        else:
            reports.append(orphan_report(orphan, environment.target(), first_seen=since, now=now))
    return tuple(reports)


def _unmanaged(
    pipelines: Pipelines,
    environment: Environment,
    emit: Emit,
    rps: float | None,
    failed: dict[str, tuple[Diagnostic, ...]],
) -> tuple[UnmanagedObject, ...] | None:
    """The unmanaged objects; None, with the error in `failed`, if they cannot be listed."""
    try:
        with open_session(environment, pipelines.workspace.state, rps, emit, 1) as opened:
            return find_unmanaged(opened)
    except ProviderError as problem:
        failed[UNMANAGED] = (provider_diagnostic(problem, "the objects could not be listed"),)
    except (UserError, StateError) as problem:
        failed[UNMANAGED] = diagnostics_of(problem)
    return None
