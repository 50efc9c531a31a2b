"""Changing entries of a `.env` file and nothing else: comments, order, quotes and line ends stay as they are.

python-dotenv, with which the official CLI reads the file, says where each entry is. Pure: touches no file.
"""

import re
from collections.abc import Mapping
from io import StringIO

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

_BOM = "\ufeff"
_BARE_KEY = re.compile(r"[^='\"#\s]+")
_ENTRY = re.compile(
    r"(?P<head>\s*(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]+)[^\S\r\n]*=)"
    r".*?"
    r"(?P<tail>(?:[^\S\r\n]+#[^\r\n]*)?[^\S\r\n]*(?:\r\n|\n|\r|$))",
    re.DOTALL,
)


def values_of(text: str) -> dict[str, str]:
    """What the entries of a `.env` file say; empty ones say nothing."""
    return {key: value for key, value in dotenv_values(stream=StringIO(text)).items() if value}


def with_values(text: str, changes: Mapping[str, str | None]) -> str:
    """`text` with these values; None takes an entry out, a new one goes to the end.

    An entry that is there several times is changed everywhere, as the last one is what counts.

    Raises:
        ValueError: a name or a value that such a file cannot hold.
    """
    newline = "\r\n" if "\r\n" in text else "\n"
    body = text.removeprefix(_BOM)
    bindings = list(parse_stream(StringIO(body)))
    after = "".join(_changed(one, changes, newline) for one in bindings)
    there = {one.key for one in bindings}
    for key, value in changes.items():
        if key not in there and value is not None:
            gap = newline if after and not after.endswith(("\n", "\r")) else ""
            name = key if _BARE_KEY.fullmatch(key) else f"'{key}'"
            after += f"{gap}{name}={value}{newline}"
    wanted = {**_plain(body), **changes}
    for key in [key for key, value in changes.items() if value is None]:
        del wanted[key]
    if _plain(after) != wanted:
        raise ValueError("a .env file cannot hold this")
    if any(value is not None and "${" in value for value in changes.values()):
        raise ValueError("a .env file takes this for a reference to a variable")
    return text[: len(text) - len(body)] + after


def _changed(entry: Binding, changes: Mapping[str, str | None], newline: str) -> str:
    before: str = entry.original.string
    if entry.key is None or entry.key not in changes:
        return before
    value = changes[entry.key]
    if value is None:
        return before[: len(before) - len(before.lstrip())]
    found = _ENTRY.fullmatch(before)
    return f"{found['head']}{value}{found['tail']}" if found else f"{entry.key}={value}{newline}"


def _plain(text: str) -> dict[str, str | None]:
    return dict(dotenv_values(stream=StringIO(text), interpolate=False))
