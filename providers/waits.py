"""Events that report why a run takes time: it waits for a server, sends requests, or reads many files."""

from dataclasses import dataclass
from typing import Final

SILENCE: Final = 10.0
"""Seconds without a response until the first announcement, and between further ones."""

SLOW: Final = 1.0
"""Seconds of hashing a source until the first announcement, and between further ones."""


@dataclass(frozen=True, slots=True)
class Hashing:
    """The source in `folder` is being hashed, at the file `path`, after `size` bytes of content."""

    folder: str
    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Silence:
    """A server has not responded for `seconds`; the request ends after `limit` seconds."""

    server: str
    seconds: float
    limit: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """A server did not respond within `seconds`; the request is repeated as `attempt` of `attempts`."""

    server: str
    seconds: float
    attempt: int
    attempts: int


@dataclass(frozen=True, slots=True)
class SilenceEnd:
    """A server responds after an announced silence."""

    server: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """A server refused a request with this status; the next attempt follows after `seconds`."""

    server: str
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Exchange:
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
