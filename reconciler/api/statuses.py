"""Version, image, last apply and drift of each selected pipeline in several environments."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from msgspec import Struct

from reconciler.api.displays import Displayed
from reconciler.api.environments import Environment
from reconciler.api.events import EventSink, OnEvent
from reconciler.api.executors import LocalWorkers, OpenWorkers, open_workers
from reconciler.api.orphaned import orphans_of
from reconciler.api.pipelines import Pipelines
from reconciler.api.sessions import SignIn, sign_in
from reconciler.api.stores import open_state
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.events import Emit
from reconciler.core.exit_codes import DONE, FAILED, UNCHECKED
from reconciler.credentials.target import Target
from reconciler.drift.findings import DriftState
from reconciler.drift.matrix import Column, Matrix
from reconciler.drift.matrix import matrix as side_by_side
from reconciler.drift.orphans import Orphan, orphans_note
from reconciler.drift.status import Row, missing_state_notes, orphan_row, status
from reconciler.engine.problems import diagnostics_of
from reconciler.views.terminal.console import Console
from state.errors import StateError
from state.register import scope_of
from state.stores.base import Store

__all__ = [
    "Column",
    "DriftState",
    "FoundStatus",
    "Matrix",
    "Row",
    "StatusReport",
    "find_status",
    "missing_state_notes",
    "orphan_row",
    "status_of",
    "stored_scopes",
]


@dataclass(frozen=True, slots=True, repr=False)
class StatusReport(Displayed):
    """A row for each pipeline in each environment.

    Attributes:
        at: the time, with its offset from UTC.
        rows: the rows.
        matrix: pipelines and environments side by side; a row of `rows` is one cell.
        problems: files and states that cannot be read.
        remarks: notes about pipelines without state, and about stacks without a folder.
        offline: whether only files and state were read.
    """

    at: datetime
    rows: tuple[Row, ...]
    matrix: Matrix
    problems: tuple[Diagnostic, ...] = ()
    remarks: tuple[Diagnostic, ...] = ()
    offline: bool = False
    # Not part of the interface: scope -> the name that reconciler.toml has for its environment.
    _names: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def exit_code(self) -> int:
        """The code of `reconciler status`: 0, 1 for files or states that cannot be read, 13 for rows that
        could not be checked."""
        if self.problems:
            return FAILED
        unchecked = (
            row for row in self.rows if not row.checked and row.drift.code is not DriftState.NO_LOGIN
        )
        return UNCHECKED if not self.offline and any(unchecked) else DONE

    def to_json(self) -> str:
        """The document of `reconciler status --json`."""
        from reconciler.views.safe import json_text
        from reconciler.views.terminal.overview import overview_document

        return json_text(overview_document(self.rows))

    def _print(self, out: Console) -> None:
        from reconciler.views.terminal.messages import print_diagnostics
        from reconciler.views.terminal.overview import overview_lines

        for line in overview_lines(self.rows, self.at, self._names):
            out.print(line)
        print_diagnostics([*self.remarks, *self.problems], out)

    def _html(self, fragment: bool) -> str:
        from reconciler.views.reports.html import matrix_html

        return matrix_html(self.matrix, self.at, fragment=fragment)

    def __repr__(self) -> str:
        return f"<StatusReport {len(self.rows):,} rows, exit code {self.exit_code}>"

    __str__ = Displayed.__str__


class FoundStatus(Struct, frozen=True):
    """What the state and the platforms have.

    Attributes:
        rows: without those of orphans.
        orphans: the stacks that no folder declares.
        matrix: the rows side by side; None if it was not requested.
    """

    rows: list[Row]
    orphans: list[Orphan]
    matrix: Matrix | None = None


def status_of(
    pipelines: Pipelines,
    environments: Sequence[Environment] | None,
    *,
    offline: bool,
    on_event: OnEvent | None,
    executor: Executor | None,
) -> StatusReport:
    """As `Pipelines.status`."""
    selected = pipelines.workspace.environments() if environments is None else environments
    problems: list[Diagnostic] = [
        line for problem in pipelines.problems.values() for line in diagnostics_of(problem)
    ]
    now = datetime.now(UTC)
    sink = EventSink(on_event)
    targets = [environment.target() for environment in selected]
    with LocalWorkers() as here, open_state(sink, pipelines.workspace.state) as store:
        found = find_status(
            pipelines,
            list(zip(targets, selected, strict=True)),
            store,
            now=now,
            offline=offline,
            emit=sink,
            failed=lambda problem: problems.extend(problem.diagnostics),
            workers=open_workers(executor, here),
            columns=[Column(target.environment.name, target.scope) for target in targets],
            scopes=None if environments is None else {target.scope for target in targets},
        )
    sink.raise_error()
    assert found.matrix is not None
    remarks = [
        *missing_state_notes(found.rows, targets),
        *([orphans_note(found.orphans, ())] if found.orphans else []),
    ]
    rows = (*found.rows, *map(orphan_row, found.orphans))
    names = pipelines.workspace.settings.shared().names
    return StatusReport(now, rows, found.matrix, tuple(problems), tuple(remarks), offline, names)


def find_status(
    pipelines: Pipelines,
    targets: Sequence[tuple[Target, Environment]],
    store: Store,
    *,
    now: datetime,
    offline: bool,
    emit: Emit,
    failed: Callable[[UserError], None],
    workers: OpenWorkers,
    columns: Sequence[Column] | None = None,
    scopes: Collection[str] | None = None,
) -> FoundStatus:
    """The rows of the pipelines in these environments; the one in use comes first.

    Args:
        failed: gets each config.toml that has errors, once per folder, and each state that cannot be read.
        columns: of the matrix; None for no matrix.
        scopes: the scopes that may have rows; None for all that the store has.

    Raises:
        StateError: the store cannot be read.
    """
    of_target = {(target.organization, target.environment.name): one for target, one in targets}

    def sign_in_to(target: Target) -> SignIn:
        return sign_in(of_target[target.organization, target.environment.name], pipelines.workspace.state)

    rows = list(
        status(
            pipelines.folders,
            [target for target, _ in targets],
            store,
            pipelines.read_options,
            now=now,
            emit=emit,
            sign_in=None if offline else sign_in_to,
            failed=failed,
            open_workers=workers,
            scopes=scopes,
        )
    )
    orphans: list[Orphan] = []
    for scope in stored_scopes(store):
        if scopes is not None and scope not in scopes:
            continue
        try:
            orphans += orphans_of(pipelines, partial(list, (scope,)), emit, store)
        except (UserError, StateError) as problem:
            failed(UserError(*diagnostics_of(problem)))
    matrix = side_by_side(rows, columns, store, emit) if columns is not None else None
    for orphan in orphans:
        if orphan.problem is not None:
            failed(UserError(*diagnostics_of(orphan.problem)))
    return FoundStatus(rows, orphans, matrix)


def stored_scopes(store: Store) -> list[str]:
    """The scopes that the store has state of, such as `my-org@STAGING`."""
    return sorted({*map(scope_of, store.names())} - {""})
