"""What all terminal views are made of: a console, colours by meaning, aligned columns, counted nouns."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from reconciler.core.diagnostics import Severity
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action
from reconciler.views.safe import in_workflow, on_one_line, visible, without_workflow_commands

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
            yield segment._replace(text=without_workflow_commands(text) if commands else text)


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
