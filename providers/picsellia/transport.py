"""HTTP with the platform: a larger pool, our timeouts, repeated reads, and the pauses that it asks for.

Below `platform`, on the session that is also the SDK's. Knows no path and no answer's content.
"""

import re
from types import TracebackType
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import (
    ConnectTimeoutError,
    InvalidHeader,
    MaxRetryError,
    NewConnectionError,
    ResponseError,
)
from urllib3.util.retry import Retry

from providers.bodies import read_whole
from providers.pace import PATIENCE, Pace

POOL = 32  # connections; the SDK's own session holds 10
CONNECT_TIMEOUT = 10.0  # seconds
LONGEST_PAUSE = 30.0  # seconds; a platform that asks to wait longer before a read is told of, not waited for
_REPEATS = 4
_REPEATS_WHEN_TOLD = 8  # where the platform says how long to wait before each


class UnreachableError(Exception):
    """No answer came. Not a requests.ConnectionError, as the SDK blindly repeats those, POST included.

    Attributes:
        sent: whether the request may have reached the platform.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class RedirectedError(Exception):
    """A write was answered with another address, where HTTP clients would send a GET instead."""


class RefusedAnswerError(Exception):
    """An answer that is not what was asked for. Raised below the SDK, which keeps no status on its errors.

    Attributes:
        status: of HTTP.
        content: the answer's body.
        retry_after: seconds that it asks to wait, or None.
    """

    def __init__(self, status: int, content: bytes, retry_after: float | None) -> None:
        super().__init__(status)
        self.status = status
        self.content = content
        self.retry_after = retry_after


class Adapter(HTTPAdapter):
    """A larger pool, our timeouts, repeated reads, and errors that the SDK neither repeats nor reads.

    Args:
        read_timeout: seconds to wait for an answer.
        pace: of everything that the run asks.
    """

    def __init__(self, read_timeout: float, pace: Pace) -> None:
        self._read_timeout = read_timeout
        self._pace = pace
        retry = _Retry(
            total=_REPEATS_WHEN_TOLD,
            connect=1,
            read=2,
            status=_REPEATS_WHEN_TOLD,
            status_forcelist=(429, 502, 503, 504),
            allowed_methods=("GET", "HEAD"),
            backoff_factor=0.3,
            raise_on_status=False,
            respect_retry_after_header=True,
        )
        retry.pace = pace
        super().__init__(pool_maxsize=POOL, max_retries=retry)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = (CONNECT_TIMEOUT, self._read_timeout)
        self._pace.wait()
        try:
            response = super().send(request, *args, **kwargs)
            read_whole(response)
        except requests.ConnectionError as problem:
            cause = problem.args[0] if problem.args else problem
            if isinstance(cause, MaxRetryError):
                cause = cause.reason
            sent = not isinstance(cause, NewConnectionError | ConnectTimeoutError)
            raise UnreachableError(_plain(cause), sent=sent) from problem
        status = response.status_code
        if response.is_redirect and request.method in ("GET", "HEAD"):
            return response
        if response.is_redirect:
            raise RedirectedError(f"{status} to {response.headers['Location']}")
        if status >= 300 or status == 208:  # 208: the SDK takes it for an error, too
            asked = self.max_retries.get_retry_after(response.raw)
            raise RefusedAnswerError(status, response.content, asked)
        return response


class _Retry(Retry):
    """Repeats reads after the pause that the platform asks for, unless it is too long to be silent.

    A request that is told to wait again and again is not the only one that is too many: everybody waits.
    """

    pace: Pace

    def new(self, **changed: Any) -> Self:
        again = super().new(**changed)
        again.pace = self.pace
        return again

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        asked = self.get_retry_after(response) if response is not None else None
        if asked and len(self.history) >= PATIENCE:
            self.pace.pause(asked)
        super().sleep(response)
        self.pace.wait()

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if response is not None:
            asked = self.get_retry_after(response)
            if (asked or 0) > LONGEST_PAUSE:
                raise MaxRetryError(_pool, url or "", ResponseError("it asks for too long a pause"))
            if asked is None and len(self.history) >= _REPEATS:
                raise MaxRetryError(_pool, url or "", ResponseError("it does not answer"))
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def get_retry_after(self, response: BaseHTTPResponse) -> float | None:
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None


def as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that changes nothing; without one, a ~/.netrc would take the token's place."""
    return request


def _plain(problem: object) -> str:
    """The operating system's own words, without the names of Python objects around them."""
    text = str(problem)
    if "Connection aborted" in text or "Connection broken" in text:
        return "the connection was cut"
    said = re.search(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^()]+)", text)
    return said[1].strip() if said else text.rpartition(": ")[2] or text
