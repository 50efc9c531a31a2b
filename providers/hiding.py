"""Hides tokens and logins in values and messages: the only place that decides what is shown instead."""

import re
from collections.abc import Iterable, Iterator
from itertools import accumulate, takewhile
from typing import Final

from providers.patterns import pattern
from providers.text import without_logins

HIDDEN: Final = "(a secret, not shown)"
"""Replaces what looks like a secret: a live value before it leaves the kind that read it, and any token."""

_SHORTEST_SECRET = 20
"""Characters of the shortest token with a shape of its own. Most values are shorter."""
_LONGEST_SECRET = 1 << 16
"""Characters of any secret in a message."""
_CANDIDATE = pattern(rf"[\w-]{{{_SHORTEST_SECRET}}}|-----BEGIN", re.ASCII)
"""What every token contains, to be searched for in little time."""
_BEGIN = pattern(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_KEY_LINE = pattern(r"\s*+(?:[A-Za-z-]+: .*+|[A-Za-z0-9+/=]*+\\?\s*+)")
"""A line of a private key between its first and its last one."""
_IN_KEY = pattern(r"\s*+(?:[A-Za-z-]+: .*+|\S*+\s*+)")
"""The same in a log, where it may end in the middle of a line."""
_TOKEN = pattern(rb"-----BEGIN(?s:.*?)(?:-----END[A-Z0-9 ]{0,80}-----|\Z)|[\w-]+")
"""A token from its first byte on; a private key with its last line, or as much of it as there is."""


def is_hidden(value: object, name: str) -> bool:
    """Whether a value has a secret anywhere in it: no output for people shows it, and no file gets it.

    Args:
        name: as for `secrets_in`.
    """
    return next(secrets_in(value, name), None) is not None


def secrets_in(value: object, name: str = "") -> Iterator[str]:
    """The texts with a secret in a value, in any depth, also those that are names.

    Args:
        name: what the value is called, such as the path of its field; "" if it has no name. Some tokens
            have the shape of a git commit, and only their name, or that of a table around them, says what
            they are: "defaults.api_token.value".
    """
    return _secrets_in(value, tuple(accumulate(name.split("."), "{}.{}".format)))


def _secrets_in(value: object, names: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, str):
        if value == HIDDEN or (
            len(value) >= _SHORTEST_SECRET and any(_has_token(f"{name}={value}") for name in names)
        ):
            yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _secrets_in(key, ("",))
            yield from _secrets_in(item, (*names, str(key)))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secrets_in(item, names)


def _has_token(text: str) -> bool:
    from providers.secret_rules import find  # late: its expressions take a while

    return any(find((text.encode("utf-8", "surrogatepass"),)))


def without_tokens(text: str) -> str:
    """The text with `HIDDEN` in place of each token of a known shape."""
    if not _CANDIDATE.search(text):
        return text
    from providers.secret_rules import find  # late: its expressions take a while

    content, shown, end = text.encode("utf-8", "surrogatepass"), list[bytes](), 0
    for secret in find((content,)):
        if secret.offset >= end and (token := _TOKEN.match(content, secret.offset)):
            shown += (content[end : secret.offset], HIDDEN.encode())
            end = token.end()
    return b"".join((*shown, content[end:])).decode("utf-8", "surrogatepass")


def safe_message(text: str) -> str:
    """The text without tokens and without the logins of addresses, for messages.

    Messages quote what files, classes, programs and servers say. They are stored in histories and reports,
    and posted as comments.
    """
    return without_tokens(without_logins(text))


def shortened(text: str, most: int) -> str:
    """The beginning of a message, without tokens and logins.

    Only as much of it is searched as may be shown. Nothing recognises a token that is cut, so the end of what
    is searched is not shown.
    """
    searched = text[: most + 2 * _LONGEST_SECRET]
    shown = safe_message(searched)
    if len(searched) < len(text):
        shown = shown[:-_LONGEST_SECRET]
    return shown if len(shown) <= most and len(searched) == len(text) else f"{shown[:most]}…"


def lines_with_secrets(text: str, secrets: Iterable[str] = ()) -> dict[str, str]:
    """Each line of a file that has a secret in it -> the line up to there, as it may be shown.

    Args:
        secrets: further texts that are secret, such as those whose name is on another line.
    """
    from providers.secret_rules import find  # late: its expressions take a while

    content = text.encode("utf-8", "surrogatepass")
    shown: dict[str, str] = {}
    line_end = 0
    for secret in find((content,)):
        if secret.offset < line_end:
            continue
        start, line_end = content.rfind(b"\n", 0, secret.offset) + 1, _end_of_line(content, secret.offset)
        line, before = (
            content[start:end].decode("utf-8", "surrogatepass") for end in (line_end, secret.offset)
        )
        shown.setdefault(line, f"{before}{HIDDEN}")
        if "-----BEGIN" in line:
            others = takewhile(_KEY_LINE.fullmatch, _lines_from(content, line_end + 1))
            shown.update((other, HIDDEN) for other in others if other.strip())
    for one in secrets:
        for line in text.split("\n"):
            before, found, _ = shown.get(line, line).partition(one)
            if found:
                shown[line] = f"{before}{HIDDEN}"
    return shown


def _lines_from(content: bytes, start: int) -> Iterator[str]:
    while start <= len(content):
        end = _end_of_line(content, start)
        yield content[start:end].decode("utf-8", "surrogatepass")
        start = end + 1


def _end_of_line(content: bytes, start: int) -> int:
    end = content.find(b"\n", start)
    return len(content) if end < 0 else end


class LineHider:
    """Hides tokens in lines of output as they arrive: a private key consists of several."""

    def __init__(self) -> None:
        self._is_in_key = False

    def __call__(self, line: str) -> str:
        """The next line, as it may be shown."""
        self._is_in_key = self._is_in_key and _IN_KEY.fullmatch(line) is not None
        if self._is_in_key:
            return HIDDEN
        begin = _BEGIN.search(line)
        self._is_in_key = begin is not None and "-----END" not in line
        return safe_message(line[: begin.start()]) + HIDDEN if begin else safe_message(line)
