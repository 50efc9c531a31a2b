"""How fast far ends are asked: at most so many requests a second, and slower once they ask everybody to wait.

One for a whole run, shared by all that it asks. Sends nothing itself.
"""

import threading
import time
from collections.abc import Callable

PATIENCE = 3
"""How often in a row one request is told to wait before that is no chance any more, and everybody waits."""

_FIRST = 0.02  # seconds between two requests, once a far end asked for a pause
_RECOVERY = 0.99  # of that, with each request that goes out


class Pace:
    """When the next request may go out. Safe for threads.

    Args:
        rps: most requests a second; None for as many as there are.
        clock: monotonic seconds.
        sleep: waits so many seconds.
    """

    def __init__(
        self,
        rps: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._least = 1 / rps if rps else 0.0
        self._between = self._least
        self._next = 0.0
        self._paused_until = 0.0
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until it is this request's turn; to be called before each, repeated ones included."""
        with self._lock:
            now = self._clock()
            turn = max(self._next, now)
            self._next = turn + self._between
            self._between = max(self._least, self._between * _RECOVERY)
        if turn > now:
            self._sleep(turn - now)

    def pause(self, seconds: float) -> None:
        """Nobody asks for so long, and more slowly afterwards: a far end has had enough of all of us."""
        with self._lock:
            now = self._clock()
            if now >= self._paused_until:  # many are told at once, and that counts once
                self._between = max(2 * self._between, _FIRST)
            self._paused_until = max(self._paused_until, now + seconds)
            self._next = max(self._next, self._paused_until)
