"""The parts of all terminal views: a console, colours by meaning, aligned columns."""

import os
import shutil
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOBase
from typing import IO, Protocol, cast

from reconciler.core.diagnostics import Severity
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action
from reconciler.views.safe import in_workflow, without_workflow_commands
from reconciler.views.terminal.live_views import before_output
from reconciler.views.terminal.lost_output import Stream
from reconciler.views.terminal.text import Cell, Part, Text, cell_len, parts_of

STYLES = {
    Action.CREATE: "green",
    Action.UPDATE: "yellow",
    Action.REPLACE: "magenta",
    Action.DELETE: "red",
    Action.ADOPT: "cyan",
    Action.FORGET: "dim",
    Action.NOOP: "dim",
}
CLASS_STYLES = {ChangeClass.DRIFT: "red", ChangeClass.CONFLICT: "bold red", ChangeClass.ORPHANED: "red"}
SEVERITY_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


WIDEST = 42
"""Maximum width of a column. A longer value does not move the columns of the other rows."""


class Console(Protocol):
    """Prints lines, with hidden characters made visible. See `views/safe.py`."""

    @property
    def file(self) -> IO[str]:
        """The stream, for output that is no line."""

    @property
    def is_terminal(self) -> bool:
        """Whether it has a width."""

    @property
    def is_interactive(self) -> bool:
        """Whether it can also be drawn on."""

    @property
    def width(self) -> int:
        """The width in columns."""

    def print(self, *lines: str | Text, sep: str = " ", style: str = "") -> None:
        """Print lines with this between them, the last one with a line feed."""


class PlainConsole:
    """Prints to a file, a pipe or a log: without styles, and lines of any length. Thread-safe."""

    is_terminal = is_interactive = False

    def __init__(self, file: IO[str]) -> None:
        self.file = file
        self._lock = threading.Lock()

    @property
    def width(self) -> int:
        return shutil.get_terminal_size().columns

    def print(self, *lines: str | Text, sep: str = " ", style: str = "") -> None:
        before_output(self)
        texts = (Text(line) if isinstance(line, str) else line for line in lines)
        text = sep.join([text.on_one_line().plain for text in texts])
        with self._lock:
            self.file.write((without_workflow_commands(text) if in_workflow() else text) + "\n")
            self.file.flush()


class _Closed(TextIOBase):
    """Takes the output for a stream that is closed."""

    def write(self, text: str) -> int:
        return len(text)


def console(stream: IO[str] | None) -> Console:
    """A console on this stream, with colours on a terminal unless NO_COLOR is set.

    A stream that the caller closed is None, and gets nothing. A stream that fails raises OSError, except in a
    run that must go on, see `lost_output`.
    """
    if stream is None:
        return PlainConsole(cast(IO[str], _Closed()))
    file = cast(IO[str], Stream(stream))
    if not _is_for_rich(stream):
        return PlainConsole(file)
    from reconciler.views.terminal.rich_console import RichConsole

    return RichConsole(file)


def _is_for_rich(stream: IO[str]) -> bool:
    """Whether Rich may draw on this stream, by the variables that it follows. A notebook is for Rich, too."""
    compatible, forced = os.environ.get("TTY_COMPATIBLE"), os.environ.get("FORCE_COLOR")
    if "IPython" in sys.modules or compatible == "1":
        return True
    if compatible == "0" or forced is not None:
        return compatible != "0" and forced != ""
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def is_quiet() -> bool:
    """Whether the user wants results, warnings and errors only."""
    return bool(os.environ.get("RECONCILER_QUIET"))


def print_lines(lines: Iterable[Text], out: Console) -> None:
    """Print each line, and write them all at once: there may be ten thousand."""
    if together := list(lines):
        out.print(*together, sep="\n")


def columns(
    rows: Iterable[Sequence[Cell]], gap: int = 2, widest: int = WIDEST, before: Cell = ""
) -> list[Text]:
    """Rows as lines with aligned columns, without trailing blanks. A cell wider than `widest` sticks out.

    Args:
        before: the start of each line.
    """
    start = parts_of(before)
    cells = [[parts_of(cell) for cell in row] for row in rows]
    sizes = [[cell_len("".join([text for text, _ in cell])) for cell in row] for row in cells]
    widths = [
        max((size for size in column if size <= widest), default=0) for column in zip(*sizes, strict=True)
    ]
    return [
        _aligned(
            row, [max(width - size, 0) + gap for size, width in zip(row_sizes, widths, strict=True)], start
        )
        for row, row_sizes in zip(cells, sizes, strict=True)
    ]


def _aligned(row: Sequence[Sequence[Part]], blanks: Sequence[int], before: Sequence[Part]) -> Text:
    """The cells in one line, with so many blanks after each."""
    line = Text()
    line.parts += before
    for cell, after in zip(row, blanks, strict=True):
        line.parts += cell
        line.parts.append((" " * after, ""))
    line.rstrip()
    return line


def pairs(values: Mapping[str, str], indent: int = 0) -> list[Text]:
    """A line for each name and value, aligned."""
    return [
        indented(line, indent)
        for line in columns([Text(name, "dim"), Text(value)] for name, value in values.items())
    ]


def indented(line: Text, by: int) -> Text:
    return Text(" " * by).append_text(line)
