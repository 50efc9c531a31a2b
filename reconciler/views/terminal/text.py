"""A line of text with styles.

Rich draws it on a terminal, see `rich_console`. Logs, files and other programs get the characters alone, so
nothing else imports Rich: that takes a twelfth of the time of a command that has nothing to do.
"""

from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Self

from reconciler.views.safe import LONGEST_LINE, by_number, unsafe_places

if TYPE_CHECKING:
    import rich.text

Part = tuple[str, str]
"""Some characters and their style, as Rich names it; "" for none."""


class Text:
    """Characters with styles. Mutable.

    Attributes:
        parts: in their order.
    """

    __slots__ = ("parts",)

    def __init__(self, text: str = "", style: str = "") -> None:
        self.parts: list[Part] = [(text, style)] if text else []

    @classmethod
    def assemble(cls, *cells: "Cell") -> Self:
        """The cells in one line."""
        line = cls()
        for cell in cells:
            line.parts += parts_of(cell)
        return line

    @property
    def plain(self) -> str:
        """The characters without styles."""
        return "".join([text for text, _ in self.parts])

    @property
    def cell_len(self) -> int:
        """The number of columns that it takes on a terminal."""
        return cell_len(self.plain)

    def __bool__(self) -> bool:
        return any(text for text, _ in self.parts)

    def append(self, text: str, style: str = "") -> Self:
        """Add characters to the end, and return the line."""
        self.parts.append((text, style))
        return self

    def append_text(self, line: "Text") -> Self:
        """Add a line to the end, and return this one."""
        self.parts += line.parts
        return self

    def join(self, lines: "Iterable[Text]") -> "Text":
        """One line of all these, with this one in between."""
        joined = Text()
        for number, line in enumerate(lines):
            joined.parts += [*self.parts, *line.parts] if number else line.parts
        return joined

    def split(self, offsets: Iterable[int]) -> "list[Text]":
        """The line divided at these characters, which are in order."""
        size = sum(len(text) for text, _ in self.parts)
        return [self._between(start, end) for start, end in pairwise((0, *offsets, size))]

    def on_one_line(self) -> "Text":
        """The line for an output, with hidden characters made visible; the beginning of a very long one.

        See `views/safe.py`.
        """
        line, plain = self, self.plain
        if len(plain) > LONGEST_LINE:
            line = self._between(0, LONGEST_LINE - 1).append("…")
            plain = line.plain
        places = unsafe_places(plain)
        if not places:
            return line
        safe, start = Text(), 0
        for text, style in line.parts:
            characters = enumerate(text, start)
            safe.append("".join([by_number(one) if at in places else one for at, one in characters]), style)
            start += len(text)
        return safe

    def rstrip(self) -> None:
        """Remove the blanks at the end."""
        while self.parts:
            text, style = self.parts.pop()
            if text := text.rstrip():
                self.parts.append((text, style))
                return

    def truncate(self, width: int, *, pad: bool = False) -> None:
        """Shorten the line to so many columns, with an ellipsis; with `pad`, fill it with blanks."""
        if self.cell_len > width:
            plain, style = self.plain, self.parts[-1][1]
            widths = accumulate(map(cell_len, plain))
            self.parts = self._between(0, sum(until < width for until in widths)).parts
            self.append("…"[: max(width, 0)], style)
        if pad:
            self.append(" " * (width - self.cell_len))

    def _between(self, start: int, end: int) -> "Text":
        part, at = Text(), 0
        for text, style in self.parts:
            if found := text[max(start - at, 0) : max(end - at, 0)]:
                part.parts.append((found, style))
            at += len(text)
        return part

    def __rich__(self) -> "rich.text.Text":
        """The same line for Rich."""
        from rich.text import Text as RichText

        return RichText.assemble(*self.parts)


Cell = str | Part | Text
"""A part of a line as callers write it: characters, the same with a style, or a line."""


def parts_of(cell: Cell) -> list[Part]:
    """The parts of a cell."""
    if isinstance(cell, Text):
        return cell.parts
    return [(cell, "")] if isinstance(cell, str) else [cell]


def cell_len(text: str) -> int:
    """The number of columns that these characters take on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len as of_any

    return of_any(text)
