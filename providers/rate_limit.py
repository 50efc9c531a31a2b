"""How fast servers are asked, and how long a server that says "not now" is waited for.

One for a whole run, shared by all that it sends. Sends nothing itself. A server that refuses (429, or 503 and
its like) makes everybody wait who wants something of it. The rate is halved where the server had accepted
something since, and grows again with what it accepts, so it stays about where the server accepts it. All that
is waited for one server is bounded: a refused request that is accepted in the end starts the count anew.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from providers.timeouts import answer_timeout
from providers.waits import Backoff, Repeat, Silence, SilenceEnd

PATIENCE = 120.0
"""Seconds that one server is waited for in all while it keeps refusing, unless RECONCILER_TIMEOUT is set."""

GIVEN_UP = (
    f"run it again later; a run waits {PATIENCE:.0f} s for a server that keeps refusing, or as long as "
    "RECONCILER_TIMEOUT says"
)

REFUSALS = 429, 502, 503, 504
"""Statuses that say: not now."""

FIRST_WAIT = 0.3  # seconds after a refusal that names none; doubles with each that follows
LONGEST_WAIT = 8.0  # seconds of those
_FIRST = 0.02  # seconds between two requests, once a server refused one
_SLOWEST = 1.0  # seconds between two requests; more only where the server asks for longer pauses
_GROWTH = 1.02  # of the rate, with each request that is accepted …
_DOUBLES = 10.0  # … but no more than twice as much in so many seconds


Announce = Callable[[Backoff | Silence | Repeat | SilenceEnd], None]
"""Called when a server makes the run wait."""


@dataclass
class _Server:
    """What is known of one server; times as of the clock.

    Attributes:
        next: when the next request may go out.
        between: seconds between two requests.
        paused_until: nothing goes out before.
        pauses: how many there were.
        refused: requests that were refused and have not been accepted since.
        streak: refusals in a row.
        spent: seconds that were waited since a refused request was accepted.
        accepted: whether anything was since the last pause.
        grown: when the rate grew last.
    """

    next: float = 0.0
    between: float = 0.0
    paused_until: float = 0.0
    pauses: int = 0
    refused: set[str] = field(default_factory=set)
    streak: int = 0
    spent: float = 0.0
    accepted: bool = True
    grown: float = 0.0


class RateLimiter:
    """When the next request may go out. Safe for threads.

    Args:
        rps: most requests a second, to all servers together; None for as many as there are.
        announce: called when a server makes the run wait, also by the adapters that share this.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        rps: float | None = None,
        *,
        announce: Announce | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._between = 1 / rps if rps else 0.0
        self._next = 0.0
        self._servers: dict[str, _Server] = {}
        self.announce = announce
        self._clock = clock or time.monotonic
        self._sleep = sleep or time.sleep
        self._lock = threading.Lock()

    def wait(self, server: str = "") -> None:
        """Wait until it is this request's turn; to be called before each, repeated ones included."""
        with self._lock:
            now = self._clock()
            turn = max(self._next, now)
            self._next = turn + self._between
        while True:
            with self._lock:
                now = self._clock()
                known = self._servers.get(server)
                if known is not None:
                    turn = max(turn, known.next, known.paused_until)
                    known.next = turn + known.between
                pauses = known.pauses if known is not None else 0
            if turn > now:
                self._sleep(turn - now)
            if known is None or known.pauses == pauses:  # else somebody was refused meanwhile
                return

    def refused(self, server: str, request: str, asked: float | None, status: int = 429) -> bool:
        """The server said "not now": everybody waits who wants something of it.

        Args:
            request: method and path, which tell whether the same request is accepted later.
            asked: seconds that the server asks to wait; None where it names none.
            status: one of REFUSALS.

        Returns:
            Whether the request may be sent again; False once the server was waited for long enough.
        """
        with self._lock:
            now = self._clock()
            known = self._servers.setdefault(server, _Server())
            known.refused.add(request)
            at_once = now < known.paused_until  # many are refused at once, and that counts once
            streak = known.streak if at_once else known.streak + 1
            seconds = asked or min(FIRST_WAIT * 2 ** min(streak - 1, 10), LONGEST_WAIT)
            between = known.between
            if known.accepted and not at_once:
                slower = min(max(2 * known.between, _FIRST), max(_SLOWEST, asked or 0.0))
                between = max(slower, self._between)
            seconds = max(seconds, between)
            until = now + seconds
            more = until - max(now, known.paused_until)
            if more > 0:
                if known.spent + more > answer_timeout(PATIENCE):
                    # Given up: what is left to send fails soon, and not one long gap after the other.
                    known.between = min(known.between, max(_SLOWEST, self._between))
                    known.next = min(known.next, now)
                    return False
                known.spent += more
                known.paused_until = until
            if at_once:
                return True
            known.streak, known.between = streak, between
            known.pauses += 1
            known.accepted, known.grown = False, until
        if self.announce is not None:
            self.announce(Backoff(server, status, seconds))
        return True

    def accepted(self, server: str, request: str) -> None:
        """The server did not refuse a request, whatever else it answered."""
        if server not in self._servers:
            return
        with self._lock:
            known, now = self._servers[server], self._clock()
            known.accepted = True
            if request in known.refused:
                known.refused.discard(request)
                known.spent, known.streak = 0.0, 0
            since = min(max(now - known.grown, 0.0), _DOUBLES)
            faster = known.between / min(_GROWTH, 2 ** (since / _DOUBLES))
            known.between, known.grown = max(faster, self._between), max(now, known.grown)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a Retry-After asks for, of whatever form; None without one, and for nonsense.

    A date is taken by the server's own clock where the answer has one.
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value[:12])  # 30,000 years are as good as for ever
    try:
        until = parsedate_to_datetime(value).timestamp()
        said = headers.get("Date")
        now = parsedate_to_datetime(said).timestamp() if said else time.time()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    return max(until - now, 0.0)
