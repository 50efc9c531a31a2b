"""Positions in a config.toml: the line of every key and the span of every value.

`config` and `load` use them to point at a problem, `toml_edits` to find a value. This module never decides
what a text means or whether it is TOML: `tomllib` does, and only texts that it accepts come here. So the
scanner only has to find where each key and value ends.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping

from msgspec import Struct, field

from providers.patterns import pattern

Path = tuple[str | int, ...]

BOM = "\ufeff"

MOST_LEVELS = 100
"""Maximum nesting depth: tomlkit, which `toml_edits` uses, allows no more in one key or value."""

_BETWEEN = pattern(r"(?:[ \t\r\n,]+|#[^\n]*)*")
_NAME = pattern(r"""[A-Za-z0-9_-]+|'[^']*'|"(?:[^"\\]|\\.)*\"""")
_NAMES = rf"(?:{_NAME.pattern})(?:[ \t]*\.[ \t]*(?:{_NAME.pattern}))*"
_HEADER = pattern(rf"\[(\[?)[ \t]*({_NAMES})[ \t]*\]\]?")
_KEY = pattern(rf"({_NAMES})[ \t]*=[ \t]*")
_SCALAR = pattern(
    r'''
      """(?:[^\\]|\\.)*?"{3,5}           # the text may end with two quotes before the three that close it
    | \'\'\'.*?'{3,5}
    | "(?:[^"\\]|\\.)*"
    | '[^']*'
    | \d{4}-\d\d-\d\d[ ]\d[^ \t\r\n,\]}#]*  # a date, a space and a time
    | [^ \t\r\n,\]}#]+
    ''',
    re.VERBOSE | re.DOTALL,
)


class TomlPositions(Struct):
    """The positions in one TOML text. Offsets count characters; lines count from 1.

    Attributes:
        line: the line of each key, table, row and array element, by path.
        span: start and end of each value by path, in the order in which the values end.
        sections: start and end of each section (a header and everything up to the next one), in order, by the
            path of the table or row. The text above the first header is at `()`, even if it is empty. The
            byte order mark is in no section.
        places: the path in the file of each value that comes from an environment's overlay.
    """

    line: dict[Path, int] = field(default_factory=dict)
    span: dict[Path, tuple[int, int]] = field(default_factory=dict)
    sections: dict[Path, tuple[int, int]] = field(default_factory=dict)
    places: Mapping[Path, Path] = field(default_factory=dict)

    def line_of(self, *path: str | int) -> int | None:
        """The line of this path, or of the closest table or array around it; None if the file has neither."""
        path = self.place(path)
        while path:
            if path in self.line:
                return self.line[path]
            path = path[:-1]
        return None

    def place(self, path: Path) -> Path:
        """The path in the file of the value at this path, which may come from an overlay."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return (*self.places[path[:end]], *path[end:])
        return path


def lines_of(text: str) -> TomlPositions:
    """Every position in `text`, which must be valid TOML, with or without a byte order mark.

    Raises:
        ValueError: `text` is nested more than `MOST_LEVELS` deep; the message has the line and column.
    """
    return _Scanner(text).scan()


class _Scanner:
    """Scans the text once. Each method starts at the start of its element, and moves `at` to its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = len(BOM) if text.startswith(BOM) else 0
        self.starts = [self.at, *(newline.end() for newline in re.finditer("\n", text))]
        self.rows: dict[Path, int] = {}  # path of an array of tables -> index of its last row
        self.found = TomlPositions()

    def scan(self) -> TomlPositions:
        table: Path = ()
        start = self.at
        while first := self._next():
            if first == "[":
                end = self.starts[self._line() - 1]
                self.found.sections[table] = (start, end)
                table, start = self._header(), end
            else:
                self._pair(table)
        self.found.sections[table] = (start, len(self.text))
        return self.found

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: returns the path of the table or of the new row."""
        line = self._line()
        is_row, key = self._match(_HEADER).groups()
        names = _names(key)
        path: Path = ()
        for depth, name in enumerate(names, 1):
            path = self._add_line((*path, name), line)
            if is_row and depth == len(names):
                self.rows[path] = self.rows.get(path, -1) + 1
            if path in self.rows:
                path = self._add_line((*path, self.rows[path]), line)
        return path

    def _pair(self, table: Path) -> None:
        """`a.b = 1`: a key of this table and its value."""
        line = self._line()
        path = table
        for name in _names(self._match(_KEY)[1]):
            path = self._add_line((*path, name), line)
        self._value(path)

    def _value(self, path: Path) -> None:
        start = self.at
        match self.text[start]:
            case "[":
                self.at += 1
                index = 0
                while self._next() != "]":
                    self._value(self._add_line((*path, index), self._line()))
                    index += 1
                self.at += 1
            case "{":
                self.at += 1
                while self._next() != "}":
                    self._pair(path)
                self.at += 1
            case _:
                self._match(_SCALAR)
        self.found.span[path] = (start, self.at)

    def _next(self) -> str:
        """The first character of the next element, after whitespace, commas and comments; "" at the end."""
        self._match(_BETWEEN)
        return self.text[self.at : self.at + 1]

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        assert match is not None  # `tomllib` accepted the text
        self.at = match.end()
        return match

    def _line(self) -> int:
        return bisect_right(self.starts, self.at)

    def _add_line(self, path: Path, line: int) -> Path:
        """Save the first line of this path, and return it: several headers or keys can name one table."""
        if len(path) > MOST_LEVELS:
            column = self.at - self.starts[line - 1] + 1
            raise ValueError(f"nested more than {MOST_LEVELS} levels deep (at line {line}, column {column})")
        self.found.line.setdefault(path, line)
        return path


def _names(key: str) -> list[str]:
    """The names in a key: `a` and `b.c` for `a."b.c"`."""
    return [
        tomllib.loads(f"name = {name}")["name"] if name[0] in "\"'" else name for name in _NAME.findall(key)
    ]
