"""Time that a run waits for servers, skipped: the clock goes on, nobody waits."""

import time
from types import SimpleNamespace

import pytest


def skip_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A new `RateLimiter` no longer sleeps; its pauses are appended to the returned list."""
    pauses: list[float] = []

    def monotonic() -> float:
        return time.monotonic() + sum(pauses)

    clock = SimpleNamespace(monotonic=monotonic, sleep=pauses.append, time=time.time)
    monkeypatch.setattr("providers.rate_limit.time", clock)
    return pauses
