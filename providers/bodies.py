"""Reads response bodies with a limit on size and time: a server may send bytes forever.

Below all providers. Callers that read a body in pieces (`stream=True`) apply their own limits to its size.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from urllib.parse import urlsplit

import requests
import urllib3

from providers.answers import MalformedAnswerError
from providers.timeouts import answer_timeout
from providers.waits import pending

MAX_BYTES = 32 << 20
"""Maximum size of a body after decompression; a page of a list has about 100 kB."""

MAX_SECONDS = 300.0
"""Maximum time to read a body, unless RECONCILER_TIMEOUT is set. Some servers send single bytes slowly."""

_PIECE = 1 << 16  # bytes


class TooLargeError(requests.RequestException, MalformedAnswerError):
    """A response exceeds a limit on its size."""


class InvalidAnswerError(requests.RequestException, MalformedAnswerError):
    """A response violates HTTP in a way that `requests` has no exception for."""


class ExcessError(HTTPException):
    """A response exceeds a limit on its size, found while urllib3 or http.client reads it."""


@contextmanager
def typed_errors(request: requests.PreparedRequest | None) -> Iterator[None]:
    """Raise each error of urllib3 and http.client as one of `requests`.

    Raises:
        TooLargeError: an `ExcessError` is the cause.
        requests.ReadTimeout: the response took too long, in whichever part.
        InvalidAnswerError: for errors that `requests` lets through.
    """
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, HTTPException) as problem:
        cause: BaseException | None = problem
        while cause is not None and not isinstance(cause, ExcessError):
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise TooLargeError(str(cause), request=request) from problem
        is_typed = isinstance(problem, requests.RequestException)
        reason = problem.args[0] if is_typed and problem.args else problem
        if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
            raise requests.ReadTimeout(reason, request=request) from problem
        if is_typed and not isinstance(reason, urllib3.exceptions.InvalidHeader):
            raise
        raise InvalidAnswerError(str(reason), request=request) from problem


def server_of(request: requests.Request | requests.PreparedRequest) -> str:
    """HOST:PORT of a request, for messages; without the login that an address may have."""
    return str(urlsplit(request.url or "").netloc).rpartition("@")[2]


def pieces(response: requests.Response, size: int) -> Iterator[bytes]:
    """The body in pieces of at most `size` bytes, after decompression. While one is read, it is pending.

    Raises:
        requests.RequestException: the connection broke, or the response is invalid.
    """
    rest = response.iter_content(size)
    while True:
        with pending(server_of(response.request)), typed_errors(response.request):
            piece = next(rest, None)
        if piece is None:
            return
        yield piece


def read_body(response: requests.Response) -> None:
    """Read the body of a response to a request with `stream=True` into `content`.

    Raises:
        TooLargeError: it has more than `MAX_BYTES` bytes.
        requests.Timeout: it takes longer than the time limit.
        requests.RequestException: the connection broke.
    """
    if isinstance(response._content, bytes):
        return  # it was short
    found: list[bytes] = []
    size, end = 0, time.monotonic() + answer_timeout(MAX_SECONDS)
    try:
        for piece in pieces(response, _PIECE):
            found.append(piece)
            size += len(piece)
            if size > MAX_BYTES:
                raise TooLargeError(f"the response has more than {MAX_BYTES >> 20} MB")
            if time.monotonic() > end:
                raise requests.ReadTimeout("the response did not end in time")
    except BaseException:
        response.close()
        raise
    response._content = b"".join(found)
