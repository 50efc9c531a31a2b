"""Change values in a config.toml and keep everything else: comments, order, quotes and line endings.

tomlkit changes the one section with the value. `tomllib` then parses the result, as `config` does, to verify
it. Used by a finished deploy (version, tag, answers to questions), by bump and by adopt. Never reformats the
text, and touches no file.
"""

import copy
import json
import tomllib
from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

import tomlkit
from msgspec import Struct
from tomlkit.container import Container
from tomlkit.exceptions import InvalidStringError, TOMLKitError
from tomlkit.items import AoT, Array, InlineTable, Item, Key, Null, SingleKey, String, Table, Whitespace

from reconciler.pipeline.toml.edits import REMOVED, EditError, Edits, Removal, Value
from reconciler.pipeline.toml.keyed import canonical
from reconciler.pipeline.toml.toml_positions import BOM, Path, lines_of


class Section(Struct, frozen=True):
    """A header and the keys below it; the first section of a text has no header.

    Attributes:
        path: the table in the header, with the index of its row; `()` for the document itself.
        start: offset of the section in the whole text.
        text: the text of the section.
        document: the section alone, parsed by tomlkit.
        table: the part of `document` with the keys.
    """

    path: Path
    start: int
    text: str
    document: Container
    table: Container


def apply_edits(text: str, edits: Edits) -> str:
    """`text` with these values; a missing key is added to the end of its table, a missing table to the file.

    A key that is taken out takes its line with it, and leaves its table, if that is empty then: `a.x = 1`
    becomes `a = {}`.

    Args:
        text: a config.toml with the line endings of the file.
        edits: the new values.

    Raises:
        tomllib.TOMLDecodeError: `text` is not TOML.
        EditError: a path leads through a value that is not a table or a row that does not exist, or ends at
            a table; or the text has a form in which this value cannot be changed alone.
    """
    expected = tomllib.loads(text.removeprefix(BOM))
    for path, value in edits.items():
        expected = _with_value(expected, path, value)
        text = _with_checked_edit(text, path, value, expected)
    return text


def _with_checked_edit(text: str, path: Path, value: Value, expected: dict[str, Any]) -> str:
    """The text with one edit. Raises EditError if its meaning is not the expected one."""
    try:
        after = _with_edit(text, path, value)
        if isinstance(value, Removal) and not _has_table(after, path[:-1]):
            after = _with_empty_table(text, path)
        if _equivalent(tomllib.loads(after.removeprefix(BOM)), expected):
            return after
    except (TOMLKitError, tomllib.TOMLDecodeError):
        pass  # tomlkit does not support every form
    raise EditError(path, f"{_dotted(path)} cannot be changed in the form that it has here")


def sections_of(text: str) -> list[Section]:
    """The text, which must be valid TOML, split before each header.

    Each section is parsed on its own, because tomlkit moves tables: it writes `[[a]]`, `[b]`, `[[a]]` as
    `[[a]]`, `[[a]]`, `[b]`. There is always a first section, even if it is empty. The byte order mark is in
    none of them. Raises ValueError for a text that is nested too deeply.
    """
    sections = []
    for path, (start, end) in lines_of(text).sections.items():
        document = tomlkit.parse(text[start:end])
        table = _below_header(document) if path else document
        sections.append(Section(path, start, text[start:end], document, table))
    return sections


def _below_header(document: Container) -> Container:
    """The table with the keys of a section. tomlkit nests one table for each name of the header."""
    _, item = document.body[0]
    while isinstance(item, Table) and item.is_super_table():
        _, item = item.value.body[0]
    if isinstance(item, AoT):
        item = item.body[0]
    assert isinstance(item, Table)
    return item.value


def _with_edit(text: str, path: Path, value: Value) -> str:
    newline = "\r\n" if "\r\n" in text else "\n"
    closed = text if text.removeprefix(BOM) == "" or text.endswith("\n") else text + newline
    sections = sections_of(closed)
    if isinstance(value, Removal):
        removed = next((section for section in sections if _remove_key(section, path)), None)
        if removed is None:
            raise EditError(path, f"{_dotted(path)} is no value of this config.toml")
        end = removed.start + len(removed.text)
        after = closed[: removed.start] + removed.document.as_string() + closed[end:]
        return after if closed == text else after.removesuffix(newline)
    changed = next((section for section in sections if _replace_value(section, path, value)), None) or next(
        (section for section in sections if _add_key(section, path, value, newline)), None
    )
    if changed is None:
        return _with_table(closed, sections, path, value, newline)
    end = changed.start + len(changed.text)
    after = closed[: changed.start] + changed.document.as_string() + closed[end:]
    return after if closed == text else after.removesuffix(newline)


def _replace_value(section: Section, path: Path, value: Value) -> bool:
    """Change the value at this path; False if this section does not have it."""
    for holder in _tables(section, path[:-1]):
        match holder, path[-1]:
            case Array(), int(index):
                holder[index] = _toml_item(value, holder.item(index))
                return True
            case Container() | InlineTable(), str(name):
                for key, item in _body(holder):
                    if key is not None and key.key == name and not isinstance(item, Table):
                        holder[name] = _toml_item(value, item)
                        return True
    return False


def _remove_key(section: Section, path: Path) -> bool:
    """Remove the key at this path; False if this section does not have it."""
    for holder in _tables(section, path[:-1]):
        if isinstance(holder, Container | InlineTable):
            for at, (key, item) in enumerate(_body(holder)):
                if key is not None and key.key == path[-1] and not isinstance(item, Table):
                    if isinstance(holder, InlineTable):
                        _remove_pair(_body(holder), at)
                    else:
                        holder.remove(key)
                    return True
    return False


def _remove_pair(body: list[tuple[Key | None, Item]], at: int) -> None:
    """Remove the pair at this index of an inline table, with the comma and the space on one side of it."""
    pairs = [index for index, (key, _) in enumerate(body) if key is not None]
    after = next((index for index in pairs if index > at), None)
    before = next((index for index in reversed(pairs) if index < at), None)
    if after is not None:
        del body[at:after]
    elif before is not None:
        del body[before + 1 : at + 1]
    else:
        body.clear()


def _has_table(text: str, path: Path) -> bool:
    """Whether a table, which a text had, is left in it."""
    found: Any = tomllib.loads(text.removeprefix(BOM))
    for step in path:
        if isinstance(found, dict) and step not in found:
            return False
        found = found[step]
    return True


def _with_empty_table(text: str, path: Path) -> str:
    """The text with `a = {}` in the place of `a.x = 1`, the last of the dotted keys that make up the table.

    Args:
        path: of the value.
    """
    for section in sections_of(text):
        *above, name, _ = path
        for holder in _tables(section, tuple(above)):
            if isinstance(holder, Array):
                continue
            for at, (key, item) in enumerate(_body(holder)):
                if key is not None and key.key == name and isinstance(item, Table):
                    last, value = _pair(key, item)
                    empty = InlineTable(Container(), value.trivia)
                    _body(holder)[at] = (_key_beside(str(name), [last] if last else []), empty)
                    end = section.start + len(section.text)
                    return text[: section.start] + section.document.as_string() + text[end:]
    raise EditError(path, f"{_dotted(path)} is the last value of a table that cannot be left empty here")


def _pair(key: Key | None, item: Item) -> tuple[Key | None, Item]:
    """The last name of a dotted key, and its value; tomlkit nests them in one table for each name."""
    while isinstance(item, Table):
        key, item = item.value.body[-1]
    return key, item


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _add_key(section: Section, path: Path, value: Value, newline: str) -> bool:
    """Add the key after the last one of its table; False if this section does not have the table.

    Blank lines, comments and the space before a closing brace remain below the new key.
    """
    *_, holder = (None, *_tables(section, path[:-1]))
    name = path[-1]
    if not isinstance(holder, Container | InlineTable) or not isinstance(name, str):
        return False
    body = _body(holder)
    if any(key is not None and key.key == name for key, _ in body):
        raise EditError(path, f"{name} is a table in this config.toml and cannot become a value")
    beside = [(key, item) for key, item in body if key is not None and not isinstance(item, Table)]
    item = _toml_item(value, beside[-1][1] if beside else None)
    item.trivia.trail = newline if isinstance(holder, Container) else ""
    last = max((at for at, (key, _) in enumerate(body) if key is not None), default=-1)
    below = body[last + 1 :]
    del body[last + 1 :]
    if body:
        neighbour = _pair(*body[last])[1]
        item.trivia.indent, item.trivia.trail = neighbour.trivia.indent, neighbour.trivia.trail
    elif isinstance(holder, InlineTable) and below:  # `{ }`
        item.trivia.indent = " "
    holder.append(_key_beside(name, [key for key, _ in beside]), item)
    body.extend(below)
    return True


def _key_beside(name: str, others: list[Key]) -> Key:
    """The key with the other keys' spacing around `=`, aligned to their column if they share one."""
    key = SingleKey(name)
    if not others:
        return key
    heads = [f"{other.as_string()}{other.sep.partition('=')[0]}" for other in others]
    before, after = heads[-1][len(heads[-1].rstrip()) :], others[-1].sep.partition("=")[2]
    widths, columns = {len(head.rstrip()) for head in heads}, {len(head) for head in heads}
    if len(widths) > 1 and len(columns) == 1:
        before = " " * max(columns.pop() - len(key.as_string()), 1)
    key.sep = f"{before}={after}"
    return key


def _tables(section: Section, path: Path) -> Iterator[Container | InlineTable | Array]:
    """The containers at this path: dotted keys can define one table in several places."""
    depth = len(section.path)
    if path[:depth] == section.path:
        yield from _inside(section.table, path[depth:])


def _inside(item: Item | Container, path: Path) -> Iterator[Container | InlineTable | Array]:
    if isinstance(item, Table):
        item = item.value
    if not path:
        if isinstance(item, Container | InlineTable | Array):
            yield item
        return
    match item, path[0]:
        case Array(), int(index):
            yield from _inside(item.item(index), path[1:])
        case Container() | InlineTable(), str(name):
            for key, inner in _body(item):
                if key is not None and key.key == name:
                    yield from _inside(inner, path[1:])


def _body(table: Container | InlineTable) -> list[tuple[Key | None, Item]]:
    return table.value.body if isinstance(table, InlineTable) else table.body


def _with_table(text: str, sections: list[Section], path: Path, value: Value, newline: str) -> str:
    """The text with a new table, at the end of the file or of the row that it belongs to."""
    *table, name = path
    row = max((depth for depth, step in enumerate(table, 1) if isinstance(step, int)), default=0)
    last = [one for one in sections if one.path[:row] == path[:row]][-1]
    end = last.start + len(last.text)
    header = ".".join(SingleKey(step).as_string() for step in table if isinstance(step, str))
    pair = f"{SingleKey(str(name)).as_string()} = {_toml_item(value).as_string()}"
    gap = newline if text.removeprefix(BOM) else ""
    return f"{text[:end]}{gap}[{header}]{newline}{pair}{newline}{text[end:]}"


def _toml_item(value: Value, before: Item | None = None) -> Item:
    """`value` as a TOML item, as much like the value that it replaces as possible.

    A text keeps the quotes if they can hold it. A list keeps the lines and comments of its remaining texts.
    """
    if isinstance(value, list) and isinstance(before, Array):
        return _edited_array(before, value)
    if isinstance(value, str) and isinstance(before, String):
        quotes = before.type
        if quotes.is_multiline() and ("\n" not in value or "\r" in value):
            quotes = quotes.toggle()
        try:
            return String.from_raw(value, quotes)
        except InvalidStringError:
            pass  # a literal string has no escapes
    return tomlkit.item(value)


def _edited_array(before: Array, texts: list[str]) -> Item:
    edited = copy.deepcopy(before)
    changes = SequenceMatcher(None, [str(text) for text in before], texts, autojunk=False).get_opcodes()
    for change, start, end, first, last in reversed(changes):
        if change == "insert" and start == len(before):
            _close_last(edited)
        if change != "equal":
            for index in reversed(range(start, end)):
                del edited[index]
            for text in reversed(texts[first:last]):
                edited.insert(start, text)
    try:
        if tomllib.loads(f"texts = {edited.as_string()}")["texts"] == texts:
            return edited
    except tomllib.TOMLDecodeError:
        pass  # tomlkit can misplace a comma beside a comment
    return tomlkit.item(texts)


def _close_last(array: Array) -> None:
    """Put a comma right after the last value: tomlkit puts it behind a comment, where it has no effect."""
    values = [
        group for group in array._value if group.value is not None and not isinstance(group.value, Null)
    ]
    if values and values[-1].comma is None:
        values[-1].comma = Whitespace(",")


def _with_value(document: dict[str, Any], path: Path, value: Value) -> dict[str, Any]:
    """A copy of the document with this value: the expected meaning of the edited text."""

    def put(node: Any, rest: Path) -> Any:
        if not rest:
            return value
        step, *others = rest
        if not others and value is REMOVED and isinstance(node, dict):
            return {name: item for name, item in node.items() if name != step}
        if isinstance(node, dict) and isinstance(step, str):
            return {**node, step: put(node.get(step, {}), tuple(others))}
        if isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
            return [put(item, tuple(others)) if index == step else item for index, item in enumerate(node)]
        raise EditError(path, f"{_dotted(path)} is not a path through the tables of this config.toml")

    return put(document, path)  # type: ignore[no-any-return]


def _equivalent(one: Any, other: Any) -> bool:
    return json.dumps(canonical(one), sort_keys=True) == json.dumps(canonical(other), sort_keys=True)
