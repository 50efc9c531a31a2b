"""State is renamed with all its history, on each store, also after a killed rename."""

import pickle
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from state.errors import (
    AmbiguousStateError,
    CorruptStateError,
    ExistingStateError,
    LockedError,
    OthersStateError,
    SerialConflictError,
    StaleStateError,
    StateError,
)
from state.renaming import Relation, RenamingStore
from state.snapshot import Snapshot
from state.stores.base import Store
from state.stores.bucket import BucketStore
from state.stores.objects import Objects, Version
from tests.state.conftest import STACK, MakeStore, count, counting, intent, resource, run, snapshot
from tests.state.test_store import save

OLD, OTHER = "my-org@OLD/my_pipeline", "my-org@Other/my_pipeline"


def saved(store: Store, stack: str, *values: int, lineage: str = "lineage-1") -> list[Snapshot]:
    """One run that saves these snapshots."""
    with store.lock(stack, run("ada"), timeout=0) as lock:
        return [
            save(store, replace(counting(value), stack=stack, lineage=lineage), expected=serial, lock=lock)
            for serial, value in enumerate(values)
        ]


def renaming(
    store: Store,
    told: list[str],
    *,
    older: Sequence[str] = (OLD, OTHER),
    relate: Callable[[str, Snapshot], Relation] = lambda stack, state: Relation.SAME,
    proves: bool = True,
) -> RenamingStore:
    return RenamingStore(
        store,
        find_older_names=lambda names: lambda _: [name for name in names if name in older],
        relate=relate,
        belongs=lambda _: proves,
        notify=told.append,
    )


def check_moved(store: Store, before: Sequence[Snapshot]) -> None:
    assert list(store.stacks()) == [STACK]
    assert store.load(OLD) is None
    assert store.history(OLD, 10) == []
    assert [entry.serial for entry in store.history(STACK, 10)] == [s.serial for s in reversed(before)]
    for state in before:
        assert store.load_at(STACK, state.serial) == replace(state, stack=STACK)


def test_a_move_includes_all_history_and_work_continues(make_store: MakeStore) -> None:
    with make_store() as store:
        before = saved(store, OLD, 1, 2, 3)
        entries = store.history(OLD, 10)
        store.move(OLD, STACK)
        check_moved(store, before)
        assert store.history(STACK, 10) == entries
    with make_store() as later:
        check_moved(later, before)
        save(later, counting(4), expected=3)
        assert count(later.load(STACK)) == 4


def test_a_move_requires_a_source_and_a_free_name(store: Store) -> None:
    saved(store, OLD, 1)
    saved(store, STACK, 2)
    with pytest.raises(ExistingStateError):
        store.move(OLD, STACK)
    with pytest.raises(StaleStateError, match="no state"):
        store.move(OTHER, "my-org@new/my_pipeline")
    assert (count(store.load(OLD)), count(store.load(STACK))) == (1, 2)


def test_older_state_is_read_under_its_new_name_and_moved_by_the_first_lock(store: Store) -> None:
    before, told = saved(store, OLD, 1, 2), []
    found = renaming(store, told)
    assert found.load(STACK) == replace(before[-1], stack=STACK)
    assert found.load_at(STACK, 1) == replace(before[0], stack=STACK)
    assert [entry.serial for entry in found.history(STACK, 5)] == [2, 1]
    assert list(store.stacks()) == [OLD], "reading moves nothing"
    assert len(told) == 1

    with found.lock(STACK, run("eve"), timeout=0) as lock:
        check_moved(store, before)
        save(found, counting(3), expected=2, lock=lock)
    assert count(found.load(STACK)) == 3
    assert store.holder(STACK) is store.holder(OLD) is None

    again: list[str] = []
    assert count(renaming(store, again).load(STACK)) == 3
    assert again == [], "it is moved once"


def test_unproven_state_is_reported_and_not_used(store: Store) -> None:
    saved(store, OLD, 1)
    told: list[str] = []
    found = renaming(store, told, proves=False)
    with found.lock(STACK, run("eve"), timeout=0) as lock:
        assert found.load(STACK) is None
        save(found, counting(7), expected=0, lock=lock)
    assert f"reconciler state move {OLD} {STACK}" in told[0]
    assert (count(store.load(OLD)), count(store.load(STACK))) == (1, 7)


def test_two_candidates_are_reported_and_not_used(store: Store) -> None:
    saved(store, OLD, 1)
    saved(store, OTHER, 2, lineage="lineage-2")
    found = renaming(store, [])
    for use in (lambda: found.load(STACK), lambda: found.lock(STACK, run("eve"), timeout=0).__enter__()):
        with pytest.raises(AmbiguousStateError) as caught:
            use()
        assert OLD in caught.value.message
        assert f"reconciler state move {OTHER} {STACK}" in caught.value.hint
    store.move(OTHER, STACK)
    assert count(renaming(store, []).load(STACK)) == 2


def test_own_state_is_used_and_the_other_one_reported(store: Store) -> None:
    saved(store, OLD, 1)
    saved(store, STACK, 2)
    told: list[str] = []
    assert count(renaming(store, told).load(STACK)) == 2
    assert OLD in told[0]


def test_a_lock_that_another_run_holds_on_the_older_name_is_waited_for(store: Store) -> None:
    """An earlier version of reconciler may be running under that name."""
    saved(store, OLD, 1)
    with (
        store.lock(OLD, run("bob"), timeout=0),
        pytest.raises(LockedError, match="bob"),
        renaming(store, []).lock(STACK, run("eve"), timeout=0),
    ):
        raise AssertionError
    assert list(store.stacks()) == [OLD]


def test_state_of_another_stack_is_left_alone_silently(store: Store) -> None:
    saved(store, OLD, 1)
    told: list[str] = []
    found = renaming(store, told, relate=lambda stack, state: Relation.OTHER)
    with found.lock(STACK, run("eve"), timeout=0) as lock:
        assert found.load(STACK) is None
        save(found, counting(7), expected=0, lock=lock)
    assert (count(store.load(OLD)), count(store.load(STACK)), told) == (1, 7, [])


def test_state_that_is_only_similar_is_said_and_not_used(store: Store) -> None:
    saved(store, OLD, 1)
    told: list[str] = []
    found = renaming(store, told, relate=lambda stack, state: Relation.SIMILAR)
    assert found.load(STACK) is None
    assert f"reconciler state move {OLD} {STACK}" in told[0]
    store.move(OLD, STACK)
    assert count(renaming(store, []).load(STACK)) == 1


def test_state_that_another_run_replaced_meanwhile_is_not_moved(store: Store) -> None:
    """An earlier version may save the state of another training under that name before this run locks it."""
    saved(store, OLD, 1)
    found = renaming(
        store, [], relate=lambda _, state: Relation.SAME if count(state) == 1 else Relation.OTHER
    )
    assert count(found.load(STACK)) == 1
    save(store, replace(counting(2), stack=OLD), expected=1)
    with found.lock(STACK, run("eve"), timeout=0):
        assert found.load(STACK) is None
    assert count(store.load(OLD)) == 2


def test_damaged_state_under_an_older_name_stops_only_a_stack_without_state(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the state of that stack. One with state of its own does not need it."""
    saved(store, STACK, 1)
    saved(store, OLD, 2)
    load = type(store).load

    def damaged(self: Store, stack: str) -> Snapshot | None:
        if stack == OLD:
            raise CorruptStateError("damaged", problems=["I1"], hint="restore it")
        return load(self, stack)

    monkeypatch.setattr(type(store), "load", damaged)
    assert count(renaming(store, []).load(STACK)) == 1
    with pytest.raises(CorruptStateError):
        renaming(store, []).load("my-org@STAGING/another")


def test_state_of_a_name_that_stacks_share_is_read_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(store, OLD, 1)
    reads: list[str] = []
    load = type(store).load
    monkeypatch.setattr(type(store), "load", lambda self, stack: (reads.append(stack), load(self, stack))[1])
    found = renaming(store, [], relate=lambda stack, state: Relation.OTHER)
    for number in range(5):
        assert found.load(f"my-org@STAGING/team/training-{number}") is None
    assert reads.count(OLD) == 1


@pytest.mark.parametrize(
    "problem",
    [
        AmbiguousStateError(STACK, [OLD, OTHER]),
        OthersStateError(STACK, ["processing/other"], OTHER),
        ExistingStateError(OLD, STACK),
        LockedError(STACK, run("bob")),
        CorruptStateError("damaged", problems=["I1"], hint="restore it"),
        SerialConflictError(STACK, expected=1, stored=2),
    ],
)
def test_an_error_can_be_pickled(problem: StateError) -> None:
    """Several processes read many pipelines."""
    there = pickle.loads(pickle.dumps(problem))
    assert type(there) is type(problem)
    assert (str(there), vars(there)) == (str(problem), vars(problem))


class Killed(BaseException):
    pass


class Dying(Objects):
    """A bucket whose client is killed before one of its writes.

    Attributes:
        left: writes that are still sent.
    """

    left = 1_000

    def put(self, path: str, body: bytes) -> None:
        self._count()
        super().put(path, body)

    def swap(self, path: str, body: bytes, version: Version | None) -> Version:
        self._count()
        return super().swap(path, body, version)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Killed


def test_a_move_that_is_killed_loses_nothing(place: str) -> None:
    """A rename in a bucket needs several writes, and a kill may prevent each of them."""
    for writes in range(10):
        url, killed = f"{place}/{writes}", False
        objects = Dying(url)
        with BucketStore(objects) as store:
            before = saved(store, OLD, 1, 2)
            objects.left = writes
            try:
                store.move(OLD, STACK)
            except Killed:
                killed = True
        with BucketStore(Objects(url)) as later:
            if STACK not in later.stacks():
                assert later.load(OLD) == before[-1]
                later.move(OLD, STACK)
            assert later.load(STACK) == replace(before[-1], stack=STACK)
            assert later.load_at(STACK, 1) == replace(before[0], stack=STACK)
        if not killed:
            assert writes == 6, "the witness, the new head, two saves, the new head again, the old one"
            return
    raise AssertionError("a move takes fewer writes")


# Former names: the folder of a stack had another stack before


def following(store: Store, told: list[str], *former: str) -> RenamingStore:
    return RenamingStore(
        store,
        find_older_names=lambda _: lambda _: [],
        relate=lambda *_: Relation.OTHER,
        belongs=lambda _: False,
        find_former_names=lambda _: former,
        notify=told.append,
    )


def test_state_under_a_former_name_is_used_and_moved_by_the_first_lock(make_store: MakeStore) -> None:
    told: list[str] = []
    with make_store() as store:
        before = saved(store, OLD, 1, 2)
        found = following(store, told, OLD)
        assert count(found.load(STACK)) == 2
        assert list(store.stacks()) == [OLD], "reading moves nothing"
        with found.lock(STACK, run("ada"), timeout=0) as lock:
            check_moved(store, before)
            save(found, counting(3), expected=2, lock=lock)
        assert count(found.load(STACK)) == 3
    assert [OLD in text for text in told] == [True]


def test_a_stack_with_state_has_no_former_name(store: Store) -> None:
    told: list[str] = []
    saved(store, OLD, 1)
    saved(store, STACK, 7)
    found = following(store, told, OLD)
    with found.lock(STACK, run("ada"), timeout=0):
        assert count(found.load(STACK)) == 7
    assert count(store.load(OLD)) == 1
    assert not told


def test_of_two_former_names_none_is_used(store: Store) -> None:
    told: list[str] = []
    for name in (OLD, OTHER):
        saved(store, name, 1)
    found = following(store, told, OLD, OTHER)
    with found.lock(STACK, run("ada"), timeout=0):
        assert found.load(STACK) is None
    assert list(store.stacks()) == sorted([OLD, OTHER])
    assert len(told) == 1
    assert f"reconciler state move {OLD} {STACK} or reconciler state move {OTHER}" in told[0]


# Addresses of an earlier version


def test_state_has_present_addresses_and_the_next_save_stores_them(make_store: MakeStore) -> None:
    def present(address: str) -> str:
        return address.replace("image/docker.io/", "image/")

    state = snapshot(
        resource("image/docker.io/x/y", version="1.0.0"),
        resource("processing/p", "image/docker.io/x/y"),
    ).with_intent(intent("image/docker.io/x/z"))
    with make_store() as store:
        first = store.save(state, expected_serial=0, lock=None)
        found = RenamingStore(
            store,
            find_older_names=lambda _: lambda _: [],
            relate=lambda *_: Relation.OTHER,
            belongs=lambda _: False,
            notify=lambda _: None,
            present=present,
        )
        loaded = found.load(STACK)
        assert loaded is not None
        assert loaded == found.load_at(STACK, first.serial)
        assert set(loaded.resources) == {"image/x/y", "processing/p"}
        assert loaded.resources["processing/p"].depends_on == ("image/x/y",)
        assert loaded.resources["image/x/y"].inputs == {"version": "1.0.0"}
        assert set(loaded.intents) == {"image/x/z"}
        found.save(loaded, expected_serial=first.serial, lock=None)
        saved_state = make_store().load(STACK)
        assert saved_state is not None
        assert (saved_state.resources, saved_state.intents) == (loaded.resources, loaded.intents)
