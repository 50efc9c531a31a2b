"""Changing values in a config.toml and nothing else: comments, order, quotes and line ends stay as they are.

Used by a finished deploy (version and tag) and by adopt. It never formats a file anew, and a write either
happens whole or not at all.
"""

import datetime
import json
import math
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from reconciler.pipeline.lines import Lines, Path, Room, lines_of

Value = str | bool | int | float | list[str]

_BOM = "\ufeff"


def edited(text: str, changes: Mapping[Path, Value]) -> str:
    """`text` with these values; a missing key goes to its table's end, a missing table to the file's end.

    Args:
        text: a config.toml, line ends as they are in the file.
        changes: new values by path, for example `{("metadata", "version"): "1.0.2"}`.

    Raises:
        tomllib.TOMLDecodeError: `text` is not TOML.
        ValueError: a path leads through something that is not a table, or a row that is not there.
    """
    before = tomllib.loads(text.removeprefix(_BOM))
    wanted = before
    for path, value in changes.items():
        wanted = _with(wanted, path, value)
        text = _with_one(text, path, value)
    if not _same(tomllib.loads(text.removeprefix(_BOM)), wanted):
        raise AssertionError("the edit changed more than it was asked to; please report this config.toml")
    return text


def write(path: FilePath, text: str) -> None:
    """Replace the file's content in one step: the old text or the new one, never half of it.

    A symlink stays one and its target is replaced; the file's mode is kept. Raises OSError.
    """
    target = path.resolve()
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
            file.flush()
            if target.exists():
                os.fchmod(file.fileno(), stat.S_IMODE(target.stat().st_mode))
            os.fsync(file.fileno())
        FilePath(temporary).replace(target)
    except BaseException:
        FilePath(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def keyed(text: str) -> bytes:
    """What of a config.toml belongs to the source key: everything but the version and the tag.

    Canonical JSON, so neither a comment nor the order of keys looks like new source.

    Raises:
        tomllib.TOMLDecodeError: `text` is not TOML.
    """
    document = tomllib.loads(text.removeprefix(_BOM))
    for table, key in (("metadata", "version"), ("docker", "image_tag")):
        if isinstance(document.get(table), dict):
            document[table].pop(key, None)
    return json.dumps(_canonical(document), sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def _canonical(value: Any) -> Any:
    """Plain JSON; what JSON has no word for becomes an object that no TOML table is mistaken for."""
    match value:
        case dict():
            return {"table": {key: _canonical(item) for key, item in value.items()}}
        case list():
            return [_canonical(item) for item in value]
        case float() if not math.isfinite(value):
            return {"float": str(value)}
        case datetime.datetime() | datetime.date() | datetime.time():
            return {type(value).__name__: value.isoformat()}
    return value


def _with_one(text: str, path: Path, value: Value) -> str:
    lines = lines_of(text)
    if path in lines.span:
        start, end = lines.span[path]
        return text[:start] + _written(value, like=text[start:end]) + text[end:]
    *table, key = path
    room = lines.room.get(tuple(table))
    if room is None:
        return _with_table(text, tuple(table), f"{_key(key)} = {_written(value)}")
    return _with_key(text, room, f"{room.prefix}{_key(key)} = {_written(value)}", lines, tuple(table))


def _with_key(text: str, room: Room, pair: str, lines: Lines, table: Path) -> str:
    if room.inline:
        separator = "" if room.empty else ", "
        return text[: room.after] + separator + pair + text[room.after :]
    newline = _newline(text)
    if not table and room.empty:  # the document has no key of its own: before the first table
        return text[: room.after] + pair + newline + text[room.after :]
    end = text.find("\n", room.after)
    if end < 0:
        return text + newline + pair
    return text[: end + 1] + _indent(text, table, lines) + pair + newline + text[end + 1 :]


def _with_table(text: str, table: Path, pair: str) -> str:
    newline = _newline(text)
    if not text.removeprefix(_BOM):
        gap = ""
    elif text.endswith("\n"):
        gap = newline
    else:
        gap = newline * 2
    header = ".".join(_key(key) for key in table)
    return f"{text}{gap}[{header}]{newline}{pair}{newline}"


def _indent(text: str, table: Path, lines: Lines) -> str:
    """The blanks in front of the table's last key, so that a new one stands below it."""
    siblings = [at for path, at in lines.line.items() if path[:-1] == table and path in lines.span]
    if not siblings:
        return ""
    line = text.split("\n")[max(siblings) - 1]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _key(key: str | int) -> str:
    if isinstance(key, int):
        raise ValueError("a row of an array cannot be added, only changed")  # noqa: TRY004
    bare = key != "" and all(c.isascii() and (c.isalnum() or c in "_-") for c in key)
    return key if bare else _basic_string(key)


def _written(value: Value, like: str = "") -> str:
    """`value` as TOML, in the quotes of the value it replaces where they can hold it."""
    match value:
        case str() if like.startswith("'") and "'" not in value and value.isprintable():
            return f"'{value}'"
        case str():
            return _basic_string(value)
        case bool():
            return "true" if value else "false"
        case float() if not math.isfinite(value):
            return str(value)  # nan, inf, -inf: the same words
        case list():
            return "[" + ", ".join(_basic_string(item) for item in value) + "]"
    return repr(value)


def _basic_string(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")


def _with(document: dict[str, Any], path: Path, value: Value) -> dict[str, Any]:
    """A copy of the document with this value: what the edited text has to mean."""

    def put(node: Any, rest: Path) -> Any:
        if not rest:
            return value
        step, *others = rest
        if isinstance(node, dict) and isinstance(step, str):
            return {**node, step: put(node.get(step, {}), tuple(others))}
        if isinstance(node, list) and isinstance(step, int) and 0 <= step < len(node):
            return [put(item, tuple(others)) if index == step else item for index, item in enumerate(node)]
        raise ValueError(f"{'.'.join(map(str, path))} does not lead through tables of this config.toml")

    return put(document, path)  # type: ignore[no-any-return]


def _same(one: Any, other: Any) -> bool:
    return json.dumps(_canonical(one), sort_keys=True) == json.dumps(_canonical(other), sort_keys=True)


def _sync_folder(folder: FilePath) -> None:
    """Make the rename itself last. A file system without it (some network shares) keeps the rename anyway."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)
