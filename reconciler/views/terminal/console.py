"""The parts of all terminal views: a console, colours by meaning, aligned columns."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from io import StringIO
from typing import IO, Any, cast

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.control import strip_control_codes
from rich.segment import Segment
from rich.text import Span, Text

from reconciler.core.diagnostics import Severity
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action
from reconciler.views.safe import in_workflow, on_one_line, visible, without_workflow_commands
from reconciler.views.terminal.live_views import before_output
from reconciler.views.terminal.lost_output import Stream

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

_MIN_WIDTH = 40  # columns; on a narrower terminal, lines are not wrapped
_GUIDES = re.compile(r"[ │├└─]*")


class _Console(Console):
    """Prints each text on one line, with hidden characters made visible. See `views/safe.py`.

    A terminal gets long lines wrapped between words.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        before_output(self)
        texts = [Text(item) if isinstance(item, str) else item for item in objects]
        if self.is_plain and not options and all(isinstance(item, Text) for item in texts):
            self.print_plain(" ".join(on_one_line(text).plain for text in texts))
            return
        super().print(*(self._line(item) if isinstance(item, Text) else item for item in texts), **options)

    @property
    def is_plain(self) -> bool:
        """Whether it has no styles and no width, as a log."""
        return self.color_system is None and not self.is_terminal

    def print_plain(self, lines: str) -> None:
        """Print lines without styles: rendering is slow."""
        with self:  # writes the buffer at the end
            lines = without_workflow_commands(lines) if in_workflow() else lines
            self._buffer.append(Segment(f"{lines}\n"))

    def _line(self, text: Text) -> Text:
        line = on_one_line(text)
        return wrapped(line, self.width) if self.is_terminal and self.width >= _MIN_WIDTH else line

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError, as for any output. Rich would end the process, whatever is under way."""
        raise  # noqa: PLE0704 - called while it is handled

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """Also cleans the text of progress bars, which bypasses `print`, and the starts of wrapped lines."""
        commands = in_workflow()
        for segment in super().render(renderable, options):
            if segment.control is not None:
                yield segment
                continue
            text = visible(segment.text)
            yield segment._replace(text=without_workflow_commands(text) if commands else text)


def console(stream: IO[str] | None) -> Console:
    """A console on this stream, with colours on a terminal unless NO_COLOR is set.

    A stream that the caller closed is None, and gets nothing. A stream that fails raises OSError, except in a
    run that must go on, see `lost_output`.
    """
    return _Console(
        file=cast(IO[str], Stream(stream)) if stream is not None else None,
        highlight=False,
        emoji=False,
        markup=False,
        soft_wrap=True,
        _environ=_environment(),
    )


def is_quiet() -> bool:
    """Whether the user wants results, warnings and errors only."""
    return bool(os.environ.get("RECONCILER_QUIET"))


_SIZES = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES")
_SIZE = re.compile(r"[1-9][0-9]{0,3}")


def _environment() -> dict[str, str]:
    """The environment without sizes that no terminal has. Rich fails on some, and renders bars of others."""
    return {name: value for name, value in os.environ.items() if name not in _SIZES or _SIZE.fullmatch(value)}


def wrapped(line: Text, width: int) -> Text:
    """The line broken between words, the rest indented like its start; below a tree's guides.

    A line with a command is not wrapped, so that it can be copied.
    """
    if line.cell_len <= width or "reconciler " in line.plain:
        return line
    start = _GUIDES.match(line.plain)
    assert start is not None  # the pattern matches an empty text
    below = "".join("│" if guide in "│├" else " " for guide in start[0])
    room, used, breaks = width - len(below), 0, []
    for word in re.finditer(r"\S+\s*", line.plain[len(below) :]):
        if used and used + cell_len(word[0].rstrip()) > room:
            breaks.append(len(below) + word.start())
            used = 0
        used += cell_len(word[0])
    first, *others = line.divide(breaks)
    for part in (first, *others):
        part.rstrip()
    return Text("\n").join([first, *(Text.assemble((below, "dim"), other) for other in others)])


def print_lines(lines: Iterable[Text], out: Console) -> None:
    """Print each line, and write them all at once: there may be ten thousand."""
    if isinstance(out, _Console) and out.is_plain:
        before_output(out)
        out.print_plain("\n".join([on_one_line(line).plain for line in lines]))
        return
    with out:  # writes the buffer at the end
        for line in lines:
            out.print(line)


Cell = str | tuple[str, str] | Text
"""A part of a line, as `Text.assemble` takes it: a text, one with its style, or one with several."""

_Spans = tuple[str, list[Span]]


def columns(
    rows: Iterable[Sequence[Cell]], gap: int = 2, widest: int = WIDEST, before: Cell = ""
) -> list[Text]:
    """Rows as lines with aligned columns, without trailing blanks. A cell wider than `widest` sticks out.

    Args:
        before: the start of each line.
    """
    start = _spans(before)
    cells = [[_spans(cell) for cell in row] for row in rows]
    sizes = [[cell_len(text) for text, _ in row] for row in cells]
    widths = [
        max((size for size in column if size <= widest), default=0) for column in zip(*sizes, strict=True)
    ]
    return [
        _aligned(
            row, [max(width - size, 0) + gap for size, width in zip(row_sizes, widths, strict=True)], start
        )
        for row, row_sizes in zip(cells, sizes, strict=True)
    ]


def _spans(cell: Cell) -> _Spans:
    """A text as `Text` has it, and its styles. A `Text` for each of ten thousand cells takes much longer."""
    if isinstance(cell, Text):
        own = [Span(0, len(cell), cell.style)] if cell.style else []
        return cell.plain, own + cell.spans
    text, style = (cell, "") if isinstance(cell, str) else cell
    text = strip_control_codes(text)
    return text, [Span(0, len(text), style)] if style else []


def _aligned(row: Sequence[_Spans], blanks: Sequence[int], before: _Spans) -> Text:
    """The cells in one line, with so many blanks after each. `Text.append` takes ten times as long."""
    texts, spans = [before[0]], list(before[1])
    start = len(before[0])
    for (text, styled), after in zip(row, blanks, strict=True):
        spans += [span.move(start) for span in styled]
        texts.append(text + " " * after)
        start += len(text) + after
    line = "".join(texts).rstrip()
    return Text(line, spans=[span.right_crop(len(line)) for span in spans if span.start < len(line)])


def pairs(values: Mapping[str, str], indent: int = 0) -> list[Text]:
    """A line for each name and value, aligned."""
    return [
        indented(line, indent)
        for line in columns([Text(name, "dim"), Text(value)] for name, value in values.items())
    ]


def indented(line: Text, by: int) -> Text:
    return Text(" " * by).append_text(line)


class _Collecting(_Console):
    """Keeps what is printed, for another console to render."""

    def __init__(self, width: int) -> None:
        super().__init__(
            file=StringIO(),
            force_terminal=True,
            width=width,
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=True,
            _environ={},
        )
        self.collected: list[RenderableType] = []

    def print(self, *objects: Any, **options: Any) -> None:
        texts = [Text(item) if isinstance(item, str) else item for item in objects or ("",)]
        self.collected += [self._line(item) if isinstance(item, Text) else item for item in texts]


def collected(show: Callable[[Console], None], width: int) -> list[RenderableType]:
    """What a view prints on a terminal of this width, for Rich to render elsewhere."""
    console = _Collecting(width)
    show(console)
    return console.collected
