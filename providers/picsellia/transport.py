"""HTTP with the platform: a larger pool, our timeouts, repeated reads, and the requested pauses.

Below `platform`, on the session of `requests`. Independent of paths and the content of responses.
"""

import re
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from providers.bodies import read_body, server_of
from providers.bounded import AnnouncedRetry, BoundedAdapter
from providers.rate_limit import AT_ONCE, REFUSAL_STATUSES, RateLimiter, retry_after

CONNECT_TIMEOUT = 10.0  # seconds
_MAX_REPEATS = 4  # of a read, if the platform is unavailable and requests no pause


class UnreachableError(Exception):
    """There was no response. Not a requests.ConnectionError: whether it was sent decides what it means.

    Attributes:
        sent: whether the request may have reached the platform.
    """

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class RedirectedError(Exception):
    """A write was redirected. HTTP clients would follow with a GET instead."""


class RefusedAnswerError(Exception):
    """A response with an error status.

    Attributes:
        status: the HTTP status.
        content: the body.
        retry_after: requested wait in seconds; None if it requests none.
        waits: as for TransientError.
        url: of the request, which may be the target of a redirect.
    """

    def __init__(
        self, status: int, content: bytes, retry_after: float | None, waits: bool | None, url: str
    ) -> None:
        super().__init__(status)
        self.status = status
        self.content = content
        self.retry_after = retry_after
        self.waits = waits
        self.url = url


class Adapter(BoundedAdapter):
    """A larger pool, our timeouts, repeated reads, and errors with the status.

    Args:
        read_timeout: seconds to wait for a response.
        limiter: the rate limiter of the run.
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
        super().__init__(limiter.announce, pool_maxsize=AT_ONCE, max_retries=retry)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs["timeout"] = (CONNECT_TIMEOUT, self._read_timeout)
        parts = urlsplit(request.url or "")
        server, name = server_of(request), f"{request.method} {parts.path!s}"
        reads = request.method in ("GET", "HEAD")
        for attempt in count(1):
            self._limiter.wait(server, name)
            with self._limiter.slot:
                response = self._send_once(request, *args, **kwargs)
            status = response.status_code
            if status not in REFUSAL_STATUSES:
                self._limiter.report_success(server, name)
                break
            pause = retry_after(response.headers)
            waits: bool | None = self._limiter.report_refusal(server, name, pause, status)
            has_pause = status == 429 or pause is not None  # a later attempt is expected to succeed
            if not reads or not waits or (attempt > _MAX_REPEATS and not has_pause):
                if reads:
                    waits = False  # the repetitions are used up
                elif not has_pause:
                    waits = waits and None
                raise RefusedAnswerError(status, response.content, pause, waits, response.url)
        if response.is_redirect and reads:
            return response
        if response.is_redirect:
            raise RedirectedError(f"{status} to {response.headers['Location']}")
        if status >= 300 or status == 208:  # 208 is an error for the SDK, too
            raise RefusedAnswerError(
                status, response.content, retry_after(response.headers), None, response.url
            )
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


def _plain(problem: object) -> str:
    """The operating system's message, without the names of Python objects around it."""
    text = str(problem)
    if "Connection aborted" in text or "Connection broken" in text:
        return "the connection was cut"
    message = re.search(r"\[(?:Errno -?\d+|SSL: \w+)\] ([^()\"]+)", text)
    plain = message[1].strip() if message else text.rpartition(": ")[2] or text
    return f"{plain}, by the proxy" if "Unable to connect to proxy" in text else plain
