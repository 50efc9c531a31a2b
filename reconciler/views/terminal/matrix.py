"""Prints pipelines x environments: side by side if the terminal is wide enough, otherwise in blocks."""

import sys
from collections.abc import Iterator
from datetime import datetime

from reconciler.core.plan import with_folder
from reconciler.drift.findings import DriftState
from reconciler.drift.matrix import Cell, Column, Matrix, MatrixLine
from reconciler.views.counting import ago
from reconciler.views.phrases import behind, drift_state
from reconciler.views.terminal.console import Console, columns, indented
from reconciler.views.terminal.text import Text

_GAP = 2


def print_matrix(found: Matrix, now: datetime, out: Console) -> None:
    """Print the matrix, after the environments that could not be read."""
    for column in found.columns:
        if column.problem:
            out.print(Text.assemble((column.name, "bold"), ("  not read: ", "bold red"), column.problem))
    beside = [*_side_by_side(found, now)]
    fits = max((line.cell_len for line in beside), default=0) <= out.width
    for line in beside if fits else _below(found, now):
        out.print(line)


def _side_by_side(found: Matrix, now: datetime) -> Iterator[Text]:
    """A table with three lines for each pipeline: the version, the drift, and since when by whom."""
    rows = [[Text("pipeline", "dim"), *(Text(column.name, "dim") for column in found.columns)]]
    for line in found.lines:
        cells = [_cell_lines(line.cells.get(column.scope), column, now) for column in found.columns]
        for index in range(3):
            first = Text(_label(line), "bold") if index == 0 else Text()
            rows.append([first, *(cell[index] for cell in cells)])
    yield from columns(rows, _GAP, widest=sys.maxsize)


def _below(found: Matrix, now: datetime) -> Iterator[Text]:
    """A block for each pipeline, with a line for each environment."""
    for line in found.lines:
        yield Text(_label(line), "bold")
        rows = [
            [Text(column.name), *_cell_lines(line.cells.get(column.scope), column, now)]
            for column in found.columns
        ]
        yield from (indented(row, 2) for row in columns(rows, _GAP))


def _cell_lines(cell: Cell | None, column: Column, now: datetime) -> list[Text]:
    if column.problem and cell is None:
        return [Text("not read", "red"), Text(), Text()]
    if cell is None or (not cell.version and cell.row.is_missing):
        return [Text("-", "dim"), Text(), Text()]
    lag = behind(cell.behind)
    version = Text.assemble(cell.version or "unknown", (f"  {lag}" if lag else "", "yellow"))
    by = f" by {cell.row.applied.by}" if cell.row.applied and cell.row.applied.by else ""
    since = f"{ago(cell.row.applied.at, now)}{by}" if cell.row.applied else "not in the state"
    return [version, _drift(cell, column), Text(since, "dim")]


def _drift(cell: Cell, column: Column) -> Text:
    if column.problem:
        return Text("not read", "red")
    words = drift_state(cell.row.drift)
    if cell.row.drift.code is DriftState.IN_SYNC:
        return Text(words, "green")
    return Text(words or "not checked", "yellow" if cell.row.checked else "dim")


def _label(line: MatrixLine) -> str:
    return with_folder(line.stack, line.stack, line.folder)
