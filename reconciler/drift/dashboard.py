"""`dashboard`: each pipeline in each environment, from state, its history and given drift reports.

Reads the store, and no platform. The drift of a stack is that of its newest report, and is unknown again
after an apply.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from providers.reasons import Reason
from providers.threads import Pool
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.diff import ChangeClass
from reconciler.core.events import Emit, FleetProgress
from reconciler.core.recorded_runs import RecordedRun
from reconciler.drift.check import last_apply
from reconciler.drift.findings import DriftState, Report, StackReport, UnmanagedObject
from reconciler.drift.matrix import THREADS, Cell, cells_of
from reconciler.drift.orphans import Orphan
from reconciler.drift.status import Row, drift_found, in_sync, orphan_row, with_state, with_unread_state
from reconciler.engine.earlier_states import latest_runs
from reconciler.engine.missing_state import is_emptied
from state.errors import CorruptStateError, UnreadableStateError
from state.register import UNKNOWN_SOURCE, Register, Source, scope_of
from state.snapshot import Snapshot
from state.stores.base import Store

_AT_ONCE = 8 * THREADS
"""Pipelines that are read ahead: the histories of all of them may not fit into memory."""


class Check(Struct, frozen=True):
    """The newest report about one stack."""

    at: datetime
    report: StackReport


class DriftPoint(Struct, frozen=True):
    """What was known about drift at one time: of each stack, what the last report until then says.

    Attributes:
        counts: the number of findings by class, and of acknowledged ones.
        stacks: the number of stacks that a report was about.
    """

    at: datetime
    counts: Mapping[str, int]
    stacks: int


class DriftHistory(Struct, frozen=True):
    """What several reports say together.

    Attributes:
        points: one for each time of a report, oldest first.
        checks: the newest check by stack.
        unmanaged: the objects that no stack has, by scope, of the newest report that lists them, if any does.
        failed: what the newest report of each scope could not check, with the errors.
    """

    points: tuple[DriftPoint, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    unmanaged: Mapping[str, tuple[UnmanagedObject, ...]] = field(default_factory=dict)
    failed: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)


def drift_history(reports: Iterable[Report]) -> DriftHistory:
    """The reports in the order of their times. Keeps the findings of the newest one of each stack only.

    Args:
        reports: in any order; parts of a repository and single environments count for what they are about.
    """
    checks: dict[str, Check] = {}
    counts_at: dict[datetime, dict[str, Mapping[str, int]]] = {}
    unmanaged: dict[str, tuple[datetime, tuple[UnmanagedObject, ...]]] = {}
    failed: dict[str, tuple[datetime, Mapping[str, tuple[Diagnostic, ...]]]] = {}
    for report in reports:
        counts = counts_at.setdefault(report.at, {})
        for one in report.stacks:
            stack = str(one.stack)
            counts[stack] = Report(report.at, (one,)).counts
            if stack not in checks or checks[stack].at <= report.at:
                checks[stack] = Check(report.at, one)
        scope = next((one.stack.scope for one in report.stacks), "")
        if report.unmanaged is not None and (scope not in unmanaged or unmanaged[scope][0] <= report.at):
            unmanaged[scope] = report.at, report.unmanaged
        if scope not in failed or failed[scope][0] < report.at:
            failed[scope] = report.at, report.failed
        elif failed[scope][0] == report.at:  # other parts of the same check
            failed[scope] = report.at, {**failed[scope][1], **report.failed}
    return DriftHistory(
        tuple(_points(counts_at)),
        checks,
        {scope: objects for scope, (_, objects) in sorted(unmanaged.items())},
        {name: problems for _, found in failed.values() for name, problems in found.items()},
    )


def _points(counts_at: Mapping[datetime, Mapping[str, Mapping[str, int]]]) -> Iterator[DriftPoint]:
    known: dict[str, Mapping[str, int]] = {}
    for at, counts in sorted(counts_at.items()):
        known |= counts
        total: dict[str, int] = {}
        for one in known.values():
            for cls, count in one.items():
                total[cls] = total.get(cls, 0) + count
        yield DriftPoint(at, total, len(known))


class Deployment(Struct, frozen=True):
    """One pipeline in one environment.

    Attributes:
        stack: `my-org@STAGING/my_pipeline`.
        cell: what runs, how many versions it is behind, its last apply and its drift.
        source: where it was last applied from.
        state: its state; None if there is none, or it cannot be read.
        runs: its latest runs, latest first.
        check: the newest report about it; None if there is none.
    """

    stack: str
    cell: Cell
    source: Source
    state: Snapshot | None
    runs: tuple[RecordedRun, ...]
    check: Check | None

    @property
    def is_orphan(self) -> bool:
        return self.cell.row.drift.code is DriftState.ORPHANED

    @property
    def is_outdated(self) -> bool:
        """Whether its state was written after its newest report."""
        return self.check is not None and _is_after(self.state, self.check)


class PipelineRecord(Struct, frozen=True):
    """One pipeline in all of its environments.

    Attributes:
        name: the name of its stacks in each environment.
        folder: from the root of its workspace; "" if it is unknown.
        deployments: by scope.
    """

    name: str
    folder: str
    deployments: Mapping[str, Deployment]


def pipeline_records(
    store: Store,
    stacks: Iterable[str],
    drift: DriftHistory,
    orphans: Sequence[Orphan],
    *,
    most_runs: int,
    emit: Emit,
) -> Iterator[PipelineRecord]:
    """Yield each pipeline in the order of the names.

    Args:
        stacks: those that have state, or that a report is about.
        orphans: the stacks that no folder declares.
        most_runs: the number of latest runs to read of each stack.

    Raises:
        state.errors.StateError: the store cannot be read. One damaged state is a row that says so.
    """
    by_name: dict[str, list[str]] = {}
    for stack in sorted(stacks):
        by_name.setdefault(stack.partition("/")[2] or stack, []).append(stack)
    scopes = {scope_of(stack) for found in by_name.values() for stack in found} - {""}
    sources = {
        stack: source
        for scope in sorted(scopes)
        for stack, source in (store.load_register(scope) or Register(scope)).stacks.items()
    }
    read = partial(
        _deployment, store, drift, sources, {orphan.stack: orphan for orphan in orphans}, most_runs
    )
    names = sorted(by_name)
    with Pool(THREADS, thread_name_prefix="state") as pool:
        for start in range(0, len(names), _AT_ONCE):
            emit(FleetProgress(start, len(names)))
            part = names[start : start + _AT_ONCE]
            found = pool.map(lambda name: [read(stack) for stack in by_name[name]], part)
            for name, deployments in zip(part, found, strict=True):
                yield _record(name, deployments)
    if names:
        emit(FleetProgress(len(names), len(names)))


def _record(name: str, deployments: Sequence[Deployment]) -> PipelineRecord:
    folder = next((one.source.folder for one in deployments if one.source.folder), "")
    by_scope = {one.cell.row.where: one for one in deployments}
    cells = cells_of(
        {where: one.cell.row for where, one in by_scope.items()}, lambda row: by_scope[row.where].runs
    )
    return PipelineRecord(
        name, folder, {where: replace(one, cell=cells[where]) for where, one in by_scope.items()}
    )


def _deployment(
    store: Store,
    drift: DriftHistory,
    sources: Mapping[str, Source],
    orphans: Mapping[str, Orphan],
    most_runs: int,
    stack: str,
) -> Deployment:
    source, check = sources.get(stack, UNKNOWN_SOURCE), drift.checks.get(stack)
    name = stack.partition("/")[2] or stack
    row = Row(name, name, source.folder, scope_of(stack))
    state = None
    runs: tuple[RecordedRun, ...] = ()
    try:
        state = store.load(stack)
        emptied = is_emptied(store, stack, state)
        row = with_state(row, state, last_apply(store, stack, state), is_emptied=emptied)
    except UnreadableStateError as problem:
        row = with_unread_state(row, problem)
    try:
        if row.applied or state:
            runs = tuple(latest_runs(store, stack, most_runs))
            store.check_history(stack, sum(len(run.saves) for run in runs) or 1)
    except CorruptStateError as problem:  # a damaged history: what the state says is shown
        row = with_unread_state(row, problem)
    if stack in orphans:
        row = replace(row, drift=orphan_row(orphans[stack]).drift)
    elif row.state_is_readable and check is not None:
        row = replace(row, drift=_drift(check, state))
    return Deployment(stack, Cell(row, None), source, state, runs, check)


def _drift(check: Check, state: Snapshot | None) -> Reason:
    if _is_after(state, check):
        return Reason(DriftState.NOT_REQUESTED)
    for finding in check.report.findings:
        if finding.change.cls is ChangeClass.ORPHANED:
            declared = finding.change.reason.details.get("declared")
            return Reason(DriftState.ORPHANED, {"declared": declared} if declared else {})
    return drift_found(check.report, check.at) or in_sync(check.report)


def _is_after(state: Snapshot | None, check: Check) -> bool:
    """Whether the state was written after the check. Reports have whole seconds."""
    return state is not None and datetime.fromisoformat(state.written_at).replace(microsecond=0) > check.at
