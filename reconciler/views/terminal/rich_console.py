"""A console for terminals: colours, and long lines wrapped between words. With Rich, see `text`."""

import os
import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from providers.patterns import pattern
from reconciler.views.safe import in_workflow, visible, without_workflow_commands
from reconciler.views.terminal import console
from reconciler.views.terminal.live_views import before_output
from reconciler.views.terminal.text import Text, cell_len

_MIN_WIDTH = 40  # columns; on a narrower terminal, lines are not wrapped
_GUIDES = pattern(r"[ │├└─]*")
_SIZES = ("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES")
_SIZE = pattern(r"[1-9][0-9]{0,3}")


class RichConsole(Console):
    """Prints each text on one line, with hidden characters made visible. See `views/safe.py`.

    A terminal gets long lines wrapped between words.

    Args:
        options: passed to Rich's console.
    """

    def __init__(self, file: IO[str], **options: Any) -> None:
        super().__init__(
            file=file,
            highlight=False,
            emoji=False,
            markup=False,
            soft_wrap=True,
            **{"_environ": _environment(), **options},
        )

    def print(self, *objects: Any, sep: str = " ", style: Any = None, **options: Any) -> None:
        before_output(self)
        shown = [self._line(Text(item) if isinstance(item, str) else item) for item in objects]
        if sep != "\n":
            super().print(*shown, sep=sep, style=style, **options)
            return
        with self:  # writes the buffer at the end
            for item in shown:
                super().print(item, style=style, **options)

    def _line(self, item: Any) -> Any:
        if not isinstance(item, Text):
            return item
        line = item.on_one_line()
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


def _environment() -> dict[str, str]:
    """The environment without sizes that no terminal has. Rich fails on some, and renders bars of others."""
    return {name: value for name, value in os.environ.items() if name not in _SIZES or _SIZE.fullmatch(value)}


def wrapped(line: Text, width: int) -> Text:
    """The line broken between words, the rest indented like its start; below a tree's guides.

    A line with a command is not wrapped, so that it can be copied.
    """
    plain = line.plain
    if cell_len(plain) <= width or "reconciler " in plain:
        return line
    start = _GUIDES.match(plain)
    assert start is not None  # the pattern matches an empty text
    below = "".join("│" if guide in "│├" else " " for guide in start[0])
    room, used, breaks = width - len(below), 0, []
    for word in re.finditer(r"\S+\s*", plain[len(below) :]):
        if used and used + cell_len(word[0].rstrip()) > room:
            breaks.append(len(below) + word.start())
            used = 0
        used += cell_len(word[0])
    first, *others = line.split(breaks)
    for part in (first, *others):
        part.rstrip()
    return Text("\n").join([first, *(Text.assemble((below, "dim"), other) for other in others)])


class _Collecting(RichConsole):
    """Keeps what is printed, for another console to render."""

    def __init__(self, width: int) -> None:
        super().__init__(StringIO(), force_terminal=True, width=width, _environ={})
        self.collected: list[RenderableType] = []

    def print(self, *objects: Any, **_: Any) -> None:
        self.collected += [
            self._line(Text(item) if isinstance(item, str) else item) for item in objects or ("",)
        ]


def rich_of(out: console.Console) -> Console:
    """The console of Rich that an interactive console is."""
    assert isinstance(out, Console)
    return out


def collected(show: Callable[[console.Console], None], width: int) -> list[RenderableType]:
    """What a view prints on a terminal of this width, for Rich to render elsewhere."""
    collecting = _Collecting(width)
    show(collecting)
    return collecting.collected
