"""Change entries of a `.env` file and keep everything else: comments, order, quotes and line endings.

python-dotenv, which the official CLI uses to read the file, locates the entries. Pure: touches no file.
"""

from collections.abc import Mapping
from io import StringIO
from typing import TYPE_CHECKING

from providers.patterns import pattern

if TYPE_CHECKING:
    from dotenv.parser import Binding

_BOM = "\ufeff"
_BARE_KEY = pattern(r"[^='\"#\s]+")
_HEAD = pattern(r"\s*+(?:export[^\S\r\n]+)?(?:'[^']+'|[^=#\s]++)[^\S\r\n]*+=")
_TAIL = pattern(r"(?<![^\S\r\n])(?:[^\S\r\n]++#|[^\S\r\n]*+(?:[\r\n]|\Z))")
"""A comment after a value, or the end of the last line with the blanks before it."""


def values_of(text: str) -> dict[str, str]:
    """The entries of a `.env` file; entries with an empty value are left out."""
    if not text:
        return {}
    from dotenv import dotenv_values  # most runs have no such file

    return {key: value for key, value in dotenv_values(stream=StringIO(text)).items() if value}


def with_values(text: str, changes: Mapping[str, str | None]) -> str:
    """`text` with these values; None removes an entry, a new entry is appended.

    If an entry is repeated, every occurrence is changed, because readers use the last one.

    Raises:
        ValueError: a `.env` file cannot hold a name or a value.
    """
    from dotenv.parser import parse_stream

    newline = "\r\n" if "\r\n" in text else "\n"
    body = text.removeprefix(_BOM)
    bindings = list(parse_stream(StringIO(body)))
    after = "".join(_changed_entry(binding, changes, newline) for binding in bindings)
    existing = {binding.key for binding in bindings}
    for key, value in changes.items():
        if key not in existing and value is not None:
            gap = newline if after and not after.endswith(("\n", "\r")) else ""
            name = key if _BARE_KEY.fullmatch(key) else f"'{key}'"
            after += f"{gap}{name}={value}{newline}"
    expected = {**_raw_values(body), **changes}
    for key in [key for key, value in changes.items() if value is None]:
        del expected[key]
    if _raw_values(after) != expected:
        raise ValueError("a .env file cannot hold this value")
    if any(value is not None and "${" in value for value in changes.values()):
        raise ValueError("in a .env file, ${ starts a reference to a variable")
    return text[: len(text) - len(body)] + after


def _changed_entry(entry: "Binding", changes: Mapping[str, str | None], newline: str) -> str:
    before: str = entry.original.string
    if entry.key is None or entry.key not in changes:
        return before
    value = changes[entry.key]
    if value is None:
        return before[: len(before) - len(before.lstrip())]
    head = _HEAD.match(before)
    if head is None:
        return f"{entry.key}={value}{newline}"
    lines = before.removesuffix("\n").removesuffix("\r")
    last_line = max(lines.rfind("\n"), lines.rfind("\r")) + 1
    tail = _TAIL.search(before, max(head.end(), last_line))
    return f"{head[0]}{value}{before[tail.start() :] if tail else newline}"


def _raw_values(text: str) -> dict[str, str | None]:
    from dotenv import dotenv_values

    return dict(dotenv_values(stream=StringIO(text), interpolate=False))
