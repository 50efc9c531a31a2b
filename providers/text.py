"""Escapes hidden characters in foreign text: names, values, server responses, build output.

Terminals execute control characters. Other characters reverse the reading direction, are invisible, or start
a new line. Each is replaced by its escape, as in a Python string.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from urllib.parse import quote, quote_plus

from providers.patterns import pattern

_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # Cc but tab and line feed
_FORMAT = (  # Cf of Unicode 16: bidirectional controls, zero-width characters, tags and others
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
_BLANK = r"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks that render as blanks
_BREAKS = r"\u2028\u2029"
_SURROGATES = r"\ud800-\udfff"
HIDDEN = _CONTROL + _FORMAT + _BLANK + _BREAKS + _SURROGATES
"""The characters to escape, as the inside of a character class of a regular expression."""

_HIDDEN = pattern(f"[{HIDDEN}]")
_HIDDEN_OR_END = pattern(f"[\n{HIDDEN}]")


def visible(text: str) -> str:
    """The text with every hidden character escaped; line feeds stay."""
    return text if is_printable_ascii(text) else _HIDDEN.sub(escape_match, text)


def one_line(text: str) -> str:
    """The text on one line, with line feeds and every hidden character escaped."""
    return text if is_printable_ascii(text) else _HIDDEN_OR_END.sub(escape_match, text)


def is_printable_ascii(text: str) -> bool:
    """Whether no character is hidden or a line feed, as far as that is known without a search."""
    return text.isascii() and text.isprintable()


def without_secrets(text: str, secrets: Iterable[str]) -> str:
    """The text with each of these secrets replaced by "…": as it is, percent-encoded and in base64.

    Servers repeat parts of requests in their messages.
    """
    forms = set()
    for secret in secrets:
        forms |= {secret, *_in_base64(secret)}
        with suppress(UnicodeEncodeError):  # no address has half a surrogate pair
            forms |= {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    for form in sorted(forms - {""}, key=len, reverse=True):
        text = text.replace(form, "…")
    return text


def _in_base64(secret: str) -> Iterator[str]:
    """What base64 of any text with the secret contains: three bytes are four characters."""
    content = secret.encode("utf-8", "surrogatepass")
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + content)
        # Without the characters at both ends that depend on what is around the secret, too.
        own = encoded[-(-before * 8 // 6) : (before + len(content)) * 8 // 6].decode()
        if before == 0 or len(own) >= _SHORTEST_PART:
            yield own
            yield own.translate(_URL_SAFE)


_URL_SAFE = str.maketrans("+/", "-_")
_SHORTEST_PART = 6
"""Characters of a part of base64 that is hidden. Shorter ones are parts of words."""
_IN_ADDRESS = pattern(r"""(?<=://)[^/\s"'<>]*@""")
"""What stands before the host in `https://me:password@host`."""
_PACKAGE = r"pkg:[a-z]+/[\w.%/-]++@\d[\w.+-]*+(?![/:@])"
_BEFORE_AT = pattern(rf"""(?<![^\s"'<>@])(?!{_PACKAGE})[^\s"'<>@]++@(?!sha\d+:)""")
"""What may end with a login, as in `me:password@host/image`. The name of an image with its digest,
`app:1.0@sha256:…`, has the same form and no login, and so has that of a package, `pkg:pypi/name@1.0`."""
_USER = pattern(r"""(?:(?<=\bimage/)|(?<![^\s"'<>(=,]))[^/\s"'<>:@=,]++(:(?!//))?""")
"""A word where a login may begin, and whether a password follows."""
_QUERY = pattern(
    r"""(?:(?<=[?&;\#])|(?<=%3f)|(?<=%26)|(?<=%23))
    ((?=[\w.-]*?(?:token|key|secret|sig|passw(?:or)?d|pwd|auth|credential))[\w.-]++(?:=|%3d))
    [^&\s"'<>]+""",
    re.IGNORECASE | re.VERBOSE,
)
"""A key in the query or the fragment of an address, also of an address that is a part of another one."""


def without_logins(text: str) -> str:
    """The text with each login and key that an address or the name of an image has replaced by "…".

    Nobody should write one there, as each program shows addresses. Who does must not find it in a message, in
    the history or in a report.
    """
    if "@" in text:
        text = _BEFORE_AT.sub(_without_login, _IN_ADDRESS.sub("…@", text))
    return _QUERY.sub(r"\1…", text) if "=" in text or "%3" in text else text


def _without_login(match: re.Match[str]) -> str:
    """The text up to an "@", without the login that it ends with."""
    text, (start, end) = match.string, match.span()
    user = next((user for user in _USER.finditer(text, start, end) if user[1]), None)
    return match[0] if user is None else f"{text[start : user.start()]}…@"


def has_login(text: str) -> bool:
    """Whether `without_logins` would replace a part of the text."""
    return without_logins(text) != text


def utf8(text: str) -> str:
    """The text with bytes that were not UTF-8, as arguments and variables may have, escaped."""
    return text.encode("utf-8", "backslashreplace").decode()


def escape_match(match: re.Match[str]) -> str:
    r"""The escape of a matched character: `\x1b`, `\n`, `\u202e`."""
    return ascii(match[0])[1:-1]


def as_sentence(clause: str) -> str:
    """The clause with a capital letter and a full stop."""
    return f"{clause[0].upper()}{clause[1:]}."


def shown_names(names: Sequence[str], most: int = 3) -> str:
    """`a, b, c and 31 more`."""
    shown, more = names[:most], len(names) - most
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")
