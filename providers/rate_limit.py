"""Limits the requests of a run: how many at once and per second, and the wait for servers that refuse them.

One limiter serves all requests of a run; it sends nothing itself. A server that refuses (429, or 503 and the
like) now and then delays the refused request alone. One that refuses more than a quarter of its last requests
is overloaded: all requests to it pause, and the rate is halved, once per pause; accepted requests raise it
again, so it settles near the server's limit. The total wait is bounded, for the pauses of a server and for
each request; it starts over when a refused request is finally accepted.
"""

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime

from msgspec import Struct, field

from providers.timeouts import answer_timeout
from providers.waits import Backoff, Exchange, Repeat, Silence, SilenceEnd

AT_ONCE = 32
"""Most requests at once, to all servers together."""
MAX_WAIT = 120.0
"""Maximum total wait in seconds for a server that keeps refusing, unless RECONCILER_TIMEOUT is set."""

RETRY_HINT = (
    f"run it again later; a run waits up to {MAX_WAIT:.0f} s for a server that keeps refusing requests, "
    "or RECONCILER_TIMEOUT seconds"
)

REFUSAL_STATUSES = 429, 502, 503, 504
"""Statuses of temporary refusals."""

_RECENT = 20  # answers that count …
_OVERLOAD = 0.25  # … and the share of refusals among them above which a server is overloaded
_UNNOTICED = 1.0  # seconds that a wait may take longer than announced
_FIRST_BACKOFF = 0.3  # seconds after a refusal without Retry-After; doubles with each further refusal
_MAX_BACKOFF = 8.0  # seconds; limit of the doubling
_FIRST_INTERVAL = 0.02  # seconds between two requests after the first refusal
_MAX_INTERVAL = 1.0  # seconds between two requests; more only if the server requests longer pauses
_GROWTH = 1.02  # factor for the rate after each accepted request …
_DOUBLING_TIME = 10.0  # … limited to doubling within so many seconds


Announce = Callable[[Backoff | Silence | Repeat | SilenceEnd | Exchange], None]
"""Called when a server makes the run wait."""


class _Hold(Struct):
    """The wait of one refused request, until it is accepted.

    Attributes:
        until: time of the next attempt.
        refusals: how often it was refused.
        waited: seconds.
    """

    until: float = 0.0
    refusals: int = 0
    waited: float = 0.0


class _Server(Struct):
    """The rate of one server; times are those of the limiter's clock.

    Attributes:
        next: earliest time of the next request.
        interval: seconds between two requests.
        paused_until: end of the pause.
        pauses: number of pauses so far.
        refused: requests that were refused during an overload and not accepted since.
        streak: consecutive refusals.
        waited: seconds waited since a refused request was last accepted.
        has_accepted: whether any request was accepted since the last pause.
        grown_at: time of the last increase of the rate.
        recent: the last answers: whether each was a refusal.
        holds: the refused requests that wait alone.
        announced_until: the end of the last announced wait.
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
    recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_RECENT))
    holds: dict[str, _Hold] = field(default_factory=dict)
    announced_until: float = -math.inf

    @property
    def is_overloaded(self) -> bool:
        return sum(self.recent) > _OVERLOAD * _RECENT


class RateLimiter:
    """Delays requests to the permitted rate. Thread-safe.

    Attributes:
        slot: to hold while a request is sent and its response arrives.

    Args:
        rps: maximum requests per second, to all servers together; None for no limit.
        at_once: most requests at once.
        announce: called when a server makes the run wait, also by the HTTP adapters of the run.
        clock: returns monotonic seconds; for tests.
        sleep: sleeps a number of seconds; for tests.
    """

    def __init__(
        self,
        rps: float | None = None,
        *,
        at_once: int = AT_ONCE,
        announce: Announce | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._interval = 1 / rps if rps else 0.0
        self._next = 0.0
        self._servers: defaultdict[str, _Server] = defaultdict(_Server)
        self.slot = threading.BoundedSemaphore(at_once)
        self.announce = announce
        self._clock = clock or time.monotonic
        self._sleep = sleep or time.sleep
        self._lock = threading.Lock()

    def wait(self, server: str = "", request: str = "") -> None:
        """Wait until this request may be sent. Call it before each request, including repeated ones.

        Args:
            request: as for `report_refusal`.
        """
        with self._lock:
            now = self._clock()
            turn = max(self._next, now)
            self._next = turn + self._interval
        while True:
            with self._lock:
                now = self._clock()
                state = self._servers.get(server)
                hold = state.holds.get(request) if state is not None else None
                if state is not None:
                    turn = max(turn, state.next, state.paused_until)
                    state.next = turn + state.interval
                until = max(turn, hold.until) if hold is not None else turn
                pauses = state.pauses if state is not None else 0
            if until > now:
                self._sleep(until - now)
            if state is None or state.pauses == pauses:  # otherwise a request was refused in the meantime
                return

    def report_refusal(self, server: str, request: str, delay: float | None, status: int = 429) -> bool:
        """Note that the server temporarily refused a request, and delay it, or all requests to the server.

        Args:
            request: method and path, to recognize the request when it is sent again.
            delay: seconds to wait, from the server; None if it sent none.
            status: one of REFUSAL_STATUSES.

        Returns:
            Whether to send the request again; False once the maximum wait is used up.
        """
        with self._lock:
            now = self._clock()
            state = self._servers[server]
            state.recent.append(True)
            if state.is_overloaded or now < state.paused_until:
                seconds = self._pause(state, request, delay, now)
            else:
                seconds = self._hold(state, request, delay, now)
            if seconds is None:
                return False
            # Concurrent refusals count once, and so do later ones that make the wait hardly longer.
            is_announced = now + seconds <= state.announced_until + _UNNOTICED
            state.announced_until = max(state.announced_until, now + seconds)
        if self.announce is not None and not is_announced:
            self.announce(Backoff(server, status, seconds))
        return True

    def _hold(self, state: _Server, request: str, delay: float | None, now: float) -> float | None:
        """Delay the request; returns the seconds, or None once its maximum wait is used up."""
        hold = state.holds.setdefault(request, _Hold())
        hold.refusals += 1
        seconds = delay or _backoff(hold.refusals)
        if hold.waited + seconds > answer_timeout(MAX_WAIT):
            return None
        hold.waited += seconds
        hold.until = now + seconds
        return seconds

    def _pause(self, state: _Server, request: str, delay: float | None, now: float) -> float | None:
        """Delay all requests; returns the seconds, or None once the maximum wait is used up."""
        state.refused.add(request)
        in_pause = now < state.paused_until  # concurrent refusals count once
        streak = state.streak if in_pause else state.streak + 1
        seconds = delay or _backoff(streak)
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
                return None
            state.waited += extension
            state.paused_until = until
        if not in_pause:
            state.streak, state.interval = streak, interval
            state.pauses += 1
            state.has_accepted, state.grown_at = False, until
        return seconds

    def report_success(self, server: str, request: str) -> None:
        """Note that the server accepted a request, whatever its response."""
        with self._lock:
            state, now = self._servers[server], self._clock()
            state.recent.append(False)
            state.holds.pop(request, None)
            state.has_accepted = True
            if request in state.refused:
                state.refused.discard(request)
                state.waited, state.streak = 0.0, 0
            elapsed = min(max(now - state.grown_at, 0.0), _DOUBLING_TIME)
            faster = state.interval / min(_GROWTH, 2 ** (elapsed / _DOUBLING_TIME))
            state.interval, state.grown_at = max(faster, self._interval), max(now, state.grown_at)


def _backoff(refusals: int) -> float:
    """Seconds to wait after so many refusals, if the server sent none."""
    return min(_FIRST_BACKOFF * 2.0 ** min(refusals - 1, 10), _MAX_BACKOFF)


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
