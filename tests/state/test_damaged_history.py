"""Every store reports each save that is missing or damaged, and a head that is older than its history."""

from collections.abc import Callable, Mapping

import pytest
from msgspec.structs import replace

from providers.table import EXCLUSIVE
from state.copying import copy_states
from state.errors import CorruptStateError, StoreUnavailableError
from state.stores.base import ALL_SAVES, Store
from state.stores.bucket import BucketStore
from state.stores.bucket_layout import digits, head_path, history_folder
from state.stores.objects import Objects
from state.stores.sqlite import SqliteStore
from tests.state.conftest import STACK, MakeStore, count, counting, run
from tests.state.test_bucket import Disturbed, no_answer, once
from tests.state.test_sqlite import change
from tests.state.test_store import save

SAVES = 5
BODIES: Mapping[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda _: b"",
    "junk": lambda _: b"junk",
    "truncated": lambda body: body[:100],
    "missing": lambda _: None,
}


def fill(store: Store, saves: int = SAVES) -> None:
    for serial in range(saves):
        save(store, counting(serial + 1), expected=serial)


def replace_object(objects: Objects, path: str, body: bytes | None) -> None:
    if body is None:
        objects._open_client().delete(path)
    else:
        objects.put(path, body)


def body_of(objects: Objects, path: str) -> bytes:
    found = objects.get(path)
    assert found is not None
    return found.body


def path_of(objects: Objects, serial: int) -> str:
    folder = history_folder(STACK)
    (name,) = objects.names(folder, since=digits(serial), until=digits(serial + 1))
    return f"{folder}/{name}"


def damage(store: Store, body: Callable[[bytes], bytes | None], serials: range) -> None:
    """Damages these saves: their objects, or in a file the rows of the history."""
    if isinstance(store, SqliteStore):
        change(store.path, f"DELETE FROM saves WHERE serial BETWEEN {serials[0]} AND {serials[-1]}")
        return
    assert isinstance(store, BucketStore)
    for serial in serials:
        path = path_of(store.objects, serial)
        replace_object(store.objects, path, body(body_of(store.objects, path)))


def check_reported(store: Store) -> None:
    with pytest.raises(CorruptStateError, match=STACK):
        store.check_history(STACK, ALL_SAVES)


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize(
    "serials", [range(5, 6), range(3, 4), range(1, 2), range(4, 6), range(1, 6)], ids=str
)
def test_no_damaged_save_is_left_out_silently(make_store: MakeStore, what: str, serials: range) -> None:
    with make_store() as store:
        fill(store)
        store.check_history(STACK, ALL_SAVES)
        damage(store, BODIES[what], serials)
    with make_store() as store:
        check_reported(store)
        if newer := SAVES - serials[-1]:
            store.check_history(STACK, newer)


@pytest.mark.parametrize("what", BODIES)
def test_a_copy_reports_every_damaged_save(
    make_store: MakeStore, what: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with make_store() as store:
        fill(store)
        damage(store, BODIES[what], range(3, 4))
    with make_store() as store, SqliteStore(tmp_path_factory.mktemp("copy") / "target.db") as target:
        (copied,) = copy_states(store, target, EXCLUSIVE)
        assert "damaged" in copied.damage
        assert copied.serials == (1, 2, 4, 5)


def test_a_stack_without_state_has_no_damage(store: Store) -> None:
    store.check_history(STACK, ALL_SAVES)
    with store.lock(STACK, run("ada"), timeout=0):
        pass
    store.check_history(STACK, ALL_SAVES)
    assert store.history(STACK, ALL_SAVES) == []


@pytest.mark.parametrize("what", BODIES)
def test_a_damaged_head_is_reported(place: str, what: str) -> None:
    objects = Objects(place)
    with BucketStore(objects) as store:
        fill(store)
    replace_object(objects, head_path(STACK), BODIES[what](body_of(objects, head_path(STACK))))
    with BucketStore(objects) as store:
        check_reported(store)


def go_back(place: str, to: int) -> Objects:
    """A stack with five saves and the head that it had after one of them."""
    objects = Objects(place)
    with BucketStore(objects) as store:
        fill(store, to)
        older = body_of(objects, head_path(STACK))
        for serial in range(to, SAVES):
            save(store, counting(serial + 1), expected=serial)
    objects.put(head_path(STACK), older)
    return objects


@pytest.mark.parametrize("to", [1, 2, 3])
def test_an_older_head_is_reported_and_nothing_is_written_on_it(
    place: str, to: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    objects = go_back(place, to)
    older, names = body_of(objects, head_path(STACK)), objects.names(history_folder(STACK))
    with BucketStore(objects) as store:
        with pytest.raises(CorruptStateError, match=f"of serial {to}, .*to serial 5"):
            store.check_history(STACK, 1)
        with pytest.raises(CorruptStateError) as caught, store.lock(STACK, run("ada"), timeout=0):
            pytest.fail("locked")
        assert "reconciler state copy FROM TO" in caught.value.hint
        assert head_path(STACK) in caught.value.hint
        assert (body_of(objects, head_path(STACK)), objects.names(history_folder(STACK))) == (older, names)

        with SqliteStore(tmp_path_factory.mktemp("copy") / "target.db") as target:  # the first way out
            (copied,) = copy_states(store, target, EXCLUSIVE)
            assert copied.serials == (1, 2, 3, 4, 5)
            assert "damaged" in copied.damage
            assert count(target.load(STACK)) == 5
            save(target, counting(6), expected=5)
            with pytest.raises(CorruptStateError):  # as a target, too
                list(copy_states(target, store, EXCLUSIVE))
    assert (body_of(objects, head_path(STACK)), objects.names(history_folder(STACK))) == (older, names)


def test_the_newest_head_that_is_put_back_continues(place: str) -> None:
    objects = Objects(place)
    with BucketStore(objects) as store:
        fill(store, 2)
        older = body_of(objects, head_path(STACK))
        for serial in range(2, SAVES):
            save(store, counting(serial + 1), expected=serial)
    newest = body_of(objects, head_path(STACK))
    objects.put(head_path(STACK), older)
    with BucketStore(objects) as store:
        check_reported(store)
    objects.put(head_path(STACK), newest)
    with BucketStore(objects) as store:
        store.check_history(STACK, ALL_SAVES)
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            save(store, counting(6), expected=5, lock=lock)
        assert [entry.serial for entry in store.history(STACK, 10)] == [6, 5, 4, 3, 2, 1]


def test_what_a_save_or_a_copy_that_was_cut_off_leaves_is_no_damage(place: str) -> None:
    objects = Disturbed(place)
    with BucketStore(objects) as store:
        fill(store, 2)
        entry = store.history(STACK, 1)[0]
        for serial in (3, 9):  # a copy leaves out serials that are damaged in the source
            objects.before = once(no_answer)
            with pytest.raises(StoreUnavailableError):
                store.copy_in(
                    counting(3) if serial == 3 else replace(counting(9), serial=9),
                    replace(entry, serial=serial),
                    expected_serial=2,
                )
    with BucketStore(Objects(place)) as store:
        store.check_history(STACK, ALL_SAVES)
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            save(store, counting(3), expected=2, lock=lock)
        assert [entry.serial for entry in store.history(STACK, 10)] == [3, 2, 1]


def test_a_name_that_is_used_again_after_a_move_is_no_damage(place: str) -> None:
    with BucketStore(Objects(place)) as store:
        fill(store)
        store.move(STACK, "my-org@STAGING/other")
        store.check_history(STACK, ALL_SAVES)
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            save(store, replace(counting(1), lineage="lineage-2"), expected=0, lock=lock)
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            save(store, replace(counting(2), lineage="lineage-2"), expected=1, lock=lock)
        for stack in (STACK, "my-org@STAGING/other"):
            store.check_history(stack, ALL_SAVES)
        assert [entry.serial for entry in store.history(STACK, 10)] == [2, 1]


def test_a_check_beside_a_run_that_saves_finds_no_damage(place: str) -> None:
    """The other run saves after this one's read of the head and before its list."""

    class Overtaken(Objects):
        def names(self, folder: str, since: str = "", until: str = "") -> list[str]:
            if pending:
                pending.pop()
                with BucketStore(Objects(place)) as other:
                    for serial in range(2, 5):
                        save(other, counting(serial + 1), expected=serial)
            return super().names(folder, since, until)

    pending: list[bool] = []
    with BucketStore(Objects(place)) as store:
        fill(store, 2)
    with BucketStore(Overtaken(place)) as store:
        pending.append(True)
        store.check_history(STACK, ALL_SAVES)
    assert not pending


def test_a_lock_costs_one_more_request(place: str) -> None:
    listed: list[str] = []

    class Counted(Objects):
        def names(self, folder: str, since: str = "", until: str = "") -> list[str]:
            listed.append(folder)
            return super().names(folder, since, until)

        def folders(self) -> list[str]:
            listed.append("folders")
            return super().folders()

    with BucketStore(Objects(place)) as store:
        fill(store, 2)
    with BucketStore(Counted(place)) as store:
        assert count(store.load(STACK)) == 2
        assert listed == []
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            save(store, counting(3), expected=2, lock=lock)
            save(store, counting(4), expected=3, lock=lock)
        assert listed == [history_folder(STACK)]
