"""Where everything stands in a config.toml: the line of every key, and the bytes of every value.

`config` and `load` use it to point at a problem, `edit` to find the place of a value. It never decides what a
text means or whether it is TOML: `tomllib` does, and this walks only texts that `tomllib` has accepted.
tomlkit takes more than TOML 1.0, and keeps the line ends of Windows inside of texts: the same config.toml
would mean something else after a checkout there.

The syntax is tomlkit's: its containers are walked key by key, each key and value as long as tomlkit writes
it. What stands between them (blanks, commas, comments) is stepped over in the text itself, because tomlkit
loses one: `[1979-05-27 ]` comes back as `[1979-05-27]`. One document is read for each header, because tomlkit
moves tables: `[[a]]`, `[b]`, `[[a]]` comes back as `[[a]]`, `[[a]]`, `[b]`.
"""

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import tomlkit
from tomlkit.container import Container
from tomlkit.exceptions import ParseError
from tomlkit.items import AoT, Array, InlineTable, Item, Key, Table

Path = tuple[str | int, ...]

BOM = "\ufeff"

_MAYBE_HEADER = re.compile(rf"(?:^|(?<={BOM}))[ \t]*\[", re.MULTILINE)
_BETWEEN = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")


@dataclass(frozen=True, slots=True)
class Section:
    """A header and the keys below it; the first section of a text has no header.

    Attributes:
        path: the table that the header names, with the index of its row; `()` for the document itself.
        start: offset of the section in the whole text.
        text: the section as it is.
        document: the section alone, as tomlkit reads it.
        table: what of `document` holds the keys.
    """

    path: Path
    start: int
    text: str
    document: Container = field(repr=False)
    table: Container = field(repr=False)


@dataclass(slots=True)
class Lines:
    """What stands where in one TOML text. Offsets count characters of that text; lines count from 1.

    Attributes:
        line: the line of each key, table, row and array element, by its path.
        span: start and end of each value.
        places: where a value stands that one environment has in the place of what all of them share.
    """

    line: dict[Path, int] = field(default_factory=dict)
    span: dict[Path, tuple[int, int]] = field(default_factory=dict)
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


def lines_of(text: str) -> Lines:
    """Every position in `text`, which must be valid TOML (a byte order mark may stand in front of it)."""
    return _Walk(text).walk()


def sections_of(text: str) -> list[Section]:
    """The text cut before each header. There is always a first section, if only an empty one.

    Its byte order mark is in none of them. Raises ValueError for what is TOML and still too much for tomlkit.
    """
    sections: list[Section] = []
    rows: dict[Path, int] = {}  # path of an array of tables -> index of its last row
    start = len(BOM) if text.startswith(BOM) else 0
    for end in (*_cuts(text, start), len(text)):
        document = _parsed(text, start, end)
        if sections:
            path, table = _header(document, rows)
        else:
            path, table = (), document
        sections.append(Section(path, start, text[start:end], document, table))
        start = end
    return sections


def _parsed(text: str, start: int, end: int) -> Container:
    try:
        return tomlkit.parse(text[start:end])
    except ParseError as problem:  # nested more than 100 levels deep
        reason = str(problem).removesuffix(f" at line {problem.line} col {problem.col}")
        line = text.count("\n", 0, start) + problem.line
        raise ValueError(f"{reason} (at line {line}, column {problem.col + 1})") from None


def _cuts(text: str, start: int) -> Iterator[int]:
    """Where the headers begin: a bracket that begins a line and stands in no string and no array.

    Up to a bracket inside of a value the text is not complete, and so is not TOML.
    """
    for match in _MAYBE_HEADER.finditer(text, start):
        if _is_complete(text[start : match.start()]):
            start = match.start()
            yield start


def _is_complete(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _header(document: Container, rows: dict[Path, int]) -> tuple[Path, Container]:
    """The table below the only header of this document. Counts its row, when it is one."""
    path: Path = ()
    table = document
    while True:
        key, item = table.body[0]
        assert key is not None
        path = (*path, key.key)
        if isinstance(item, AoT):
            rows[path] = rows.get(path, -1) + 1
            return (*path, rows[path]), item.body[0].value
        assert isinstance(item, Table)
        if path in rows:
            path = (*path, rows[path])
        table = item.value
        if not item.is_super_table():
            return path, table


class _Walk:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.ends = [match.start() for match in re.finditer("\n", text)]
        self.found = Lines()

    def walk(self) -> Lines:
        for section in sections_of(self.text):
            self.at = section.start
            if section.path:
                self._skip()
                for depth in range(1, len(section.path) + 1):
                    self._mark(section.path[:depth], self.at)
                end = bisect_right(self.ends, self.at)
                self.at = self.ends[end] if end < len(self.ends) else len(self.text)
            self._pairs(section.table, section.path)
        return self.found

    def _pairs(self, table: Container, path: Path) -> None:
        for key, item in table.body:
            if key is not None:
                self._skip()
                self._pair([key], item, path, self.at)

    def _pair(self, keys: list[Key], item: Item, table: Path, start: int) -> None:
        """`a.b = 1` is a key, below a table of its own that only says so in the first key."""
        path = (*table, keys[-1].key)
        self._mark(path, start)
        if isinstance(item, Table):
            for key, inner in item.value.body:
                if key is not None:
                    self._pair([*keys, key], inner, path, start)
            return
        self.at += len(".".join(key.as_string() for key in keys) + keys[-1].sep)
        self._value(item, path)

    def _value(self, item: Item, path: Path) -> None:
        start = self.at
        if isinstance(item, Array):
            self.at += 1
            for index in range(len(item)):
                self._skip()
                self._mark((*path, index), self.at)
                self._value(item.item(index), (*path, index))
            self._skip()
            self.at += 1
        elif isinstance(item, InlineTable):
            self.at += 1
            self._pairs(item.value, path)
            self._skip()
            self.at += 1
        else:
            self.at += len(item.as_string())
        self.found.span[path] = (start, self.at)

    def _skip(self) -> None:
        between = _BETWEEN.match(self.text, self.at)
        assert between is not None  # it matches nothing as well
        self.at = between.end()

    def _mark(self, path: Path, offset: int) -> None:
        self.found.line.setdefault(path, bisect_right(self.ends, offset - 1) + 1)
