"""Where everything stands in a config.toml: the line of every key, and the bytes of every value.

`config` and `load` use it to point at a problem, `edit` to replace one value and nothing else. It never
decides whether a text is TOML: `tomllib` does, and this walks only texts that `tomllib` has accepted.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

Path = tuple[str | int, ...]

_BLANK = " \t\r\n"
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR_END = re.compile(r"[,\]}#\r\n]|\Z")
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED = {"b": "\b", "t": "\t", "n": "\n", "f": "\f", "r": "\r"}


@dataclass(frozen=True, slots=True)
class Room:
    """Where one more key of a table can be written.

    Attributes:
        after: offset just behind the table's last value, or behind its header when it has none.
        prefix: what stands before the key, for a table that exists through dotted keys (`docker.`).
        inline: between braces, on one line.
        empty: nothing in the table yet.
    """

    after: int
    prefix: str = ""
    inline: bool = False
    empty: bool = True


@dataclass(slots=True)
class Lines:
    """What stands where in one TOML text. Offsets count characters of that text; lines count from 1.

    Attributes:
        line: the line of each key, table, row and array element, by its path.
        span: start and end of each value.
        room: where each table can grow; `()` is the document itself.
    """

    line: dict[Path, int] = field(default_factory=dict)
    span: dict[Path, tuple[int, int]] = field(default_factory=dict)
    room: dict[Path, Room] = field(default_factory=dict)

    def of(self, *path: str | int) -> int | None:
        """The line of this path, or of the nearest thing around it; None when the file has neither."""
        while path:
            if path in self.line:
                return self.line[path]
            path = path[:-1]
        return None


def lines_of(text: str) -> Lines:
    """Every position in `text`, which must be valid TOML (a byte order mark may stand in front of it)."""
    return _Walk(text).walk()


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 1 if text.startswith("\ufeff") else 0
        self.ends = [match.start() for match in re.finditer("\n", text)]
        self.found = Lines()
        self.rows: dict[Path, int] = {}  # path of an array of tables -> index of its last row

    def walk(self) -> Lines:
        self.found.room[()] = Room(self.at)
        table: Path = ()
        while self._skip_blank():
            if self.text.startswith("[[", self.at):
                table = self._row_header()
            elif self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table, inline=False)
        return self.found

    # Statements

    def _header(self) -> Path:
        start = self.at
        self.at += 1
        path = self._resolve(self._key())
        self._close("]")
        return self._open_table(path, start)

    def _row_header(self) -> Path:
        start = self.at
        self.at += 2
        *parents, name = self._key()
        self._close("]")
        self._close("]")
        array = (*self._resolve(parents), name)
        self.rows[array] = self.rows.get(array, -1) + 1
        self._mark(array, start)
        return self._open_table((*array, self.rows[array]), start)

    def _open_table(self, path: Path, start: int) -> Path:
        self._mark(path, start)
        self.found.room[path] = Room(self.at)
        return path

    def _resolve(self, keys: list[str]) -> Path:
        """The path a header means: below an array of tables, its last row."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            self._mark(path, self.at)
            if path in self.rows:
                path = (*path, self.rows[path])
        return path

    def _pair(self, table: Path, *, inline: bool) -> None:
        start = self.at
        keys = self._key()
        dotted = self.text[start : self.at].rstrip(" \t")
        self._close("=")
        path: Path = table
        for key in keys:
            path = (*path, key)
            self._mark(path, start)
        self._skip_spaces()
        self._value(path)
        self.found.room[table] = Room(self.at, self.found.room[table].prefix, inline, empty=False)
        for depth in range(1, len(keys)):
            parent = (*table, *keys[:depth])
            prefix = _first_keys(dotted, depth)
            outer = self.found.room[table].prefix
            self.found.room[parent] = Room(self.at, outer + prefix, inline, empty=False)

    # Values

    def _value(self, path: Path) -> None:
        start = self.at
        first = self.text[start]
        if first in "\"'":
            self._string()
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            end = _SCALAR_END.search(self.text, start)
            assert end is not None  # \Z always matches
            self.at = start + len(self.text[start : end.start()].rstrip(_BLANK))
        self.found.span[path] = (start, self.at)

    def _array(self, path: Path) -> None:
        self.at += 1
        index = 0
        while self._skip_blank() and self.text[self.at] != "]":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._mark((*path, index), self.at)
            self._value((*path, index))
            index += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        self.found.room[path] = Room(self.at, inline=True)
        while self._skip_blank() and self.text[self.at] != "}":
            if self.text[self.at] == ",":
                self.at += 1
                continue
            self._pair(path, inline=True)
        self.at += 1

    def _string(self) -> str:
        """Step over a string and return its content; escapes are resolved where keys have them."""
        quote = self.text[self.at]
        if self.text.startswith(quote * 3, self.at):
            return self._long_string(quote * 3)
        end = self.at + 1
        while self.text[end] != quote:
            end += 2 if quote == '"' and self.text[end] == "\\" else 1
        content = self.text[self.at + 1 : end]
        self.at = end + 1
        return _ESCAPE.sub(_unescaped, content) if quote == '"' else content

    def _long_string(self, quotes: str) -> str:
        start = end = self.at + 3
        while not self.text.startswith(quotes, end):
            end += 2 if quotes[0] == '"' and self.text[end] == "\\" else 1
        self.at = end + 3
        for _ in range(2):  # up to two quotes more belong to the content
            if self.text.startswith(quotes[0], self.at):
                self.at += 1
        return self.text[start : self.at - 3]

    # Small steps

    def _key(self) -> list[str]:
        keys = []
        while True:
            self._skip_spaces()
            bare = _BARE_KEY.match(self.text, self.at)
            if bare is not None:
                self.at = bare.end()
                keys.append(bare.group())
            else:
                keys.append(self._string())
            end = self.at
            self._skip_spaces()
            if not self.text.startswith(".", self.at):
                self.at = end
                return keys
            self.at += 1

    def _close(self, mark: str) -> None:
        self._skip_spaces()
        assert self.text[self.at] == mark, "the text must be valid TOML"
        self.at += 1

    def _skip_spaces(self) -> None:
        while self.text.startswith((" ", "\t"), self.at):
            self.at += 1

    def _skip_blank(self) -> bool:
        """Step over blanks, line ends and comments; False at the end of the text."""
        while self.at < len(self.text):
            if self.text[self.at] == "#":
                self.at = self._line_end()
            elif self.text[self.at] in _BLANK:
                self.at += 1
            else:
                return True
        return False

    def _line_end(self) -> int:
        end = self.text.find("\n", self.at)
        return len(self.text) if end < 0 else end

    def _mark(self, path: Path, offset: int) -> None:
        self.found.line.setdefault(path, bisect_right(self.ends, offset - 1) + 1)


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1) or match.group(2)
    if code:
        return chr(int(code, 16))
    return _ESCAPED.get(match.group(3), match.group(3))


def _first_keys(dotted: str, count: int) -> str:
    """`a."b.c".d` and 2 -> `a."b.c".`: the first keys as they are written, with the dot behind them."""
    part = re.compile(r"\s*(?:\"(?:\\.|[^\"\\])*\"|'[^']*'|[A-Za-z0-9_-]+)\s*\.\s*")
    end = 0
    for _ in range(count):
        match = part.match(dotted, end)
        assert match is not None, "the text must be valid TOML"
        end = match.end()
    return dotted[:end]
