"""Where everything stands in a config.toml: the line of every key, and the bytes of every value.

`config` and `load` use it to point at a problem, `edit` to find the place of a value. It never decides what a
text means or whether it is TOML: `tomllib` does, and this reads only texts that `tomllib` has accepted. So it
needs to know no more of the syntax than where a key or a value ends.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

BOM = "\ufeff"

MOST_LEVELS = 100
"""How deep things may be nested: tomlkit, which `edit` needs, takes no more in one key or one value."""

_BETWEEN = re.compile(r"(?:[ \t\r\n,]+|#[^\n]*)*")
_NAME = re.compile(r"""[A-Za-z0-9_-]+|'[^']*'|"(?:[^"\\]|\\.)*\"""")
_NAMES = rf"(?:{_NAME.pattern})(?:[ \t]*\.[ \t]*(?:{_NAME.pattern}))*"
_HEADER = re.compile(rf"\[(\[?)[ \t]*({_NAMES})[ \t]*\]\]?")
_KEY = re.compile(rf"({_NAMES})[ \t]*=[ \t]*")
_SCALAR = re.compile(
    r'''
      """(?:[^\\]|\\.)*?"{3,5}           # two quotes of the text can stand right before the three of its end
    | \'\'\'.*?'{3,5}
    | "(?:[^"\\]|\\.)*"
    | '[^']*'
    | \d{4}-\d\d-\d\d[ ]\d[^ \t\r\n,\]}#]*  # a date, and behind a blank its time
    | [^ \t\r\n,\]}#]+
    ''',
    re.VERBOSE | re.DOTALL,
)


@dataclass(slots=True)
class TomlPositions:
    """What stands where in one TOML text. Offsets count characters of that text; lines count from 1.

    Attributes:
        line: the line of each key, table, row and array element, by its path.
        span: start and end of each value, in the order in which they end.
        sections: start and end of each header's line with everything up to the next one, in their order, by
            the path of the table or the row. What stands above the first header is at `()`, if only as an
            empty span; the byte order mark is in none of them.
        places: where a value stands that one environment has in the place of what all of them share.
    """

    line: dict[Path, int] = field(default_factory=dict)
    span: dict[Path, tuple[int, int]] = field(default_factory=dict)
    sections: dict[Path, tuple[int, int]] = field(default_factory=dict)
    places: Mapping[Path, Path] = field(default_factory=dict)

    def of(self, *path: str | int) -> int | None:
        """The line of this path, or of the nearest thing around it; None when the file has neither."""
        path = self.place(path)
        while path:
            if path in self.line:
                return self.line[path]
            path = path[:-1]
        return None

    def place(self, path: Path) -> Path:
        """Where the value that this path leads to stands in the file."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.places:
                return (*self.places[path[:end]], *path[end:])
        return path


def lines_of(text: str) -> TomlPositions:
    """Every position in `text`, which must be valid TOML (a byte order mark may stand in front of it).

    Raises ValueError, which names the place, for what is nested more than `MOST_LEVELS` deep.
    """
    return _Scanner(text).scan()


class _Scanner:
    """Goes through the text once. Each step begins where its thing begins, and leaves `at` behind its end."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = len(BOM) if text.startswith(BOM) else 0
        self.starts = [self.at, *(newline.end() for newline in re.finditer("\n", text))]
        self.rows: dict[Path, int] = {}  # path of an array of tables -> index of its last row
        self.found = TomlPositions()

    def scan(self) -> TomlPositions:
        table: Path = ()
        start = self.at
        while begins := self._next():
            if begins == "[":
                end = self.starts[self._line() - 1]
                self.found.sections[table] = (start, end)
                table, start = self._header(), end
            else:
                self._pair(table)
        self.found.sections[table] = (start, len(self.text))
        return self.found

    def _header(self) -> Path:
        """`[a.b]` or `[[a.b]]`: the path of the table or of the new row."""
        line = self._line()
        is_row, key = self._take(_HEADER).groups()
        names = _names(key)
        path: Path = ()
        for depth, name in enumerate(names, 1):
            path = self._mark((*path, name), line)
            if is_row and depth == len(names):
                self.rows[path] = self.rows.get(path, -1) + 1
            if path in self.rows:
                path = self._mark((*path, self.rows[path]), line)
        return path

    def _pair(self, table: Path) -> None:
        """`a.b = 1`: a key, and the table that it is in by its first name."""
        line = self._line()
        path = table
        for name in _names(self._take(_KEY)[1]):
            path = self._mark((*path, name), line)
        self._value(path)

    def _value(self, path: Path) -> None:
        start = self.at
        match self.text[start]:
            case "[":
                self.at += 1
                index = 0
                while self._next() != "]":
                    self._value(self._mark((*path, index), self._line()))
                    index += 1
                self.at += 1
            case "{":
                self.at += 1
                while self._next() != "}":
                    self._pair(path)
                self.at += 1
            case _:
                self._take(_SCALAR)
        self.found.span[path] = (start, self.at)

    def _next(self) -> str:
        """What the next thing begins with, behind blanks, commas and comments; "" at the end."""
        self._take(_BETWEEN)
        return self.text[self.at : self.at + 1]

    def _take(self, pattern: re.Pattern[str]) -> re.Match[str]:
        taken = pattern.match(self.text, self.at)
        assert taken is not None  # `tomllib` has found it here
        self.at = taken.end()
        return taken

    def _line(self) -> int:
        return bisect_right(self.starts, self.at)

    def _mark(self, path: Path, line: int) -> Path:
        """The path, of which the first line is kept: a table can be named by several headers or keys."""
        if len(path) > MOST_LEVELS:
            column = self.at - self.starts[line - 1] + 1
            raise ValueError(f"nested more than {MOST_LEVELS} levels deep (at line {line}, column {column})")
        self.found.line.setdefault(path, line)
        return path


def _names(key: str) -> list[str]:
    """The names in a key: `a."b.c"` has a and b.c."""
    return [
        tomllib.loads(f"name = {name}")["name"] if name[0] in "\"'" else name for name in _NAME.findall(key)
    ]
