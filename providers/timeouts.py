"""The timeout of responses: RECONCILER_TIMEOUT, or the default of each caller.

The variable is read for each connection, so tests and CI jobs can shorten it. Opens nothing.
"""

import os

from providers.errors import PermanentError

VARIABLE = "RECONCILER_TIMEOUT"
LONGEST = 1_000_000
"""Maximum number of seconds. The operating system cannot wait for ten thousand times as long."""


def answer_timeout(default: float) -> float:
    """Seconds to wait for a response: RECONCILER_TIMEOUT, or else `default`.

    Raises:
        PermanentError: the variable is not a number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return default
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= LONGEST:
        raise PermanentError(
            f"{VARIABLE} is {text!r}, not a number of seconds above 0 and up to {LONGEST:,}",
            hint=f"unset or correct {VARIABLE}",
        )
    return seconds
