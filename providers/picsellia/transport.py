"""HTTP with the platform: a larger pool, our timeouts, repeated reads, and the pauses that it asks for.

Below `platform`, on the session that is also the SDK's. Knows no path and no answer's content.
"""

import re
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from providers.bodies import read_body
from providers.bounded import AnnouncedRetry, BoundedAdapter
from providers.rate_limit import REFUSAL_STATUSES, RateLimiter, retry_after

POOL = 32  # connections; the SDK's own session holds 10
CONNECT_TIMEOUT = 10.0  # seconds
_REPEATS = 4  # of a read, where the platform is away and does not say for how long


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
        waits: as of TransientError.
    """

    def __init__(self, status: int, content: bytes, retry_after: float | None, waits: bool | None) -> None:
        super().__init__(status)
        self.status = status
        self.content = content
        self.retry_after = retry_after
        self.waits = waits


class Adapter(BoundedAdapter):
    """A larger pool, our timeouts, repeated reads, and errors that the SDK neither repeats nor reads.

    Args:
        read_timeout: seconds to wait for an answer.
        pace: of everything that the run asks.
    """

    def __init__(self, read_timeout: float, limiter: RateLimiter) -> None:
        self._read_timeout = read_timeout
        self._limiter = limiter
        retry = AnnouncedRetry(
            total=3,
            connect=1,
            read=2,
            status=0,
            allowed_methods=("GET", "HEAD"),
            backoff_factor=0.3,
            respect_retry_after_header=False,
        )
        super().__init__(limiter.announce, pool_maxsize=POOL, max_retries=retry)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = (CONNECT_TIMEOUT, self._read_timeout)
        parts = urlsplit(request.url or "")
        server, name = str(parts.netloc), f"{request.method} {parts.path!s}"
        reads = request.method in ("GET", "HEAD")
        for attempt in count(1):
            self._limiter.wait(server)
            response = self._send_once(request, *args, **kwargs)
            status = response.status_code
            if status not in REFUSAL_STATUSES:
                self._limiter.report_success(server, name)
                break
            asked = retry_after(response.headers)
            waits: bool | None = self._limiter.report_refusal(server, name, asked, status)
            told = status == 429 or asked is not None  # one that is told to wait is not sent in vain
            if not reads or not waits or (attempt > _REPEATS and not told):
                if reads:
                    waits = False  # it was repeated as often as makes sense
                elif not told:
                    waits = waits and None
                raise RefusedAnswerError(status, response.content, asked, waits)
        if response.is_redirect and reads:
            return response
        if response.is_redirect:
            raise RedirectedError(f"{status} to {response.headers['Location']}")
        if status >= 300 or status == 208:  # 208: the SDK takes it for an error, too
            raise RefusedAnswerError(status, response.content, retry_after(response.headers), None)
        return response

    def _send_once(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        try:
            response = super().send(request, *args, **kwargs)
            read_body(response)
        except requests.ConnectionError as problem:
            cause = problem.args[0] if problem.args else problem
            if isinstance(cause, MaxRetryError):
                cause = cause.reason
            sent = not isinstance(cause, NewConnectionError | ConnectTimeoutError)
            raise UnreachableError(_plain(cause), sent=sent) from problem
        return response


def without_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that changes nothing; without one, a ~/.netrc would take the token's place."""
    return request


def _plain(problem: object) -> str:
    """The operating system's own words, without the names of Python objects around them."""
    text = str(problem)
    if "Connection aborted" in text or "Connection broken" in text:
        return "the connection was cut"
    said = re.search(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^()]+)", text)
    return said[1].strip() if said else text.rpartition(": ")[2] or text
