"""Answers that no server should give: recorded ones with one thing in them replaced, and bytes that are none.

A run of the command line is recorded once, and then replayed without a network, so that a case takes
milliseconds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from providers import bounded

DEEP = "[" * 900 + "]" * 900

VALUES: tuple[str, ...] = (
    *("null", "true", "0", "-1", "1.5", "9" * 40, "9" * 5000, "1e999", "NaN", '""', '"odd"', '"\\ud800"'),
    *('"\\u001b[31m\\n::error::x"', '"' + "9" * 5000 + '"', '"' + "x" * 70_000 + '"', "[]", "[null]", "[[]]"),
    *('["odd", 1]', "[{}]", "{}", '{"": null}', '{"odd": [1]}', DEEP, '{"a":' * 900 + "1" + "}" * 900),
)
"""JSON in the place of what should be there, some of which Python alone takes for JSON."""

BYTES: tuple[bytes, ...] = (
    *(
        b"",
        b" ",
        b"\xff\xfe",
        b"\x00",
        b"<html>Welcome to nginx!</html>",
        b"{",
        b'{"items": [',
        b"\xef\xbb\xbf{}",
    ),
    *(b"[" * 100_000, b"{}" * 2, b'{"a": 1, "a": 2}', b"'", b'"\xed\xa0\x80"', "{}".encode("utf-16")),
)
"""Answers that are no JSON, or hardly."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


NOTHING = Recorded(404, {}, b"{}")
Key = tuple[str, str]
"""Method, path and query of a request."""


@dataclass
class Tape:
    """Answers by request; stands in for the network once it is recorded.

    Attributes:
        replaced: the answers that are given instead of the recorded ones.
    """

    answers: dict[Key, Recorded] = field(default_factory=dict)
    replaced: dict[Key, Recorded] = field(default_factory=dict)
    recording: bool = True

    def insert(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let every request of this process go here, with the adapter that it is sent by."""
        tape = self

        def send(adapter: HTTPAdapter, request: requests.PreparedRequest, **how: Any) -> requests.Response:
            return tape.send(adapter, request, **how)

        monkeypatch.setattr(HTTPAdapter, "send", send)
        monkeypatch.setattr(bounded, "request_head", lambda *_: None)  # no read goes past the adapter

    def key(self, request: requests.PreparedRequest) -> Key:
        assert request.url and request.method
        parts = urlsplit(request.url)
        return request.method, f"{parts.path}?{parts.query}"

    def send(self, adapter: HTTPAdapter, request: requests.PreparedRequest, **how: Any) -> requests.Response:
        """In the place of `HTTPAdapter.send`."""
        key = self.key(request)
        if self.recording:
            response = _send(adapter, request, **{**how, "stream": True})
            self.answers[key] = Recorded(response.status_code, dict(response.headers), response.content)
        answer = self.replaced.get(key) or self.answers.get(key, NOTHING)
        raw = HTTPResponse(
            BytesIO(b"" if request.method == "HEAD" else answer.body),
            headers={k: v for k, v in answer.headers.items() if k.lower() != "content-length"},
            status=answer.status,
            preload_content=False,
        )
        return adapter.build_response(request, raw)  # type: ignore[no-untyped-call,no-any-return]


_send = HTTPAdapter.send


def bodies(recorded: Recorded) -> Iterator[tuple[str, bytes]]:
    """Every odd body in the place of a recorded one, each with what is odd about it."""
    for content in BYTES:
        yield repr(content[:30]), content
    for value in VALUES:
        yield f"{value[:30]} alone", value.encode("utf-8", "surrogatepass")
    try:
        document = json.loads(recorded.body)
    except ValueError:
        return
    for path in _paths(document):
        for value in VALUES:
            yield f"{value[:30]} at {'.'.join(map(str, path))}", _with(document, path, value)
        yield f"nothing at {'.'.join(map(str, path))}", _without(document, path)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        pairs: Any = value.items()
    elif isinstance(value, list):
        pairs = list(enumerate(value))[:2]  # the others are like them
    else:
        return
    for key, child in pairs:
        yield (*path, key)
        yield from _paths(child, (*path, key))


MARK = "\ue000replaced"


def _with(document: Any, path: tuple[str | int, ...], value: str) -> bytes:
    copy = json.loads(json.dumps(document))
    _parent(copy, path)[path[-1]] = MARK
    return json.dumps(copy).replace(json.dumps(MARK), value).encode()


def _without(document: Any, path: tuple[str | int, ...]) -> bytes:
    copy = json.loads(json.dumps(document))
    del _parent(copy, path)[path[-1]]
    return json.dumps(copy).encode()


def _parent(value: Any, path: tuple[str | int, ...]) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value
