"""The contract of all stores. Runs for each store: SQLite and the buckets of `conftest.BUCKETS`."""

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from state.errors import (
    InvalidSnapshotError,
    LineageConflictError,
    LockedError,
    LostLockError,
    SerialConflictError,
    StoreUnavailableError,
)
from state.lock import Lock, heartbeat
from state.lock_info import LockInfo
from state.outline import Outline
from state.snapshot import APPLIED, FAILED, INTERRUPTED, UNKNOWN, Snapshot
from state.stores.base import HistoryEntry, Store, saves_by_run
from state.stores.opening import open_store
from state.stores.sqlite import SqliteStore
from tests.state.conftest import (
    AT,
    STACK,
    FakeTime,
    MakeStore,
    count,
    counting,
    intent,
    resource,
    run,
    snapshot,
)

NEVER = 3600.0  # seconds between heartbeats, for tests without any


def save(store: Store, state: Snapshot, *, expected: int, lock: Lock | None = None) -> Snapshot:
    return store.save(state, expected_serial=expected, lock=lock)


# -- state


def test_a_new_store_is_empty(store: Store) -> None:
    assert store.load(STACK) is None
    assert store.load_at(STACK, 1) is None
    assert store.history(STACK, 10) == []
    assert store.stacks() == []
    assert store.holder(STACK) is None
    assert store.unlock(STACK) is None


def test_other_processes_load_a_save(make_store: MakeStore) -> None:
    state = snapshot(resource("image/app"), resource("processing/app", "image/app", a=[1, {"é": None}]))
    state = state.with_intent(intent("model/M", fields={"name": "M"}))
    saved = save(make_store(), state, expected=0)
    assert saved == state
    assert make_store().load(STACK) == state


def test_the_stored_serial_is_one_more_than_the_expected_one(store: Store) -> None:
    assert save(store, replace(counting(1), serial=7), expected=0).serial == 1
    assert save(store, replace(counting(2), serial=7), expected=1).serial == 2
    assert [entry.serial for entry in store.history(STACK, 10)] == [2, 1]


def test_a_stale_save_is_refused_with_both_serials(make_store: MakeStore) -> None:
    one, other = make_store(), make_store()
    save(one, counting(1), expected=0)
    save(other, counting(2), expected=1)
    with pytest.raises(SerialConflictError) as caught:
        save(one, counting(3), expected=1)
    assert (caught.value.expected, caught.value.stored) == (1, 2)
    assert count(one.load(STACK)) == 2


@pytest.mark.parametrize(("stored", "expected"), [(1, 0), (0, 1)])
def test_a_first_save_requires_no_state_and_a_later_one_requires_it(
    store: Store, stored: int, expected: int
) -> None:
    for _ in range(stored):
        save(store, counting(1), expected=0)
    with pytest.raises(SerialConflictError) as caught:
        save(store, counting(2), expected=expected)
    assert (caught.value.expected, caught.value.stored) == (expected, stored)


def test_state_of_another_lineage_is_not_overwritten(store: Store) -> None:
    save(store, counting(1), expected=0)
    with pytest.raises(LineageConflictError) as caught:
        save(store, replace(counting(2), lineage="lineage-2"), expected=1)
    assert (caught.value.expected, caught.value.stored) == ("lineage-2", "lineage-1")
    assert count(store.load(STACK)) == 1


def test_invalid_state_is_not_saved(store: Store) -> None:
    save(store, counting(1), expected=0)
    with pytest.raises(InvalidSnapshotError) as caught:
        save(store, counting(2).with_resource(resource("model/M", "model/N")), expected=1)
    assert [problem.split()[0] for problem in caught.value.problems] == ["I9"]
    assert count(store.load(STACK)) == 1


def test_stacks_are_independent(store: Store) -> None:
    save(store, replace(counting(1), stack="org@PROD/b", lineage="l1"), expected=0)
    save(store, replace(counting(2), stack="org@PROD/a", lineage="l2"), expected=0)
    assert store.stacks() == ["org@PROD/a", "org@PROD/b"]
    assert count(store.load("org@PROD/a")) == 2
    assert [entry.serial for entry in store.history("org@PROD/b", 10)] == [1]


def test_the_history_has_author_command_and_time(store: Store) -> None:
    save(store, counting(1), expected=0)
    job = "https://ci.example.com/jobs/7"
    info = run("ada", host="build-9", command="reconciler apply app", git_commit="c0ffee", ci=job)
    with store.lock(STACK, info, timeout=0) as lock:
        save(store, replace(counting(2), written_by="0.2.0"), expected=1, lock=lock)
    assert store.history(STACK, 10) == [
        HistoryEntry(
            2, "lineage-1", AT, "0.2.0", "ada", "build-9", "reconciler apply app", "c0ffee", job, "ada"
        ),
        HistoryEntry(1, "lineage-1", AT, "0.1.0", "", "", "", ""),
    ]
    assert [entry.serial for entry in store.history(STACK, 1)] == [2]


def test_every_serial_can_be_loaded_again(make_store: MakeStore) -> None:
    """After additions, changes and removals by two alternating runs."""
    stores = [make_store(), make_store()]
    state, saved = snapshot(resource("image/app")), []
    for serial in range(36):
        name = f"input/app/{serial % 7}"
        state = state.without_resource(name) if name in state.resources else state.with_resource(
            resource(name, "image/app", value=serial)
        )  # fmt: skip
        state = state.with_intent(intent(name)) if serial % 2 else state.without_intent("input/app/3")
        state = save(stores[serial // 12 % 2], state, expected=serial)
        saved.append(state)
    for store in (*stores, make_store()):
        assert [store.load_at(STACK, serial) for serial in range(1, 37)] == saved
        assert store.load(STACK) == saved[-1]
        assert store.load_at(STACK, 37) is None


# -- runs


def test_saves_are_grouped_by_run_and_saves_of_no_run_are_single(store: Store) -> None:
    for serial, who in enumerate(["ada", "ada", "", "", "bob", "ada"]):
        with store.lock(STACK, run(who or "nobody", id=who), timeout=0) as lock:
            save(store, counting(serial), expected=serial, lock=lock)
    told = [[entry.serial for entry in saves] for saves in saves_by_run(store, STACK)]
    assert told == [[6], [5], [4], [3], [2, 1]]


def test_runs_are_read_lazily_despite_concurrent_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damaged = 295

    def history(stack: str, limit: int) -> list[HistoryEntry]:
        """Like a bucket, it leaves out damaged saves."""
        asked.append(limit)
        return [entry for entry in everything(stack, limit) if entry.serial != damaged]

    asked: list[int] = []
    with SqliteStore(tmp_path / "state.db") as store:
        everything = store.history
        monkeypatch.setattr(store, "history", history)
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            for serial in range(200):
                save(store, counting(serial), expected=serial, lock=lock)
        for serial in range(200, 300):
            save(store, counting(serial), expected=serial)
        found = saves_by_run(store, STACK)
        told = [next(found)]
        assert max(asked) < 200
        save(store, counting(300), expected=300)
        told += found
    alone = [(serial,) for serial in range(300, 200, -1) if serial != damaged]
    assert [tuple(entry.serial for entry in saves) for saves in told] == [*alone, tuple(range(200, 0, -1))]


# -- the lock


def test_a_lock_has_a_holder_until_its_block_ends(make_store: MakeStore) -> None:
    other = make_store()
    with make_store().lock(STACK, run("ada"), timeout=0) as lock:
        assert (lock.stack, lock.info, lock.previous_holder, lock.lost) == (STACK, run("ada"), None, False)
        assert other.holder(STACK) == run("ada")
    assert other.holder(STACK) is None
    assert other.dead_holder(STACK) is None


def test_a_lock_is_released_when_its_block_fails(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.lock(STACK, run("ada"), timeout=0):
        raise ZeroDivisionError
    assert store.holder(STACK) is None


def test_a_second_run_gives_up_after_its_timeout_and_names_the_holder(
    make_store: MakeStore, time: FakeTime
) -> None:
    one, other = (make_store(clock=time.clock, sleep=time.sleep) for _ in range(2))
    told: list[LockInfo] = []
    with one.lock(STACK, run("ada"), timeout=0, every=NEVER):
        began = time.now
        with (
            pytest.raises(LockedError) as caught,
            other.lock(STACK, run("bob"), timeout=7.3, on_wait=told.append),
        ):
            pass
        assert time.now - began == pytest.approx(7.3)
    assert caught.value.holder == run("ada")
    assert told == [run("ada")]
    assert "ada@build-1 (process 7) since 2025-03-01" in caught.value.message
    assert STACK in caught.value.hint


def test_without_a_timeout_there_is_no_sleep(make_store: MakeStore) -> None:
    def sleep(_: float) -> None:
        pytest.fail("slept")

    with make_store().lock(STACK, run("ada"), timeout=0), pytest.raises(LockedError):
        make_store(sleep=sleep).lock(STACK, run("bob"), timeout=0).__enter__()


def test_a_second_run_gets_the_lock_when_the_first_one_ends(make_store: MakeStore, time: FakeTime) -> None:
    first = make_store(clock=time.clock).lock(STACK, run("ada"), timeout=0, every=NEVER)
    first.__enter__()

    def sleep(seconds: float) -> None:
        time.sleep(seconds)
        first.__exit__(None, None, None)

    with make_store(clock=time.clock, sleep=sleep).lock(STACK, run("bob"), timeout=60) as lock:
        assert lock.previous_holder is None


def test_two_stacks_are_locked_apart(store: Store) -> None:
    with store.lock("org@PROD/a", run("ada"), timeout=0), store.lock("org@PROD/b", run("bob"), timeout=0):
        assert store.holder("org@PROD/a") == run("ada")
        assert store.holder("org@PROD/b") == run("bob")


def test_an_expired_lock_is_taken_over_and_its_holder_can_no_longer_write(
    make_store: MakeStore, time: FakeTime
) -> None:
    one, other = (make_store(clock=time.clock, sleep=time.sleep) for _ in range(2))
    with one.lock(STACK, run("ada"), timeout=0, ttl=30, every=NEVER) as lost:
        save(one, counting(1), expected=0, lock=lost)
        time.now += 29
        with pytest.raises(LockedError):
            other.lock(STACK, run("bob"), timeout=0).__enter__()
        assert other.dead_holder(STACK) is None
        time.now += 1
        assert other.holder(STACK) is None
        assert other.dead_holder(STACK) == run("ada")
        with other.lock(STACK, run("bob"), timeout=0, every=NEVER) as lock:
            assert lock.previous_holder == run("ada")
            assert one.dead_holder(STACK) is None
            with pytest.raises(LostLockError) as caught:
                save(one, counting(2), expected=1, lock=lost)
            assert caught.value.holder == run("bob")
            save(other, counting(3), expected=1, lock=lock)
    assert count(one.load(STACK)) == 3


def test_ending_does_not_release_a_lock_that_another_run_took_over(
    make_store: MakeStore, time: FakeTime
) -> None:
    store = make_store(clock=time.clock)
    first = store.lock(STACK, run("ada"), timeout=0, ttl=30, every=NEVER)
    first.__enter__()
    time.now += 30
    with store.lock(STACK, run("bob"), timeout=0, every=NEVER):
        first.__exit__(None, None, None)
        assert store.holder(STACK) == run("bob")


def test_the_holder_of_an_expired_lock_can_write_until_it_is_taken_over(
    make_store: MakeStore, time: FakeTime
) -> None:
    store = make_store(clock=time.clock)
    with store.lock(STACK, run("ada"), timeout=0, ttl=30, every=NEVER) as lock:
        time.now += 3600  # the laptop slept
        assert save(store, counting(1), expected=0, lock=lock).serial == 1


def test_a_long_timeout_outlives_a_dead_run(make_store: MakeStore, time: FakeTime) -> None:
    one, other = (make_store(clock=time.clock, sleep=time.sleep) for _ in range(2))
    with (
        one.lock(STACK, run("ada"), timeout=0, ttl=30, every=NEVER),
        other.lock(STACK, run("bob"), timeout=60, every=NEVER) as lock,
    ):
        assert lock.previous_holder == run("ada")


def test_a_forced_unlock_stops_the_holder(make_store: MakeStore) -> None:
    store = make_store()
    with store.lock(STACK, run("ada"), timeout=0) as lock:
        assert make_store().unlock(STACK) == run("ada")
        assert store.holder(STACK) is None
        with pytest.raises(LostLockError) as caught:
            save(store, counting(1), expected=0, lock=lock)
        assert caught.value.holder is None
        assert "by force" in caught.value.message
    assert store.load(STACK) is None


def test_a_removed_lock_names_its_holder_until_another_run_has_finished(make_store: MakeStore) -> None:
    """The next run has to know what the dead one was about to do."""
    store, other = make_store(), make_store()
    with store.lock(STACK, run("ada"), timeout=0):
        assert other.unlock(STACK) == run("ada")
        assert other.unlock(STACK) is None, "it is removed already"
        assert make_store().holder(STACK) is None
        assert make_store().dead_holder(STACK) == run("ada")
    with other.lock(STACK, run("bob"), timeout=0) as lock:
        assert lock.previous_holder == run("ada")
        assert make_store().dead_holder(STACK) is None
        assert store.unlock(STACK) == run("bob")
    with other.lock(STACK, run("cid"), timeout=0) as lock:
        assert lock.previous_holder == run("bob")
    assert make_store().dead_holder(STACK) is None


def test_the_same_run_with_a_new_lock_does_not_revive_the_old_one(store: Store) -> None:
    with store.lock(STACK, run("ada"), timeout=0) as old:
        store.unlock(STACK)
        with store.lock(STACK, run("ada"), timeout=0), pytest.raises(LostLockError):
            save(store, counting(1), expected=0, lock=old)


def test_the_heartbeat_keeps_a_lock_from_expiring(make_store: MakeStore, time: FakeTime) -> None:
    """Each beat extends the lock by `ttl`; the clock advances after each effective beat."""
    store, other = make_store(clock=time.clock), make_store(clock=time.clock)
    with store.lock(STACK, run("ada"), timeout=0, ttl=30, every=0.001):
        for _ in range(5):
            time.now += 29
            later = time.now + 29
            while make_store(clock=lambda at=later: at).holder(STACK) is None:
                assert other.holder(STACK) == run("ada")


def test_the_heartbeat_reports_a_lost_lock(make_store: MakeStore) -> None:
    store = make_store()
    with store.lock(STACK, run("ada"), timeout=0, every=0.001) as lock:
        assert not lock.lost
        store.unlock(STACK)
        assert lock._lost.wait(60)


def test_a_busy_store_does_not_end_the_heartbeat() -> None:
    lock = Lock(STACK, run("ada"), fence=1)
    beats = []
    enough = threading.Event()

    def renew(_: Lock) -> None:
        beats.append(1)
        if len(beats) == 3:
            enough.set()
        raise StoreUnavailableError("busy")

    with heartbeat(lock, renew, every=0.001):
        assert enough.wait(60)
    assert not lock.lost
    assert not any(thread.name.startswith("heartbeat") for thread in threading.enumerate())


# -- opening a store


def test_a_closed_store_opens_again(store: Store) -> None:
    save(store, counting(1), expected=0)
    store.close()
    store.close()
    assert count(store.load(STACK)) == 1


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("some/state.db", "some/state.db"),
        ("/some/state.db", "/some/state.db"),
        ("sqlite:///some/state.db", "some/state.db"),
        ("sqlite:////some/state.db", "/some/state.db"),
        (r"C:\some\state.db", r"C:\some\state.db"),
    ],
)
def test_a_path_or_a_url_names_the_file(url: str, path: str) -> None:
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert str(store.path) == path


@pytest.mark.parametrize("url", [None, ""])
def test_the_file_is_in_the_users_state_folder_by_default(
    url: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setattr("platformdirs.user_state_path", lambda name: folder / name)
    store = open_store(url)
    assert isinstance(store, SqliteStore)
    assert store.path == folder / "reconciler" / "state.db"
    assert not store.path.parent.exists()


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///prefix", "postgres://host/db", "sqlite://state.db", "sqlite:///"]
)
def test_an_unknown_store_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_store(url)
    assert url.partition(":")[0] in caught.value.message
    assert "sqlite:///relative/path" in caught.value.hint


def test_outlines_are_those_of_the_states(store: Store) -> None:
    state, half = snapshot(resource("processing/app")), "half \ud800 a pair"
    with store.lock(STACK, run("ada"), timeout=0) as lock:
        for serial, changed in enumerate(
            [
                replace(state, outcome=APPLIED),
                state.with_resource(resource("image/app", version="1.0.0")).with_intent(intent("model/M")),
                replace(state.with_resource(resource("image/app", version="1.0.0")), outcome=FAILED),
                replace(
                    state.with_resource(resource("image/app", version="1.1.0")), restores=1, outcome=APPLIED
                ),
                replace(state.with_resource(resource("image/b", version="2", a=half)), outcome=APPLIED),
                replace(state, outcome=INTERRUPTED).with_intent(intent("model/M")),
            ]
        ):
            state = save(store, changed, expected=serial, lock=lock)
    wanted = [1, 2, 3, 4, 5, 6, 7]
    found = store.outlines(STACK, wanted)
    assert found[4] == Outline(APPLIED, 1, is_open=False, version="1.1.0")
    for serial in wanted:
        loaded = store.load_at(STACK, serial)
        if serial not in found:
            assert loaded is None or loaded.outcome == UNKNOWN or serial >= 5  # which SQLite reads slowly
            continue
        assert loaded is not None
        images = [one for one in loaded.resources.values() if one.kind == "image"]
        version = images[0].inputs["version"] if images else ""
        assert found[serial] == Outline(loaded.outcome, loaded.restores, bool(loaded.intents), version)
    assert {1, 3, 4} <= {*found}
    assert store.outlines(STACK, []) == {}
    assert store.outlines("my-org@STAGING/other", [1]) == {}
