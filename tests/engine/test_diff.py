"""The class of three values: every row of the table, and normalising of a platform's formatting."""

import string
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from providers import rules
from providers.rules import FieldRule
from reconciler.core.diff import Change, ChangeClass, Resolution, classify, compare, effective_fields, same
from reconciler.core.values import ABSENT, MISSING

IN_SYNC, PENDING, DRIFT, CONVERGED, CONFLICT, UNRECORDED, UNVERIFIED, _ = ChangeClass

RULES = {
    "description": FieldRule(rules.text),
    "default_cpu": FieldRule(rules.integer),
    "docker_flags": FieldRule(rules.texts, unordered=True),
    "default_parameters": FieldRule(rules.table, keyed=True),
    "type": FieldRule(rules.enum_name),
    "constraint": FieldRule(rules.constraint),
    "framework": FieldRule(rules.configured),
    "token_name": FieldRule(write_only=True),
    "free": FieldRule(),
}


def one(name: str, desired: Any, recorded: Any, live: Any) -> Change:
    """The only change of a resource with only this field. MISSING leaves the field out."""
    sides = ({} if value is MISSING else {name: value} for value in (desired, recorded, live))
    [change] = compare(*sides, RULES)
    return change


def by_path(desired: Any, recorded: Any, live: Any) -> dict[str, ChangeClass]:
    """The classes of `default_parameters`, key by key."""
    sides = (
        None if value is None else {"default_parameters": value} if value is not MISSING else {}
        for value in (desired, recorded, live)
    )
    return {change.path: change.cls for change in compare(*sides, RULES)}  # type: ignore[arg-type]


class TestTheTable:
    @pytest.mark.parametrize(
        ("recorded", "desired", "live", "expected", "written"),
        [
            (4, 4, 4, IN_SYNC, False),
            (4, 8, 4, PENDING, True),
            (4, 4, 2, DRIFT, True),
            (4, 8, 8, CONVERGED, False),
            (4, 8, 2, CONFLICT, True),
            (MISSING, 8, 2, UNRECORDED, True),
            (MISSING, 8, 8, CONVERGED, False),  # only the record is refreshed
            (8, 8, MISSING, UNVERIFIED, False),
            (4, 8, MISSING, UNVERIFIED, True),
            (MISSING, 8, MISSING, UNVERIFIED, True),
        ],
    )
    def test_every_row(self, recorded: Any, desired: Any, live: Any, expected: Any, written: bool) -> None:
        assert classify(desired, recorded, live) is expected
        change = one("free", desired, recorded, live)
        assert (change.cls, change.write) == (expected, written)
        assert (change.desired, change.recorded, change.live) == (desired, recorded, live)
        assert change.reason

    def test_an_unrecorded_resource_is_like_unrecorded_fields(self) -> None:
        [change] = compare({"free": 1}, None, {"free": 2}, RULES)
        assert (change.cls, change.recorded) == (UNRECORDED, MISSING)

    def test_null_is_a_value_and_missing_is_not(self) -> None:
        assert one("free", None, None, None).cls is IN_SYNC
        assert one("free", None, None, MISSING).cls is UNVERIFIED
        assert one("free", None, MISSING, None).cls is CONVERGED
        assert one("free", None, MISSING, 1).cls is UNRECORDED
        assert one("free", None, 1, 1).cls is PENDING
        assert one("free", 1, 1, None).cls is DRIFT

    def test_fields_that_the_files_do_not_set_are_ignored(self) -> None:
        assert compare({}, {"free": 1}, {"free": 2, "description": "theirs"}, RULES) == []

    def test_an_explicit_empty_value_clears(self) -> None:
        change = one("description", "", "counts apples", "counts apples")
        assert (change.cls, change.desired) == (PENDING, "")
        assert by_path({}, {"epochs": 1}, {"epochs": 1}) == {"default_parameters.epochs": PENDING}

    def test_a_write_only_field_is_compared_with_the_recorded_value_alone(self) -> None:
        assert one("token_name", "a", "a", "***").cls is UNVERIFIED
        assert not one("token_name", "a", "a", "***").write
        assert one("token_name", "b", "a", "***").write

    def test_changes_are_sorted_by_name(self) -> None:
        sides: dict[str, Any] = {"type": "A", "description": "", "free": 1}
        assert [c.path for c in compare(sides, None, {}, RULES)] == ["description", "free", "type"]

    def test_a_managed_field_without_a_rule_raises_a_key_error(self) -> None:
        with pytest.raises(KeyError):
            compare({"colour": 1}, None, {}, RULES)


class TestKeyedFields:
    def test_each_key_has_its_own_class(self) -> None:
        recorded = {"same": 1, "files": 1, "outside": 1, "both": 1, "met": 1, "dropped": 1, "deleted": 1}
        desired = {"same": 1, "files": 2, "outside": 1, "both": 2, "met": 2, "deleted": 1, "new": 1}
        live = {"same": 1, "files": 1, "outside": 3, "both": 3, "met": 2, "dropped": 1, "added": 1}
        assert by_path(desired, recorded, live) == {
            "default_parameters.same": IN_SYNC,
            "default_parameters.files": PENDING,
            "default_parameters.outside": DRIFT,
            "default_parameters.both": CONFLICT,
            "default_parameters.met": CONVERGED,
            "default_parameters.dropped": PENDING,  # left the files
            "default_parameters.deleted": DRIFT,  # deleted outside
            "default_parameters.added": DRIFT,  # added outside
            "default_parameters.new": PENDING,
        }

    def test_a_missing_key_is_absent(self) -> None:
        [change] = compare(
            {"default_parameters": {"new": None}},
            {"default_parameters": {}},
            {"default_parameters": {}},
            RULES,
        )
        assert (change.desired, change.recorded, change.live) == (None, ABSENT, ABSENT)
        assert change.cls is PENDING, "null and no key at all are two things"

    def test_without_a_recorded_value_every_difference_is_unrecorded(self) -> None:
        assert by_path({"a": 1, "b": 1}, None, {"b": 1, "c": 1}) == {
            "default_parameters.a": UNRECORDED,
            "default_parameters.b": CONVERGED,
            "default_parameters.c": UNRECORDED,
        }

    def test_an_unreadable_field_is_compared_whole(self) -> None:
        assert by_path({"a": 1}, {"a": 1}, MISSING) == {"default_parameters": UNVERIFIED}

    def test_a_key_that_both_sides_removed_is_converged(self) -> None:
        assert by_path({"a": 1}, {"a": 1, "b": 1}, {"a": 1})["default_parameters.b"] is CONVERGED

    def test_a_key_may_contain_a_dot(self) -> None:
        [change] = compare(
            {"default_parameters": {"a.b": 1}}, None, {"default_parameters": {"a.b": 2}}, RULES
        )
        assert change.field == "default_parameters"


class TestNormalising:
    @pytest.mark.parametrize(
        ("field", "left", "right"),
        [
            ("default_cpu", 4, "4"),
            ("default_cpu", 4, 4.0),
            ("default_cpu", "4", 4.0),
            ("docker_flags", ["--gpus=all", "--ipc=host"], ["--ipc=host", "--gpus=all"]),
            ("docker_flags", [], None),
            ("default_parameters", {}, None),
            ("default_parameters", {"rate": 1.0}, {"rate": 1}),
            ("default_parameters", {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
            ("default_parameters", {"rate": float("nan")}, {"rate": None}),  # as the SDK sends it
            ("description", "", None),
            ("type", "TRAINING", "training"),
            ("constraint", "YOLO", "yolo"),
            ("constraint", None, ""),
            ("constraint", None, "NOT_CONFIGURED"),
            ("framework", "PYTORCH", "pytorch"),
            ("framework", "NOT_CONFIGURED", None),
        ],
    )
    def test_two_spellings_of_one_value(self, field: str, left: Any, right: Any) -> None:
        for desired, live in ((left, right), (right, left)):
            for recorded in (left, right):
                changes = compare({field: desired}, {field: recorded}, {field: live}, RULES)
                assert {change.cls for change in changes} == {IN_SYNC}

    @pytest.mark.parametrize(
        ("field", "left", "right"),
        [
            ("default_cpu", 4, 5),
            ("default_cpu", True, 1),
            ("default_cpu", 4, "four"),
            ("default_cpu", 4, 4.5),
            ("default_cpu", 0, None),
            ("docker_flags", ["--ipc=host"], ["--ipc=host", "--ipc=host"]),
            ("default_parameters", {"fast": True}, {"fast": 1}),
            ("default_parameters", {"epochs": 10}, {"epochs": "10"}),
            ("default_parameters", {"sizes": [1, 2]}, {"sizes": [2, 1]}),
            ("default_parameters", {"a": None}, {}),
            ("description", "Apples", "apples"),
            ("free", ["a", "b"], ["b", "a"]),
            ("free", "4", 4),
            ("free", False, 0),
            ("free", None, ""),
        ],
    )
    def test_two_different_values(self, field: str, left: Any, right: Any) -> None:
        for desired, live in ((left, right), (right, left)):
            changes = compare({field: desired}, {field: desired}, {field: live}, RULES)
            assert [change.cls for change in changes] == [DRIFT]

    def test_a_missing_value_equals_only_itself(self) -> None:
        assert same(MISSING, MISSING) and same(ABSENT, ABSENT)
        assert not same(MISSING, ABSENT) and not same(MISSING, None) and not same(None, ABSENT)


# Any JSON value; whole floats and NaN are in the table above.
scalars = (
    st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9, width=16) | st.text("abc", max_size=3)
)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3)
    ),
    max_leaves=6,
)
parameters = st.dictionaries(
    st.text(string.ascii_lowercase + ".", min_size=1, max_size=4), json_values, max_size=4
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "description": st.text("abc", max_size=4),
        "default_cpu": st.integers(0, 64),
        "docker_flags": st.lists(st.sampled_from(["--gpus=all", "--ipc=host", "--rm"]), max_size=3),
        "default_parameters": parameters,
        "type": st.sampled_from(["AUTO_TAGGING", "TRAINING"]),
        "constraint": st.none() | st.sampled_from(["YOLO", "ONNX"]),
        "free": json_values,
    },
)


def reshuffled(value: Any, draw: Any) -> Any:
    """Equal JSON with another order of keys, and whole numbers as floats."""
    if isinstance(value, dict):
        items = draw(st.permutations(list(value.items())))
        return {key: reshuffled(item, draw) for key, item in items}
    if isinstance(value, list):
        return [reshuffled(item, draw) for item in value]
    if type(value) is int and draw(st.booleans()):
        return float(value)
    return value


@st.composite
def answers(draw: Any, stored: Mapping[str, Any]) -> dict[str, Any]:
    """The response of a platform that stores the object as sent but formats values its own way."""
    shown: dict[str, Any] = {"created_by": "somebody", "updated_at": draw(st.integers())}
    for name, value in draw(st.permutations(list(stored.items()))):
        match name:
            case "default_cpu":
                shown[name] = draw(st.sampled_from([value, str(value), float(value)]))
            case "docker_flags":
                shown[name] = draw(st.permutations(value)) if value else draw(st.sampled_from([[], None]))
            case "type" | "constraint" if isinstance(value, str):
                shown[name] = draw(st.sampled_from([value, value.lower()]))
            case "description" | "default_parameters" if not value:
                shown[name] = draw(st.sampled_from([value, None]))
            case _:
                shown[name] = reshuffled(value, draw)
    return shown


@settings(max_examples=80)
@given(st.data(), objects)
def test_no_formatting_of_a_platform_is_a_change(data: st.DataObject, sent: dict[str, Any]) -> None:
    live = data.draw(answers(sent))
    assert {change.cls for change in compare(sent, sent, live, RULES)} <= {IN_SYNC}
    assert {change.cls for change in compare(sent, None, live, RULES)} <= {CONVERGED}


@settings(max_examples=80)
@given(st.data(), objects.filter(bool))
def test_every_real_change_is_found(data: st.DataObject, sent: dict[str, Any]) -> None:
    """Whatever the formatting, an edit is a change of exactly the edited field."""
    name = data.draw(st.sampled_from(sorted(sent)))
    value = data.draw(objects.filter(lambda other: name in other))[name]
    edited = data.draw(answers({**sent, name: value}))
    unedited = data.draw(answers(sent))
    assume(not really_equal(name, value, sent[name]))
    outside = compare(sent, sent, edited, RULES)
    assert {change.field for change in outside if change.cls is DRIFT} == {name}
    assert {change.cls for change in outside} <= {DRIFT, IN_SYNC}
    in_the_files = compare({**sent, name: value}, sent, unedited, RULES)
    assert {change.field for change in in_the_files if change.write} == {name}
    assert {change.cls for change in in_the_files} <= {PENDING, IN_SYNC}


def really_equal(name: str, left: Any, right: Any) -> bool:
    """Expected equality without the code under test: by type and value, flags in any order."""
    if name == "docker_flags":
        return sorted(left) == sorted(right)
    return shape(left) == shape(right)


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return ("object", frozenset((key, shape(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(shape(item) for item in value))
    return ("bool", value) if isinstance(value, bool) else (isinstance(value, str), value)


@settings(max_examples=50)
@given(st.data(), objects.filter(bool))
def test_a_field_that_is_not_returned_is_never_in_sync(data: st.DataObject, sent: dict[str, Any]) -> None:
    dropped = data.draw(st.sets(st.sampled_from(sorted(sent)), min_size=1))
    live = {name: value for name, value in data.draw(answers(sent)).items() if name not in dropped}
    for change in compare(sent, sent, live, RULES):
        assert (change.cls is UNVERIFIED) == (change.field in dropped)
        assert not change.write, "as last applied, as far as anybody can know"


KEYS = st.one_of(st.sampled_from(["", ".", "..", " ", "a.b", "\n", "[0]"]), st.text(max_size=4))
TABLES = st.dictionaries(KEYS, st.integers(0, 2), max_size=4)


@given(desired=TABLES, recorded=TABLES, live=TABLES)
def test_each_key_can_be_kept_alone_whatever_its_name(
    desired: dict[str, int], recorded: dict[str, int], live: dict[str, int]
) -> None:
    """The empty name is a key, not the table around it."""
    sides = ({"default_parameters": table} for table in (desired, recorded, live))
    theirs = [change._replace(resolution=Resolution.THEIRS) for change in compare(*sides, RULES)]
    for change in theirs:
        kept = effective_fields({"default_parameters": desired}, [change], RULES)["default_parameters"]
        _, keyed, key = change.path.partition(".")
        if not keyed:  # both tables are empty
            assert kept == live
            continue
        assert {k: v for k, v in kept.items() if k != key} == {k: v for k, v in desired.items() if k != key}
        assert kept.get(key, ABSENT) == live.get(key, ABSENT)
    assert effective_fields({"default_parameters": desired}, theirs, RULES)["default_parameters"] == live
