"""Fixtures for tests of commands."""

import pytest
from urllib3.util.retry import Retry

from providers.docker.registry import connection
from tests.quick import skip_waits


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not wait."""
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    skip_waits(monkeypatch)
    monkeypatch.setattr(connection, "_wait", lambda state: 0.0)
