"""`status --matrix`: pipelines x environments, in the order of promotion, from the rows of `status`.

Reads only the history of a pipeline whose environments run different versions: to count what one lacks.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from graphlib import CycleError, TopologicalSorter

from msgspec import Struct
from semver import Version

from providers.threads import Pool
from reconciler.core.events import Emit, Note
from reconciler.core.recorded_runs import RecordedRun, RunOutcome
from reconciler.drift.findings import DriftState
from reconciler.drift.status import Row
from reconciler.engine.earlier_states import recorded_runs
from reconciler.pipeline.version import parse
from state.stores.base import Store

THREADS = 16
"""Histories that are read at once."""


class Column(Struct, frozen=True):
    """One environment.

    Attributes:
        name: as in reconciler.toml; otherwise its scope.
        scope: `my-org@STAGING`.
        promote_from: the environment whose images it gets; "" for none.
        problem: why it could not be read; "" if it could.
    """

    name: str
    scope: str
    promote_from: str = ""
    problem: str = ""


class Cell(Struct, frozen=True):
    """One pipeline in one environment.

    Attributes:
        row: its row of `status`.
        behind: the number of versions that the environment with the highest version applied since; 0 for that
            one; None if a version is unknown.
    """

    row: Row
    behind: int | None

    @property
    def version(self) -> str:
        """The version that runs; offline, the one that was applied last; "" if it is unknown."""
        return self.row.running_version or self.row.version


class MatrixLine(Struct, frozen=True):
    """One pipeline.

    Attributes:
        cells: by the scope of the environment; none where it was never applied.
    """

    stack: str
    folder: str
    cells: Mapping[str, Cell]


class Matrix(Struct, frozen=True):
    columns: tuple[Column, ...]
    lines: tuple[MatrixLine, ...]

    @property
    def is_complete(self) -> bool:
        """Whether every environment and every pipeline in it could be read."""
        cells = (cell for line in self.lines for cell in line.cells.values())
        return not any(column.problem for column in self.columns) and all(
            cell.row.checked or cell.row.drift.code is DriftState.NOT_REQUESTED for cell in cells
        )


def matrix(rows: Iterable[Row], columns: Sequence[Column], store: Store, emit: Emit) -> Matrix:
    """The matrix of these rows. An environment that only rows have gets a column after the others.

    Args:
        emit: called for each history that is read, from several threads.

    Raises:
        StateError: a history cannot be read.
    """
    by_line: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        by_line.setdefault((row.stack, row.folder), {})[row.where] = row
    known = {column.scope for column in columns}
    others = sorted({where for found in by_line.values() for where in found} - known)
    ordered = sorted(by_line.items())
    with Pool(THREADS, thread_name_prefix="history") as pool:
        cells = pool.map(lambda item: cells_of(item[1], partial(_history, store, emit)), ordered)
        lines = [
            MatrixLine(stack, folder, found)
            for ((stack, folder), _), found in zip(ordered, cells, strict=True)
        ]
    every = (*in_promotion_order(columns), *(Column(where, where) for where in others))
    return Matrix(tuple(_with_problem(column, lines) for column in every), tuple(lines))


def in_promotion_order(columns: Sequence[Column]) -> list[Column]:
    """The environments, each after the one that it gets its images from; otherwise as they stand."""
    by_name = {column.name: column for column in columns}
    sources = {
        column.name: [column.promote_from] if column.promote_from in by_name else [] for column in columns
    }
    try:
        order = list(TopologicalSorter(sources).static_order())
    except CycleError:
        return list(columns)
    return [by_name[name] for name in order]


def cells_of(rows: Mapping[str, Row], runs_of: Callable[[Row], Iterable[RecordedRun]]) -> dict[str, Cell]:
    """The cells of one pipeline, by the scope of the environment.

    Args:
        runs_of: the history of a row, latest first. Called only if the environments run different versions.
    """
    found = {where: Cell(row, None) for where, row in rows.items()}
    versions = {where: version for where, cell in found.items() if (version := _parsed(cell.version))}
    if not versions:
        return found
    furthest = max(versions, key=lambda where: versions[where])
    lowest = min(versions.values())
    newer = {versions[furthest]}
    if lowest < versions[furthest]:
        newer |= _applied_since(runs_of(rows[furthest]), lowest)
    for where, version in versions.items():
        behind = sum(other > version for other in newer)
        found[where] = Cell(rows[where], behind)
    return found


def _history(store: Store, emit: Emit, row: Row) -> Iterable[RecordedRun]:
    stack = f"{row.where}/{row.stack}"
    emit(Note(f"reading the history of {stack}"))
    return recorded_runs(store, stack)


def _applied_since(runs: Iterable[RecordedRun], lowest: Version) -> set[Version]:
    """The versions above the lowest one that an environment applied, and did not roll back from."""
    found: set[Version] = set()
    for run in runs:
        version = _parsed(run.version)
        if run.outcome is not RunOutcome.APPLIED or version is None:
            continue
        if version <= lowest:
            break
        found.add(version)
    return found


def _parsed(text: str) -> Version | None:
    try:
        return parse(text) if text else None
    except ValueError:
        return None


def _with_problem(column: Column, lines: Sequence[MatrixLine]) -> Column:
    """The column, with the problem of its cells if no cell could be read and all for one reason."""
    cells = [line.cells[column.scope] for line in lines if column.scope in line.cells]
    problems = {str(cell.row.drift.details.get("problem", "")) for cell in cells}
    unread = cells and all(cell.row.drift.code is DriftState.UNREADABLE for cell in cells)
    if column.problem or not unread or len(problems) != 1:
        return column
    return Column(column.name, column.scope, column.promote_from, problems.pop())
