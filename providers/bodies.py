"""How much of an answer is read: a server may send bytes for ever, and none of ours is that long.

Below every provider. What is read piece by piece by its caller (`stream=True`) is bounded there.
"""

import time

import requests

from providers.answers import MalformedAnswerError
from providers.timeouts import answer_timeout

LARGEST = 32 << 20
"""Bytes of an answer that is read whole, after decompression; a page of a list has some 100 kB."""

LONGEST = 300.0
"""Seconds that reading one may take, unless RECONCILER_TIMEOUT is set. Some servers drip."""

_PIECE = 1 << 16  # bytes


class TooLargeError(MalformedAnswerError, requests.RequestException):
    """An answer that is larger than any that we know of."""


def read_whole(response: requests.Response) -> None:
    """Read the body of an answer that was sent for with `stream=True`, so that `content` has it.

    Raises:
        TooLargeError: it has more than `LARGEST` bytes.
        requests.Timeout: it takes too long.
        requests.RequestException: the connection broke.
    """
    pieces: list[bytes] = []
    size, end = 0, time.monotonic() + answer_timeout(LONGEST)
    try:
        for piece in response.iter_content(_PIECE):
            pieces.append(piece)
            size += len(piece)
            if size > LARGEST:
                raise TooLargeError(f"the answer has more than {LARGEST >> 20} MB")
            if time.monotonic() > end:
                raise requests.ReadTimeout("the answer did not end in time")
    except BaseException:
        response.close()
        raise
    response._content = b"".join(pieces)
