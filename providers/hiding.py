"""Hides tokens and logins in values and messages: the only place that decides what is shown instead."""

import re
from typing import Final

from providers.text import without_logins

HIDDEN: Final = "(a secret, not shown)"
"""Replaces what looks like a secret: a live value before it leaves the kind that read it, and any token."""

_SHORTEST_SECRET = 20
"""Characters of the shortest token with a shape of its own. Most values are shorter."""
_CANDIDATE = re.compile(rf"[\w-]{{{_SHORTEST_SECRET}}}|-----BEGIN", re.ASCII)
"""What every token contains, to be searched for in little time."""
_TOKEN = re.compile(rb"-----BEGIN(?s:.*?)(?:-----END[A-Z0-9 ]{0,80}-----|\Z)|[\w-]+")
"""A token from its first byte on; a private key with its last line, or as much of it as there is."""


def is_hidden(value: object, name: str) -> bool:
    """Whether a value has a secret anywhere in it: no output for people shows it, and no file gets it.

    Args:
        name: what the value is called, such as the path of its field; "" if it has no name. Some tokens
            have the shape of a git commit, and only their name says what they are.
    """
    if isinstance(value, str):
        return value == HIDDEN or (len(value) >= _SHORTEST_SECRET and _has_token(f"{name}={value}"))
    if isinstance(value, dict):
        return any(is_hidden(key, "") or is_hidden(item, str(key)) for key, item in value.items())
    return isinstance(value, list | tuple) and any(is_hidden(item, name) for item in value)


def _has_token(text: str) -> bool:
    from providers.secret_rules import find  # late: its expressions take a while

    return any(find((text.encode("utf-8", "surrogatepass"),)))


def without_tokens(text: str) -> str:
    """The text with `HIDDEN` in place of each token of a known shape."""
    if not _CANDIDATE.search(text):
        return text
    from providers.secret_rules import find  # late: its expressions take a while

    content, shown, end = text.encode("utf-8", "surrogatepass"), b"", 0
    for secret in find((content,)):
        if secret.offset >= end and (token := _TOKEN.match(content, secret.offset)):
            shown += content[end : secret.offset] + HIDDEN.encode()
            end = token.end()
    return (shown + content[end:]).decode("utf-8", "surrogatepass")


def safe_message(text: str) -> str:
    """The text without tokens and without the logins of addresses, for messages.

    Messages quote what files, classes, programs and servers say. They are stored in histories and reports,
    and posted as comments.
    """
    return without_tokens(without_logins(text))
