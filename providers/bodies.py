"""Reads response bodies with a limit on size and time: a server may send bytes forever.

Below all providers. Callers that read a body in pieces (`stream=True`) apply their own limits.
"""

import time

import requests

from providers.answers import MalformedAnswerError
from providers.timeouts import answer_timeout

MAX_BYTES = 32 << 20
"""Maximum size of a body after decompression; a page of a list has about 100 kB."""

MAX_SECONDS = 300.0
"""Maximum time to read a body, unless RECONCILER_TIMEOUT is set. Some servers send single bytes slowly."""

_PIECE = 1 << 16  # bytes


class TooLargeError(MalformedAnswerError, requests.RequestException):
    """A response body exceeds the size limit."""


def read_body(response: requests.Response) -> None:
    """Read the body of a response to a request with `stream=True` into `content`.

    Raises:
        TooLargeError: it has more than `MAX_BYTES` bytes.
        requests.Timeout: it takes longer than the time limit.
        requests.RequestException: the connection broke.
    """
    if isinstance(response._content, bytes):
        return  # it was short
    pieces: list[bytes] = []
    size, end = 0, time.monotonic() + answer_timeout(MAX_SECONDS)
    try:
        for piece in response.iter_content(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > MAX_BYTES:
                raise TooLargeError(f"the response has more than {MAX_BYTES >> 20} MB")
            if time.monotonic() > end:
                raise requests.ReadTimeout("the response did not end in time")
    except BaseException:
        response.close()
        raise
    response._content = b"".join(pieces)
