"""Fixtures for tests of commands."""

from pathlib import Path

import pytest
from urllib3.util.retry import Retry

from providers import retries
from tests.quick import skip_waits
from tests.state.servers import Bucket, use


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries do not wait."""
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    skip_waits(monkeypatch)
    monkeypatch.setattr(retries, "delay", lambda problem, attempt: 0.0)


@pytest.fixture(params=["sqlite", "s3", "azure", "gcs"])
def state(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> str:
    """An empty store of each kind: its address."""
    url = str(tmp_path / "state.db")
    if request.param != "sqlite":
        bucket: Bucket = request.getfixturevalue(request.param)
        use(bucket, monkeypatch)
        url = f"{bucket.url}/identity/{tmp_path.name}"
    monkeypatch.setenv("RECONCILER_STATE", url)
    return url
