"""Time that a run waits for servers, skipped: the clock goes on, nobody waits."""

import time
from types import SimpleNamespace

import pytest


def skip_waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """From now on a new `Pace` only says that it waits; the pauses are written down in what is returned."""
    pauses: list[float] = []

    def monotonic() -> float:
        return time.monotonic() + sum(pauses)

    clock = SimpleNamespace(monotonic=monotonic, sleep=pauses.append, time=time.time)
    monkeypatch.setattr("providers.rate_limit.time", clock)
    return pauses
