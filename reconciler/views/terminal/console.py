"""What all terminal views are made of: a console, colours by meaning, aligned columns, counted nouns."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from rich import filesize
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from reconciler.core.diagnostics import Severity
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action
from reconciler.views.safe import in_workflow, on_one_line, undone, visible

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


WIDEST = 42
"""The longest value that a column is padded to: a longer one must not push away what is beside the others."""


class _Console(Console):
    """Prints lines: each text that it is given becomes one, whatever is in it. See `safe`."""

    def print(self, *objects: Any, **options: Any) -> None:
        as_text = (Text(one) if isinstance(one, str) else one for one in objects)
        super().print(*(on_one_line(one) if isinstance(one, Text) else one for one in as_text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """What bars show does not come through `print`; and a line that is wrapped begins again."""
        commands = in_workflow()
        for segment in super().render(renderable, options):
            if segment.control is not None:
                yield segment
                continue
            text = visible(segment.text)
            yield segment._replace(text=undone(text) if commands else text)


def console(stream: IO[str]) -> Console:
    """A console on this stream: colours where a terminal shows them and NO_COLOR is not set."""
    return _Console(file=stream, highlight=False, emoji=False, markup=False, soft_wrap=True)


def columns(rows: Iterable[Sequence[Text]], gap: int = 2) -> list[Text]:
    """Rows as lines with aligned columns, and nothing behind the last of them."""
    rows = list(rows)
    widths = [
        max((cell.cell_len for cell in column if cell.cell_len <= WIDEST), default=0)
        for column in zip(*rows, strict=True)
    ]
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


def listed(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def short_commit(revision: str) -> str:
    """`815a748c0ffe`, and `815a748c0ffe+dirty` when files differed from that commit."""
    commit, plus, suffix = revision.partition("+")
    return f"{commit[:12]}{plus}{suffix}"


def things(count: int, noun: str) -> str:
    """`1 field`, `2 fields`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """`12 bytes`, `4.1 kB`, `12.5 MB`: with powers of ten, as registries show them."""
    return filesize.decimal(count)


def amount(done: int, total: int | None, unit: str) -> str:
    """`3/7` steps, `12.5/40.0 MB`; without a total how much it was so far; nothing before the start."""
    if unit == "steps":
        return f"{done}/{total}" if total else ""
    if not total:
        return size(done) if done else ""
    factor, suffix = filesize.pick_unit_and_suffix(
        total, ["bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"], 1000
    )
    digits = 0 if factor == 1 else 1
    return f"{done / factor:.{digits}f}/{total / factor:.{digits}f} {suffix}"


def pace(rate: float, rest: float | None) -> str:
    """`4.0 MB/s, 0:07 left`; only the rate where the rest is not known.

    Args:
        rate: bytes per second.
        rest: bytes that are left.
    """
    if rest is None:
        return f"{size(int(rate))}/s"
    minutes, seconds = divmod(math.ceil(rest / rate), 60)
    return f"{size(int(rate))}/s, {minutes}:{seconds:02} left"
