"""How long a far end may take to answer: the user's word, before each room's own.

Read when a connection is made, so that a test or a CI job can be impatient. Opens nothing.
"""

import os

from providers.errors import PermanentError

VARIABLE = "RECONCILER_TIMEOUT"


def answer_timeout(usual: float) -> float:
    """Seconds to wait for an answer: RECONCILER_TIMEOUT, else `usual`.

    Raises:
        FinalError: it is set, and no number of seconds.
    """
    text = os.environ.get(VARIABLE, "")
    if not text:
        return usual
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < float("inf"):
        raise PermanentError(
            f"{VARIABLE} is {text!r}, which is no number of seconds", hint=f"unset {VARIABLE}"
        )
    return seconds
