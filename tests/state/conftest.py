"""Records and stores to test with. A new store joins the protocol's suite by a line in `STORES`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from state.lock import LockInfo
from state.snapshot import Intent, RecordedResource, Snapshot
from state.sqlite import SqliteStore
from state.store import Store

STACK = "my-org@STAGING/my_pipeline"
AT = "2025-03-01T12:00:00.000+00:00"

UNTIMED = settings(deadline=None)  # a busy machine is no failure

MakeStore = Callable[..., Store]
STORES: dict[str, Callable[[Path], Callable[..., Store]]] = {
    "sqlite": lambda folder: lambda **options: SqliteStore(folder / "made" / "state.db", **options),
}


class FakeTime:
    """A clock that only moves when somebody sleeps or a test says so. Seconds."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


@pytest.fixture(params=STORES)
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Each call is another process's view of the same place."""
    make = STORES[request.param](tmp_path)
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(make(**options))


@pytest.fixture
def store(make_store: MakeStore) -> Store:
    return make_store()


def run(name: str, **changed: Any) -> LockInfo:
    return replace(LockInfo(name, "build-1", 7, "reconciler apply", AT, id=name), **changed)


def resource(address: str, *depends_on: str, **inputs: Any) -> RecordedResource:
    return RecordedResource(address, address.partition("/")[0], f"id of {address}", inputs, {}, depends_on)


def intent(address: str, **changed: Any) -> Intent:
    return replace(Intent(address, "create", None, {}, AT, "run-1"), **changed)


def snapshot(*resources: RecordedResource, serial: int = 1) -> Snapshot:
    """A record that keeps every promise."""
    by_address = {r.address: r for r in resources}
    return Snapshot(STACK, "lineage-1", serial, by_address, {}, written_by="0.1.0", written_at=AT)


def counting(value: int) -> Snapshot:
    """A record of which only this number matters."""
    return snapshot(resource("processing/app", default_cpu=value))


def count(record: Snapshot | None) -> int:
    return record.resources["processing/app"].inputs["default_cpu"] if record else 0
