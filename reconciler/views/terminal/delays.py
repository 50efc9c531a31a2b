"""The texts of waits for servers and of hashing, and how often a log repeats them, for all views."""

from collections.abc import Callable

from msgspec import Struct

from providers.waits import SILENCE, Backoff, Exchange, Hashing, Repeat, Silence
from reconciler.views.counting import size
from reconciler.views.safe import one_line
from reconciler.views.terminal.text import Text

_TOLERANCE = 1.0  # seconds by which an event may be early on a busy machine


class Delay(Struct, frozen=True):
    """A wait for a server.

    Attributes:
        reason: why.
        outlook: the next action, with {} for the seconds until it.
        seconds: duration of the wait.
        passed: seconds of it that are over.
        ends: whether it is over after `seconds`; otherwise it lasts until the server answers.
    """

    server: str
    reason: str
    outlook: str
    seconds: float = 0.0
    passed: float = 0.0
    ends: bool = False

    @classmethod
    def of(cls, event: Backoff | Silence | Repeat) -> "Delay":
        match event:
            case Backoff(server, status, seconds):
                reason = "rate limited" if status == 429 else f"answers {status}"
                return cls(server, reason, "next try in {}", seconds, ends=True)
            case Silence(server, seconds, limit):
                return cls(server, f"no answer for {_seconds(seconds)}", "waiting up to {}", limit, seconds)
            case Repeat(server, seconds, attempt, attempts):
                again = f"trying again ({attempt} of {attempts})"
                reason = f"no answer for {_seconds(seconds)}" if seconds else "no connection"
                return cls(server, reason, again)

    def outlook_after(self, seconds: float) -> str:
        """The next action, this many seconds after the delay was announced."""
        left = self.seconds - self.passed - seconds
        return "trying again" if "{}" in self.outlook and left < 1 else self.outlook.format(f"{left:.0f} s")

    def is_over(self, seconds: float) -> bool:
        """Whether it is over, this many seconds after it was announced."""
        return self.ends and seconds > self.seconds + _TOLERANCE

    def __str__(self) -> str:
        return f"{self.server}: {self.reason}, {self.outlook.format(_seconds(self.seconds))}"


def hashing_text(event: Hashing) -> str:
    """The progress of hashing a large folder, in one line."""
    return one_line(
        f"hashing {event.folder}: {size(event.size)} so far, at {event.path or 'its list of files'}"
    )


def exchange_text(event: Exchange) -> str:
    """A request with its status and time, in one line."""
    answer = str(event.status) if event.status else "no answer"
    return one_line(f"{event.method} {event.url}  {answer}  {event.seconds * 1000:,.0f} ms")


class Announcements:
    """Lines that a log gets now and then, however often their event happens."""

    def __init__(self, print_line: Callable[[Text], object], clock: Callable[[], float]) -> None:
        self._print = print_line
        self._clock = clock
        self._announced: dict[tuple[str, str], float] = {}

    def delay(self, delay: Delay) -> None:
        if self._is_due((delay.server, delay.outlook)):
            self._print(Text(str(delay), "yellow"))

    def hashing(self, event: Hashing) -> None:
        if self._is_due((event.folder, "hashing")):
            self._print(Text(hashing_text(event), "dim"))

    def _is_due(self, line: tuple[str, str]) -> bool:
        """Whether this line was not printed for `SILENCE` seconds."""
        now = self._clock()
        if now - self._announced.get(line, now - SILENCE) < SILENCE - _TOLERANCE:
            return False
        self._announced[line] = now
        return True


def _seconds(seconds: float) -> str:
    return f"{max(seconds, 0.1):.{0 if seconds >= 1 else 1}f} s"
