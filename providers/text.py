"""Text that others wrote, with everything visible: names, values, answers of servers, output of builds.

A terminal obeys control characters. Others turn the reading around, are invisible, or begin a line where none
was meant to begin. Each of them is written as its escape, the same as in a Python string.
"""

import re

_CONTROL = r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # Cc but tab and line feed
_FORMAT = (  # Cf of Unicode 16: bidirectional controls, zero-width characters, tags and other invisible ones
    r"\u00ad\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff"
)
_BLANK = r"\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"  # letters and marks that look like nothing
_BREAKS = r"\u2028\u2029"
_SURROGATES = r"\ud800-\udfff"
HIDDEN = _CONTROL + _FORMAT + _BLANK + _BREAKS + _SURROGATES
"""The characters that are never shown as they are, as the inside of a class of a regular expression."""

_HIDDEN = re.compile(f"[{HIDDEN}]")
_HIDDEN_OR_END = re.compile(f"[\n{HIDDEN}]")


def visible(text: str) -> str:
    """The text with every hidden character escaped; its lines stay lines."""
    return _HIDDEN.sub(escaped, text)


def one_line(text: str) -> str:
    """The text on one line, with line feeds and every hidden character escaped."""
    return _HIDDEN_OR_END.sub(escaped, text)


def escaped(found: re.Match[str]) -> str:
    r"""What was found as an escape: `\x1b`, `\n`, `\u202e`."""
    return ascii(found[0])[1:-1]
