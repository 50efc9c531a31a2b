"""The last state of each run is kept forever, whatever is saved after it, on each store."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.table import EXCLUSIVE
from reconciler.core.plan import Stack
from reconciler.engine.rollback import find_earlier
from state.copying import copy_states
from state.snapshot import RecordedResource, Snapshot
from state.stores.base import ALL_SAVES, Store
from state.stores.sqlite import SqliteStore
from tests.state.conftest import STACK, MakeStore, bucket_maker, intent, resource, run, snapshot
from tests.state.servers import Bucket

PIPELINE = Stack("my-org", "STAGING", "https://staging.picsellia.com", "my_pipeline")
CHANGES = {"sqlite": 600, "s3": 30, "azure": 30, "gcs": 30}
"""Saves of one run. A bucket keeps each save as an object, so more of them would not test more."""


def image(version: str) -> RecordedResource:
    return resource("image/reg.io/app", repository="reg.io/app", version=version)


def numbered(name: str, value: int) -> RecordedResource:
    return resource(f"input/app/{name}", "processing/app", n=value)


def first_run(store: Store) -> Snapshot:
    state = snapshot(image("1.0.0"), resource("processing/app"))
    with store.lock(STACK, run("the first"), timeout=0) as lock:
        return store.save(state, expected_serial=0, lock=lock)


def apply(store: Store, who: str, last: Snapshot, changes: Sequence[RecordedResource]) -> list[Snapshot]:
    """One run that saves before and after each change. Returns its snapshots."""
    saved: list[Snapshot] = []
    with store.lock(STACK, run(who), timeout=0) as lock:
        for changed in changes:
            before = last.resources.get(changed.address)
            verb, id_ = ("update", before.id) if before else ("create", None)
            begun = intent(changed.address, verb=verb, id=id_, fields=changed.inputs)
            for after in (
                last.with_intent(begun),
                last.with_resource(changed).without_intent(changed.address),
            ):
                last = store.save(after, expected_serial=last.serial, lock=lock)
                saved.append(last)
    return saved


def check_kept(store: Store, saved: Sequence[Snapshot]) -> None:
    """Each save can be read, in any order."""
    assert [entry.serial for entry in store.history(STACK, ALL_SAVES)] == [s.serial for s in reversed(saved)]
    for state in (*saved, *reversed(saved)):
        assert store.load_at(STACK, state.serial) == state
    assert store.load(STACK) == saved[-1]


def test_a_run_with_very_many_changes_keeps_the_version_before_it(
    make_store: MakeStore, request: pytest.FixtureRequest
) -> None:
    """Each change is saved twice: at its start and at its end."""
    many = CHANGES[request.node.callspec.params["url"]]
    store = make_store()
    first = first_run(store)
    inputs = [numbered(f"i{number}", number) for number in range(many)]
    saved = apply(store, "the large one", first, [image("1.1.0"), *inputs])
    store.close()

    later = make_store()
    assert later.load(STACK) == saved[-1]
    for to in ("1", "1.0.0"):
        assert find_earlier(later, PIPELINE, to).snapshot == first
    assert find_earlier(later, PIPELINE, "1.1.0").snapshot == saved[-1]


@pytest.fixture(params=["sqlite", "s3", "azure", "gcs"])
def other(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A second empty store of each type."""
    with ExitStack() as opened:
        if request.param == "sqlite":
            yield opened.enter_context(SqliteStore(tmp_path / "other.db"))
        else:
            bucket: Bucket = request.getfixturevalue(request.param)
            for name, value in bucket.variables.items():
                monkeypatch.setenv(name, value)
            yield opened.enter_context(bucket_maker(f"{bucket.url}/{tmp_path.name}/other")())


def test_a_copy_between_any_two_stores_is_complete(store: Store, other: Store) -> None:
    first = first_run(store)
    middle = apply(store, "the second", first, [numbered(f"i{number}", number) for number in range(5)])
    last = apply(store, "the third", middle[-1], [image("1.1.0"), numbered("i1", 7)])
    saved = [first, *middle, *last]

    (copied,) = copy_states(store, other, EXCLUSIVE)

    assert (copied.serials, copied.left_out) == (tuple(state.serial for state in saved), ())
    check_kept(other, saved)
    assert find_earlier(other, PIPELINE, "1").snapshot == first


RUNS = st.lists(
    st.lists(st.builds(numbered, st.sampled_from("abc"), st.integers(0, 3)), max_size=30), max_size=6
)


@given(runs=RUNS)
@settings(max_examples=15)
def test_every_save_of_every_run_is_kept(runs: list[list[RecordedResource]]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with SqliteStore(path) as store:
            saved = [first_run(store)]
        for number, changes in enumerate(runs):
            with SqliteStore(path) as store:  # as another process
                saved += apply(store, f"run {number}", saved[-1], changes)
                check_kept(store, saved)
        with SqliteStore(path) as later:
            check_kept(later, saved)
