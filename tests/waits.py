"""Waiting for what must happen, on a machine of any speed."""

import time
from collections.abc import Callable

PATIENCE = 300.0
"""Seconds to wait for an event that a test requires. Only a test that hangs waits that long."""


def until(condition: Callable[[], bool], patience: float = PATIENCE) -> None:
    """Wait until it is true. Fails after so many seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it never became true"
        time.sleep(0.02)
