"""State and stores for tests. A line in `BUCKETS` runs the suite of all stores for a new bucket."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from state.lock_info import LockInfo
from state.snapshot import Intent, RecordedResource, Snapshot
from state.stores.base import Store
from state.stores.bucket import BucketStore
from state.stores.objects import Objects, StoredObject, Version
from state.stores.sqlite import SqliteStore
from tests.state.servers import Bucket, use

STACK = "my-org@STAGING/my_pipeline"
AT = "2025-03-01T12:00:00.000+00:00"

BUCKETS = ("s3", "azure", "gcs")  # names of fixtures

MakeStore = Callable[..., Store]


class FakeTime:
    """A clock in seconds that only advances with a sleep or by a test."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


class DatedObjects(Objects):
    """A bucket with the clock of a test, which dates its objects.

    Args:
        dates: date of each object, shared by all clients of the bucket.
    """

    def __init__(self, url: str, clock: Callable[[], float], dates: dict[str, float]) -> None:
        super().__init__(url)
        self._test_clock, self._dates = clock, dates

    def get(self, path: str) -> StoredObject | None:
        found = super().get(path)
        return found and replace(found, modified=self._dates[path])

    def put(self, path: str, body: bytes) -> None:
        super().put(path, body)
        self._dates[path] = self._test_clock()

    def swap(self, path: str, body: bytes, version: Version | None) -> Version:
        written = super().swap(path, body, version)
        self._dates[path] = self._test_clock()
        return written

    def now(self) -> float:
        return self._test_clock()


def bucket_maker(url: str) -> MakeStore:
    dates: dict[str, float] = {}

    def make(**options: Any) -> Store:
        if "clock" in options:
            return BucketStore(DatedObjects(url, options["clock"], dates), **options)
        return BucketStore(Objects(url), **options)

    return make


def file_maker(path: Path) -> MakeStore:
    def make(**options: Any) -> Store:
        if "clock" in options:  # one clock of a test for both
            options.setdefault("monotonic", options["clock"])
        return SqliteStore(path, **options)

    return make


@pytest.fixture(params=["sqlite", *BUCKETS])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty store of each type."""
    if request.param == "sqlite":
        return str(tmp_path / "made" / "state.db")
    return bucket_url(request.param, request, monkeypatch)


@pytest.fixture(params=BUCKETS)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty prefix in each bucket."""
    return bucket_url(request.param, request, monkeypatch)


def bucket_url(name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    bucket: Bucket = request.getfixturevalue(name)
    use(bucket, monkeypatch)
    return f"{bucket.url}/team/{uuid4()}"


@pytest.fixture
def make_store(url: str) -> Iterator[MakeStore]:
    """Each call opens the same store as another process would."""
    make = bucket_maker(url) if "://" in url else file_maker(Path(url))
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
    """A valid snapshot."""
    by_address = {r.address: r for r in resources}
    return Snapshot(STACK, "lineage-1", serial, by_address, {}, written_by="0.1.0", written_at=AT)


def counting(value: int) -> Snapshot:
    """A valid snapshot with this number in one field."""
    return snapshot(resource("processing/app", default_cpu=value))


def count(state: Snapshot | None) -> int:
    return state.resources["processing/app"].inputs["default_cpu"] if state else 0
