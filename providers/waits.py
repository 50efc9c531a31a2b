"""Events that report why a run takes time: it waits for a server, sends requests, or reads many files."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

SILENCE: Final = 10.0
"""Seconds without a response until the first announcement, and between further ones."""

LONGEST_SILENCE: Final = 12.0
"""Seconds after which a log gets a line, whatever a run does. Longer than `SILENCE`, whose lines say more."""

SLOW: Final = 1.0
"""Seconds of hashing a source until the first announcement, and between further ones; also the seconds after
which a terminal shows what a run waits for."""


class Hashing(Struct, frozen=True):
    """The source in `folder` is being hashed, at the file `path`, after `size` bytes of content."""

    folder: str
    path: str
    size: int


class Silence(Struct, frozen=True):
    """A server has not responded for `seconds`; the request ends after `limit` seconds."""

    server: str
    seconds: float
    limit: float


class Repeat(Struct, frozen=True):
    """A server did not respond within `seconds`; the request is repeated as `attempt` of `attempts`.

    0 seconds: no connection to it could be made.
    """

    server: str
    seconds: float
    attempt: int
    attempts: int


class SilenceEnd(Struct, frozen=True):
    """A server responds after an announced silence."""

    server: str


class Backoff(Struct, frozen=True):
    """A server refused a request with this status; the next attempt follows after `seconds`."""

    server: str
    status: int
    seconds: float


class Exchange(Struct, frozen=True):
    """A request and its answer. Reported only if RECONCILER_VERBOSE is set.

    Attributes:
        url: without its query, which may hold a signature.
        status: the HTTP status; 0 without an answer.
        seconds: until the answer, or the error.
    """

    method: str
    url: str
    status: int
    seconds: float


_pending: dict[int, list[str]] = {}  # by thread


@contextmanager
def pending(server: str) -> Iterator[None]:
    """Count a request of this thread to a server as one that waits for its answer."""
    servers = _pending.setdefault(threading.get_ident(), [])
    servers.append(server)
    try:
        yield
    finally:
        servers.pop()
        if not servers:
            _pending.pop(threading.get_ident(), None)


def pending_servers() -> list[str]:
    """The servers that requests of this process wait for, sorted."""
    return sorted({server for servers in list(_pending.values()) for server in list(servers)})
