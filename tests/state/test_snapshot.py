"""A snapshot is an immutable value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from state.persistent_map import PersistentMap
from state.snapshot import JSON, RecordedResource, Snapshot, difference
from tests.state.conftest import STACK, intent, resource, snapshot


def test_new_state_is_empty_and_has_no_serial() -> None:
    new = Snapshot.new(STACK, "lineage-1")
    assert (new.stack, new.lineage, new.serial) == (STACK, "lineage-1", 0)
    assert not new.resources
    assert not new.intents


def test_every_change_makes_a_new_snapshot_and_leaves_the_old_one() -> None:
    old = snapshot(resource("processing/app"))
    assert set(old.with_resource(resource("input/app/data")).resources) == {
        "input/app/data",
        "processing/app",
    }
    assert not old.without_resource("processing/app").resources
    opened = old.with_intent(intent("model/M"))
    assert set(opened.intents) == {"model/M"}
    assert not opened.without_intent("model/M").intents
    assert old == snapshot(resource("processing/app"))


def test_a_new_intent_replaces_the_open_one_of_its_address() -> None:
    state = snapshot().with_intent(intent("model/M", run="run-1")).with_intent(intent("model/M", run="run-2"))
    assert [i.run for i in state.intents.values()] == ["run-2"]


def test_removing_a_missing_entry_changes_nothing() -> None:
    old = snapshot(resource("processing/app"))
    assert not difference(old, old.without_resource("model/M").without_intent("model/M"))


def test_removing_a_resource_removes_the_dependencies_on_it() -> None:
    old = snapshot(
        resource("image/app"),
        resource("processing/app", "image/app"),
        resource("input/app/data", "processing/app"),
    )
    new = old.without_resource("image/app")
    assert new.resources["processing/app"].depends_on == ()
    assert new.resources["input/app/data"].depends_on == ("processing/app",)


def test_later_changes_of_a_callers_dict_do_not_change_the_snapshot() -> None:
    flags = ["--gpus=all"]
    inputs: dict[str, JSON] = {"docker_flags": flags}
    recorded = RecordedResource("processing/app", "processing", "1", inputs, inputs)
    opened = intent("processing/app", fields=inputs)
    flags.append("--ipc=host")
    inputs["description"] = "new"
    assert recorded.inputs == recorded.outputs == opened.fields == {"docker_flags": ["--gpus=all"]}


@pytest.mark.parametrize(("before", "after"), [(1, True), (1, 1.0), ([0], [False]), ({"a": 1}, {"a": 1.0})])
def test_values_that_only_python_calls_equal_are_a_difference(before: object, after: object) -> None:
    old, new = (snapshot(resource("processing/app", value=value)) for value in (before, after))
    assert list(difference(old, new).resources) == ["processing/app"]


def test_the_author_is_not_a_difference() -> None:
    state = snapshot(resource("processing/app"))
    assert not difference(state, state.written(serial=9, by="2.0.0", at="2026-01-01T00:00:00+00:00"))


KEYS = st.text("abc", max_size=3)


@given(st.lists(st.tuples(KEYS, st.one_of(st.none(), st.integers()))))
def test_a_persistent_map_behaves_like_a_dict(changes: list[tuple[str, int | None]]) -> None:
    """None means that the key is dropped."""
    plain: dict[str, int] = {}
    shared: PersistentMap[int] = PersistentMap()
    for key, value in changes:
        before, before_plain = shared, dict(plain)
        if value is None:
            plain.pop(key, None)
            shared = shared.drop(key)
        else:
            plain[key] = value
            shared = shared.put(key, value)
        assert dict(before) == before_plain
        assert len(shared) == len(plain)
        assert list(shared) == sorted(plain)
        assert shared == plain == PersistentMap(plain)


@given(*[st.dictionaries(KEYS, st.integers())] * 2)
def test_changed_keys_are_those_with_another_value(one: dict[str, int], two: dict[str, int]) -> None:
    before = PersistentMap({key: (value,) for key, value in one.items()})
    after = before
    for key in one.keys() - two.keys():
        after = after.drop(key)
    for key, value in two.items():
        if one.get(key) != value:
            after = after.put(key, (value,))
    assert after.keys_changed_since(before) == sorted(
        k for k in one.keys() | two.keys() if one.get(k) != two.get(k)
    )
