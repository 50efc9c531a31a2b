"""Reads over an open connection, with a tenth of the work of `requests`, urllib3 and http.client together.

Below `bounded`, which has the time limits. Handles only the usual case: a GET or HEAD on a connection that an
earlier request opened, and a response of HTTP/1.1 in plain ASCII, with its length. urllib3 opens connections,
and gets everything else with the bytes that have arrived so far: other responses, and errors.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from providers.patterns import pattern

_MAX_BODY = 1 << 20  # bytes; a larger body is read in pieces, by urllib3
_MAX_DIGITS = 9  # of a length; Python reads no number of thousands of digits
_TARGET = pattern(r"/[\w/.~!$&'()*+,;=:@?%-]*", re.ASCII)
_UNUSUAL = frozenset({"transfer-encoding", "content-encoding"})
_WITHOUT_BODY = frozenset({204, 304})


class Head(NamedTuple):
    """The head of a response.

    Attributes:
        headers: by name in lower case; values of the same name are joined by a comma.
        start: offset of the body.
        length: bytes of the body.
        is_last: whether the server closes the connection.
    """

    status: int
    reason: str
    headers: dict[str, str]
    start: int
    length: int
    is_last: bool


def request_head(method: str, target: str, host: str, headers: Mapping[str, str]) -> bytes | None:
    """The bytes of a request without a body; None if the headers are for urllib3 to check and complete."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *map(": ".join, headers.items()), "", ""]
    text = "\r\n".join(lines)
    names = {name.lower() for name in headers}
    usual = names.isdisjoint(("host", "content-length", "transfer-encoding", "expect")) and (
        "accept-encoding" in names and "user-agent" in names
    )
    # Only the line breaks that were added here: a value with one would be another header.
    if not usual or not text.isascii() or not _TARGET.fullmatch(target) or text.count("\n") != len(lines) - 1:
        return None
    return text.encode() if text.count("\r") == len(lines) - 1 and "\0" not in text else None


def response_head(data: bytes, method: str) -> Head | None:
    """The head of a response; None if it is incomplete, or for http.client to read."""
    end = data.find(b"\r\n\r\n")
    if end < 0 or not data.startswith(b"HTTP/1.1 "):
        return None
    head = data[:end]
    if (
        not head.isascii()
        or b"\0" in head
        or not head.count(b"\r\n") == head.count(b"\n") == head.count(b"\r")
    ):
        return None
    first, *lines = head.decode().split("\r\n")
    code, _, reason = first[len("HTTP/1.1 ") :].partition(" ")
    if len(code) != 3 or not code.isdigit() or code < "200":
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or name in _UNUSUAL:
            return None  # the continuation of a line starts with a blank
        value = value.strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    status = int(code)
    is_empty = method == "HEAD" or status in _WITHOUT_BODY
    length = headers.get("content-length", "0" if is_empty else "")
    if not length.isdigit() or len(length) > _MAX_DIGITS or (not is_empty and int(length) > _MAX_BODY):
        return None
    is_last = headers.get("connection", "keep-alive").lower() != "keep-alive"
    return Head(status, reason, headers, end + 4, 0 if is_empty else int(length), is_last)
