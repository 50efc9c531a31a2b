"""Why a run waits for a server, as events."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Silence:
    """A server has not answered a request for `seconds`; the request ends after `limit` seconds."""

    server: str
    seconds: float
    limit: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """A server did not answer within `seconds`; the request is sent again, as attempt so many of so many."""

    server: str
    seconds: float
    attempt: int
    attempts: int


@dataclass(frozen=True, slots=True)
class SilenceEnd:
    """A server whose silence was announced answers."""

    server: str


@dataclass(frozen=True, slots=True)
class Backoff:
    """A server refuses requests for now, with this status; the next try is in so many seconds."""

    server: str
    status: int
    seconds: float
