"""What all terminal views are made of: a console, colours by meaning, aligned columns, counted nouns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import IO

from rich.console import Console
from rich.text import Text

from reconciler.diagnostics import Severity
from reconciler.diff import ChangeClass
from reconciler.plan import Action

STYLES = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "magenta",
    Action.DELETE: "red",
    Action.ADOPT: "cyan",
    Action.FORGET: "dim",
    Action.NOOP: "dim",
}
CLASS_STYLES = {ChangeClass.DRIFT: "red", ChangeClass.CONFLICT: "bold red"}
SEVERITY_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


WIDEST = 40
"""Columns up to which a column is padded: one long value must not push what stands beside the others away."""


def console(stream: IO[str]) -> Console:
    """A console on this stream: colours where a terminal shows them and NO_COLOR is not set."""
    return Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=True)


def columns(rows: Iterable[Sequence[Text]], gap: int = 2) -> list[Text]:
    """Rows as lines with aligned columns, and nothing behind the last of them."""
    rows = list(rows)
    widths = [min(max(cell.cell_len for cell in column), WIDEST) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        line = Text()
        for cell, width in zip(row, widths, strict=True):
            line.append_text(cell).append(" " * (max(width - cell.cell_len, 0) + gap))
        line.rstrip()
        lines.append(line)
    return lines


def pairs(values: Mapping[str, str], indent: int = 0) -> list[Text]:
    """Names and values, one line each."""
    return [
        indented(line, indent)
        for line in columns([Text(name, "dim"), Text(value)] for name, value in values.items())
    ]


def indented(line: Text, by: int) -> Text:
    return Text(" " * by).append_text(line)


def things(count: int, noun: str) -> str:
    """`1 field`, `2 fields`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
