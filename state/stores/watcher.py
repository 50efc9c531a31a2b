"""Announces that a bucket does not respond; the timeout of its requests."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final, NamedTuple

PATIENCE: Final = 30.0
"""Default timeout of one request in seconds, including retries."""


class Watcher(NamedTuple):
    """Announces requests that a bucket does not respond to.

    Attributes:
        announce: called from the waiting thread: with the seconds waited so far while the bucket does not
            respond, then with None when it does.
        every: seconds without a response until the first announcement, and between further ones.
        pending: entered for each request while it waits for its answer.
    """

    announce: Callable[[float | None], None]
    every: float
    pending: Callable[[], AbstractContextManager[None]] = nullcontext
