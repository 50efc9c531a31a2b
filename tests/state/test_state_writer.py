"""The state writer of a running apply: a change is durable before its thread continues."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from state.errors import InvalidSnapshotError, LostLockError, SerialConflictError, StoreUnavailableError
from state.snapshot import Snapshot
from state.state_writer import StateWriter, now
from state.stores.base import Store
from state.stores.sqlite import SqliteStore
from tests.state.conftest import AT, STACK, count, counting, intent, resource, run

NEW = Snapshot.new(STACK, "lineage-1")
Change = Callable[[Snapshot], Snapshot]


def writer(store: Store, snapshot: Snapshot = NEW, **options: Any) -> StateWriter:
    return StateWriter(store, snapshot, written_by="0.1.0", clock=lambda: AT, **{"lock": None} | options)


def counted(value: int) -> Change:
    return lambda s: s.with_resource(resource("processing/app", default_cpu=value))


def one_more(s: Snapshot) -> Snapshot:
    return counted(count(s) + 1 if s.resources else 1)(s)


def test_a_change_is_durable_when_update_returns(store: Store) -> None:
    state_writer = writer(store)
    saved = state_writer.update(lambda s: s.with_intent(intent("model/M")))
    assert saved == state_writer.snapshot == store.load(STACK)
    assert (saved.serial, saved.written_by, saved.written_at) == (1, "0.1.0", AT)
    saved = state_writer.update(lambda s: s.with_resource(resource("model/M")).without_intent("model/M"))
    assert saved == store.load(STACK)
    assert (saved.serial, list(saved.resources), list(saved.intents)) == (2, ["model/M"], [])


def test_updates_continue_from_loaded_state(store: Store) -> None:
    writer(store).update(counted(1))
    loaded = store.load(STACK)
    assert loaded is not None
    assert writer(store, loaded).update(counted(2)).serial == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s,
        counted(1),
        lambda s: s.without_resource("model/M").without_intent("model/M"),
        lambda s: s.written(serial=99, by="9", at=AT),
    ],
)
def test_a_change_without_effect_creates_no_serial(store: Store, change: Change) -> None:
    state_writer = writer(store)
    saved = state_writer.update(counted(1))
    assert state_writer.update(change) == saved
    assert [entry.serial for entry in store.history(STACK, 5)] == [1]


def test_an_apply_without_changes_creates_no_state(store: Store) -> None:
    writer(store).update(lambda s: s)
    assert store.load(STACK) is None


def test_only_an_invalid_change_fails(store: Store) -> None:
    state_writer = writer(store)
    state_writer.update(counted(1))
    with pytest.raises(InvalidSnapshotError, match="I9 model/M"):
        state_writer.update(lambda s: s.with_resource(resource("model/M", "model/N")))
    assert list(state_writer.update(counted(2)).resources) == ["processing/app"]


def test_only_a_raising_change_fails(store: Store) -> None:
    state_writer = writer(store)
    with pytest.raises(ZeroDivisionError):
        state_writer.update(lambda s: s.with_resource(resource(f"model/{1 // 0}")))
    assert state_writer.update(counted(2)).serial == 1


def test_a_save_of_another_run_is_not_overwritten(store: Store) -> None:
    state_writer = writer(store)
    state_writer.update(counted(1))
    store.save(counting(50), expected_serial=1, lock=None)
    with pytest.raises(SerialConflictError):
        state_writer.update(counted(2))
    assert count(store.load(STACK)) == 50


def test_a_lost_lock_stops_the_writer(store: Store) -> None:
    with store.lock(STACK, run("ada"), timeout=0) as lock:
        state_writer = writer(store, lock=lock)
        state_writer.update(counted(1))
        store.unlock(STACK)
        with pytest.raises(LostLockError):
            state_writer.update(counted(2))
    assert count(store.load(STACK)) == 1


class Wrapped:
    """A store that counts saves, and lets a test delay them or fail them."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.saves = 0
        self.before: Callable[[], None] = lambda: None

    def save(self, snapshot: Snapshot, **options: Any) -> Snapshot:
        self.before()
        self.saves += 1
        return self.store.save(snapshot, **options)


def test_a_failed_save_is_part_of_the_next_one(store: Store) -> None:
    wrapped = Wrapped(store)
    state_writer = writer(wrapped)  # type: ignore[arg-type]
    state_writer.update(counted(1))

    def full() -> None:
        raise StoreUnavailableError("the disk is full")

    wrapped.before = full
    with pytest.raises(StoreUnavailableError):
        state_writer.update(lambda s: s.with_resource(resource("model/M")))
    assert list(state_writer.snapshot.resources) == ["processing/app"]
    wrapped.before = lambda: None
    saved = state_writer.update(lambda s: s)
    assert saved == store.load(STACK)
    assert (list(saved.resources), saved.serial) == (["model/M", "processing/app"], 2)


def test_no_change_of_a_thread_is_lost(store: Store) -> None:
    state_writer = writer(store)

    def work(worker: int) -> None:
        for step in range(20):
            address = f"input/app/{worker}-{step}"
            state_writer.update(lambda s: s.with_intent(intent(address)))  # noqa: B023
            saved = state_writer.update(
                lambda s: one_more(s).with_resource(resource(address)).without_intent(address)  # noqa: B023
            )
            assert address in saved.resources
            stored = store.load(STACK)
            assert stored is not None
            assert address in stored.resources
            assert address not in stored.intents

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    stored = store.load(STACK)
    assert stored == state_writer.snapshot
    assert count(stored) == 160
    assert stored is not None
    assert len(stored.resources) == 161
    assert not stored.intents


def test_one_change_runs_at_a_time_and_sees_the_one_before(store: Store) -> None:
    state_writer = writer(store)

    def slowly(s: Snapshot) -> Snapshot:
        after = one_more(s)
        time.sleep(0.001)  # lets other threads run, if they can
        return after

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: state_writer.update(slowly), range(40)))
    assert count(state_writer.snapshot) == 40


def test_waiting_threads_share_the_next_save(store: Store) -> None:
    wrapped = Wrapped(store)
    state_writer = writer(wrapped)  # type: ignore[arg-type]
    saving, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        wrapped.before = lambda: None
        saving.set()
        assert go_on.wait(60)

    def add(number: int) -> Snapshot:
        return state_writer.update(lambda s: s.with_resource(resource(f"model/{number}")))

    wrapped.before = hold
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(state_writer.update, counted(1))
        assert saving.wait(60)
        others = [pool.submit(add, number) for number in range(8)]
        while state_writer._changes < 9:
            time.sleep(0.001)
        go_on.set()
        assert first.result().serial == 1
        results = [other.result() for other in others]
    assert wrapped.saves == 2
    assert {result.serial for result in results} == {2}
    assert len(results[0].resources) == 9


OPERATIONS = st.one_of(
    st.builds(
        lambda n, value: lambda s: s.with_resource(resource(f"model/{n}", value=value)),
        st.integers(0, 5),
        st.integers() | st.booleans() | st.text(st.characters()),
    ),
    st.builds(lambda n: lambda s: s.without_resource(f"model/{n}"), st.integers(0, 5)),
    st.builds(lambda n: lambda s: s.with_intent(intent(f"model/{n}")), st.integers(0, 5)),
    st.builds(lambda n: lambda s: s.without_intent(f"model/{n}"), st.integers(0, 5)),
)


@settings(max_examples=30)
@given(st.lists(OPERATIONS, max_size=30))
def test_every_serial_can_be_read_again(
    tmp_path_factory: pytest.TempPathFactory, changes: list[Change]
) -> None:
    with SqliteStore(tmp_path_factory.mktemp("story") / "state.db") as store:
        state_writer = writer(store)
        saved = {snapshot.serial: snapshot for snapshot in map(state_writer.update, changes)}
        saved.pop(0, None)
        assert {serial: store.load_at(STACK, serial) for serial in saved} == saved
        assert len(store.history(STACK, 100)) == len(saved)


def test_the_current_time_is_in_utc() -> None:
    assert now().endswith("+00:00")
