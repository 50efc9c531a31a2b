"""Limits the request rate, and the time spent waiting for servers that refuse requests.

One limiter serves all requests of a run; it sends nothing itself. A refusal (429, or 503 and the like) delays
all requests to that server. It also halves the rate, once per pause; accepted requests raise the rate again,
so it settles near the server's limit. The total wait for a server is bounded; it starts over when a refused
request is finally accepted.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from providers.timeouts import answer_timeout
from providers.waits import Backoff, Repeat, Silence, SilenceEnd

MAX_WAIT = 120.0
"""Maximum total wait in seconds for a server that keeps refusing, unless RECONCILER_TIMEOUT is set."""

RETRY_HINT = (
    f"run it again later; a run waits up to {MAX_WAIT:.0f} s for a server that keeps refusing requests, "
    "or RECONCILER_TIMEOUT seconds"
)

REFUSAL_STATUSES = 429, 502, 503, 504
"""Statuses of temporary refusals."""

_FIRST_BACKOFF = 0.3  # seconds after a refusal without Retry-After; doubles with each further refusal
_MAX_BACKOFF = 8.0  # seconds; limit of the doubling
_FIRST_INTERVAL = 0.02  # seconds between two requests after the first refusal
_MAX_INTERVAL = 1.0  # seconds between two requests; more only if the server requests longer pauses
_GROWTH = 1.02  # factor for the rate after each accepted request …
_DOUBLING_TIME = 10.0  # … limited to doubling within so many seconds


Announce = Callable[[Backoff | Silence | Repeat | SilenceEnd], None]
"""Called when a server makes the run wait."""


@dataclass
class _Server:
    """The rate of one server; times are those of the limiter's clock.

    Attributes:
        next: earliest time of the next request.
        interval: seconds between two requests.
        paused_until: end of the pause.
        pauses: number of pauses so far.
        refused: refused requests that were not accepted since.
        streak: consecutive refusals.
        waited: seconds waited since a refused request was last accepted.
        has_accepted: whether any request was accepted since the last pause.
        grown_at: time of the last increase of the rate.
    """

    next: float = 0.0
    interval: float = 0.0
    paused_until: float = 0.0
    pauses: int = 0
    refused: set[str] = field(default_factory=set)
    streak: int = 0
    waited: float = 0.0
    has_accepted: bool = True
    grown_at: float = 0.0


class RateLimiter:
    """Delays requests to the permitted rate. Thread-safe.

    Args:
        rps: maximum requests per second, to all servers together; None for no limit.
        announce: called when a server makes the run wait, also by the HTTP adapters of the run.
        clock: returns monotonic seconds; for tests.
        sleep: sleeps a number of seconds; for tests.
    """

    def __init__(
        self,
        rps: float | None = None,
        *,
        announce: Announce | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._interval = 1 / rps if rps else 0.0
        self._next = 0.0
        self._servers: dict[str, _Server] = {}
        self.announce = announce
        self._clock = clock or time.monotonic
        self._sleep = sleep or time.sleep
        self._lock = threading.Lock()

    def wait(self, server: str = "") -> None:
        """Wait until this request may be sent. Call it before each request, including repeated ones."""
        with self._lock:
            now = self._clock()
            turn = max(self._next, now)
            self._next = turn + self._interval
        while True:
            with self._lock:
                now = self._clock()
                state = self._servers.get(server)
                if state is not None:
                    turn = max(turn, state.next, state.paused_until)
                    state.next = turn + state.interval
                pauses = state.pauses if state is not None else 0
            if turn > now:
                self._sleep(turn - now)
            if state is None or state.pauses == pauses:  # otherwise a request was refused in the meantime
                return

    def report_refusal(self, server: str, request: str, delay: float | None, status: int = 429) -> bool:
        """Note that the server temporarily refused a request, and delay all requests to it.

        Args:
            request: method and path, to recognize the request when it is accepted later.
            delay: seconds to wait, from the server; None if it sent none.
            status: one of REFUSAL_STATUSES.

        Returns:
            Whether to send the request again; False once the maximum wait is used up.
        """
        with self._lock:
            now = self._clock()
            state = self._servers.setdefault(server, _Server())
            state.refused.add(request)
            in_pause = now < state.paused_until  # concurrent refusals count once
            streak = state.streak if in_pause else state.streak + 1
            seconds = delay or min(_FIRST_BACKOFF * 2 ** min(streak - 1, 10), _MAX_BACKOFF)
            interval = state.interval
            if state.has_accepted and not in_pause:
                slower = min(max(2 * state.interval, _FIRST_INTERVAL), max(_MAX_INTERVAL, delay or 0.0))
                interval = max(slower, self._interval)
            seconds = max(seconds, interval)
            until = now + seconds
            extension = until - max(now, state.paused_until)
            if extension > 0:
                if state.waited + extension > answer_timeout(MAX_WAIT):
                    # The run gives up: its remaining requests fail soon, without a long interval each.
                    state.interval = min(state.interval, max(_MAX_INTERVAL, self._interval))
                    state.next = min(state.next, now)
                    return False
                state.waited += extension
                state.paused_until = until
            if in_pause:
                return True
            state.streak, state.interval = streak, interval
            state.pauses += 1
            state.has_accepted, state.grown_at = False, until
        if self.announce is not None:
            self.announce(Backoff(server, status, seconds))
        return True

    def report_success(self, server: str, request: str) -> None:
        """Note that the server accepted a request, whatever its response."""
        if server not in self._servers:
            return
        with self._lock:
            state, now = self._servers[server], self._clock()
            state.has_accepted = True
            if request in state.refused:
                state.refused.discard(request)
                state.waited, state.streak = 0.0, 0
            elapsed = min(max(now - state.grown_at, 0.0), _DOUBLING_TIME)
            faster = state.interval / min(_GROWTH, 2 ** (elapsed / _DOUBLING_TIME))
            state.interval, state.grown_at = max(faster, self._interval), max(now, state.grown_at)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds of a Retry-After header, in either form; None without one or for an invalid value.

    A date is compared with the response's own Date header, if it has one.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:12])  # at most 30,000 years, practically forever
    try:
        until = parsedate_to_datetime(value).timestamp()
        date = headers.get("Date")
        now = parsedate_to_datetime(date).timestamp() if date else time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(until - now, 0.0)
