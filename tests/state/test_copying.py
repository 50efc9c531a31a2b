"""Copies state from one store to another, with its history."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from providers.table import EXCLUSIVE
from state.copying import CopyResult, copy_states
from state.errors import LineageConflictError, StaleStateError
from state.stores.base import Store
from state.stores.bucket import BucketStore
from state.stores.bucket_layout import digits, history_folder
from state.stores.opening import open_store
from state.stores.sqlite import SqliteStore
from tests.state.conftest import STACK, MakeStore, count, counting, run
from tests.state.test_sqlite import change
from tests.state.test_store import save


@pytest.fixture
def source(tmp_path: Path) -> SqliteStore:
    """Three saves, two of them by a run."""
    store = SqliteStore(tmp_path / "source.db")
    save(store, counting(1), expected=0)
    with store.lock(STACK, run("ada", git_commit="c0ffee", ci="job 7"), timeout=0) as lock:
        save(store, counting(2), expected=1, lock=lock)
        save(store, counting(3), expected=2, lock=lock)
    return store


def check_same(source: Store, target: Store) -> None:
    assert target.stacks() == source.stacks()
    for stack in source.stacks():
        assert target.history(stack, 100) == source.history(stack, 100)
        for entry in source.history(stack, 100):
            assert target.load_at(stack, entry.serial) == source.load_at(stack, entry.serial)


def test_the_copy_is_complete_and_usable(source: SqliteStore, store: Store) -> None:
    save(source, replace(counting(7), stack="org@PROD/other", lineage="lineage-2"), expected=0)
    assert [done.serials for done in copy_states(source, store, EXCLUSIVE)] == [(1, 2, 3), (1,)]
    check_same(source, store)
    save(store, counting(4), expected=3)
    assert [count(store.load_at(STACK, serial)) for serial in range(1, 5)] == [1, 2, 3, 4]


def test_a_store_exists_from_the_first_save_on(make_store: MakeStore) -> None:
    store = make_store()
    assert not store.exists()
    save(store, counting(1), expected=0)
    assert store.exists()


def test_a_copy_can_be_copied_back(source: SqliteStore, store: Store, tmp_path: Path) -> None:
    list(copy_states(source, store, EXCLUSIVE))
    with SqliteStore(tmp_path / "back.db") as back:
        list(copy_states(store, back, EXCLUSIVE))
        check_same(source, back)


def test_a_second_copy_adds_the_new_saves(source: SqliteStore, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "target.db") as target:
        list(copy_states(source, target, EXCLUSIVE))
        assert list(copy_states(source, target, EXCLUSIVE)) == [CopyResult(STACK, (), ())]
        save(source, counting(4), expected=3)
        assert list(copy_states(source, target, EXCLUSIVE)) == [CopyResult(STACK, (4,), ())]
        check_same(source, target)


def test_damaged_and_missing_saves_are_left_out(source: SqliteStore, make_store: MakeStore) -> None:
    change(source.path, "DELETE FROM contents WHERE serial = 1")
    change(source.path, "UPDATE contents SET body = x'00' WHERE serial = 3")
    with open_store(str(source.path)) as damaged, make_store() as target:
        (copied,) = copy_states(damaged, target, EXCLUSIVE)
        assert (copied.serials, copied.left_out) == ((2,), (1, 3))
        assert "damaged" in copied.damage
        assert count(target.load(STACK)) == 2
        assert [entry.serial for entry in target.history(STACK, 10)] == [2]
        save(target, counting(5), expected=2)
        assert [entry.serial for entry in target.history(STACK, 10)] == [3, 2]


def test_other_state_is_not_overwritten_by_a_copy(source: SqliteStore, tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "target.db") as target:
        save(target, replace(counting(9), lineage="lineage-9"), expected=0)
        with pytest.raises(LineageConflictError):
            list(copy_states(source, target, EXCLUSIVE))
        assert count(target.load(STACK)) == 9


@pytest.mark.parametrize("saves", [1, 4])
def test_newer_and_diverged_state_is_not_overwritten_by_a_copy(
    source: SqliteStore, tmp_path: Path, saves: int
) -> None:
    """The other stacks are not copied either."""
    save(source, replace(counting(7), stack="a@PROD/before", lineage="lineage-2"), expected=0)
    with SqliteStore(tmp_path / "target.db") as target:
        for serial in range(saves):
            save(target, counting(90 + serial), expected=serial)
        with pytest.raises(StaleStateError) as caught:
            list(copy_states(source, target, EXCLUSIVE))
        assert "nothing was copied" in caught.value.hint
        assert count(target.load(STACK)) == 90 + saves - 1
        assert target.stacks() == [STACK]


@pytest.mark.parametrize(
    "damage", ["DELETE FROM contents WHERE serial = 3", "UPDATE contents SET body = x'00' WHERE serial = 3"]
)
def test_a_second_time_works_although_the_last_copied_save_is_damaged_now(
    source: SqliteStore, make_store: MakeStore, damage: str
) -> None:
    """It is in the target, and the history identifies it."""
    with make_store() as target:
        list(copy_states(source, target, EXCLUSIVE))
        change(source.path, damage)
        with SqliteStore(source.path) as later:
            save(later, counting(4), expected=3)
            assert list(copy_states(later, target, EXCLUSIVE)) == [CopyResult(STACK, (4,), ())]
        assert [count(target.load_at(STACK, serial)) for serial in (3, 4)] == [3, 4]


def test_a_damaged_save_hides_no_other_history(source: SqliteStore, store: Store) -> None:
    for serial in range(3):
        save(store, counting(90 + serial), expected=serial)
    change(source.path, "DELETE FROM contents WHERE serial = 3")
    save(source, counting(4), expected=3)
    with pytest.raises(StaleStateError, match="serial 3 differs"):
        list(copy_states(source, store, EXCLUSIVE))
    assert count(store.load(STACK)) == 92


def test_a_save_that_is_gone_from_the_source_is_named(
    source: SqliteStore, store: Store, tmp_path: Path
) -> None:
    """Without it, nothing shows that the source continues the target."""
    list(copy_states(source, store, EXCLUSIVE))
    with SqliteStore(tmp_path / "target.db") as target:
        list(copy_states(source, target, EXCLUSIVE))
        save(store, counting(4), expected=3)
        _lose(store, serial=3)
        with pytest.raises(StaleStateError, match=r"serial 3 of .* cannot be compared") as caught:
            list(copy_states(store, target, EXCLUSIVE))
        assert "empty target" in caught.value.hint


def _lose(store: Store, serial: int) -> None:
    if isinstance(store, SqliteStore):
        change(store.path, f"DELETE FROM contents WHERE serial = {serial}")
        change(store.path, f"DELETE FROM saves WHERE serial = {serial}")
        return
    assert isinstance(store, BucketStore)
    (name,) = store.objects.names(history_folder(STACK), since=digits(serial), until=digits(serial + 1))
    store.objects.put(f"{history_folder(STACK)}/{name}", b"{")
    store.close()
