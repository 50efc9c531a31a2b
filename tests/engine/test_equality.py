"""Equality of values: the table of `providers.rules`, for all pairs in all three worlds.

The expected results are computed from the JSON text of the values, with separate decimal arithmetic, not
with the code under test.
"""

import json
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers import rules
from providers.json_value import JSON
from providers.picsellia.kinds.processing import RULES
from providers.rules import FieldRule
from reconciler.core.diff import ChangeClass, compare, normalised, normalised_live, same
from reconciler.core.values import ABSENT, MISSING, NoValue
from tests.engine.conftest import APP, Bench, processing

IN_SYNC, PENDING, DRIFT, CONVERGED, CONFLICT, UNRECORDED, *_ = ChangeClass
PARAMETERS = "default_parameters"

# As JSON writes them. Numbers, the texts of numbers, texts that are nearly some, and what is no number.
LITERALS = r"""
null|true|false|0|-0|-0.0|0.0|1|1.0|1.00|1e0|-1|1.1|1.10|1.10e0|0.1|1e-05|0.00001|1e3|1000|640|640.0|
9007199254740992|9007199254740993|9007199254740992.0|1e22|10000000000000000000000|18446744073709551616|
""|" "|"null"|"true"|"0"|"-0"|"00"|"0.0"|"1"|"01"|"1.0"|"1."|"+1"|" 1"|"1 "|"1_0"|"1e0"|"1E0"|"1.1"|"1.10"|
"1.100"|"11e-1"|"0.1"|".1"|"1e-05"|"0.00001"|"1e3"|"1000"|"1e03"|"640"|"640.0"|"1234e567"|"9876e543"|
"1e-999"|"-1e-999"|"1e999999999999"|"NaN"|"nan"|"Infinity"|"inf"|"0x10"|"1.0.0"|"9007199254740992"|
"9007199254740993"|"1e22"|"10000000000000000000000"|"\u0661"|"a"|"A"
""".replace("\n", "").split("|")
VALUES = [(literal, json.loads(literal)) for literal in LITERALS]

_AS_JSON = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def number(value: JSON) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Decimal(json.dumps(value))


def equal(left: JSON, right: JSON) -> bool:
    """Rows 1 to 5 of the table."""
    match left, right:
        case dict(), dict():
            return set(left) == set(right) and all(equal(left[key], right[key]) for key in left)
        case list(), list():
            return len(left) == len(right) and all(map(equal, left, right))
        case (None, None) | (True, True) | (False, False):
            return left is right
        case str(), str():
            return left == right
    return number(left) is not None and number(left) == number(right)


def means(left: JSON, right: JSON) -> bool:
    """All six rows."""
    match left, right:
        case dict(), dict():
            return set(left) == set(right) and all(means(left[key], right[key]) for key in left)
        case list(), list():
            return len(left) == len(right) and all(map(means, left, right))
    for text, other in ((left, right), (right, left)):
        if isinstance(text, str) and (exact := number(other)) is not None:
            return _AS_JSON.fullmatch(text) is not None and Decimal(text) == exact
    return equal(left, right)


def expected(desired: JSON, recorded: JSON | NoValue, live: JSON) -> ChangeClass:
    """The class by the table of three worlds. A missing live value is the recorded, then the desired one."""
    as_applied = recorded is not MISSING and equal(live, recorded)
    as_asked = equal(live, desired)
    if not as_applied and not as_asked:
        as_applied = recorded is not MISSING and means(live, recorded)
        as_asked = means(live, desired) and (not as_applied or equal(desired, recorded))
    if recorded is MISSING:
        return CONVERGED if as_asked else UNRECORDED
    if equal(recorded, desired):
        return IN_SYNC if as_applied else DRIFT
    return PENDING if as_applied else CONVERGED if as_asked else CONFLICT


def found(desired: JSON, recorded: JSON | NoValue, live: JSON) -> ChangeClass:
    before = None if recorded is MISSING else {PARAMETERS: {"key": recorded}}
    [change] = compare({PARAMETERS: {"key": desired}}, before, {PARAMETERS: {"key": live}}, RULES)
    assert change.write == (change.cls in (PENDING, DRIFT, CONFLICT, UNRECORDED))
    return change.cls


def test_all_pairs_follow_the_table() -> None:
    rule = RULES[PARAMETERS]
    for (one, left), (other, right) in product(VALUES, VALUES):
        told = f"{one} and {other}"
        assert same(left, right) is equal(left, right), told
        assert rules.number_like(left, right) is means(left, right), told
        ours = normalised({"key": right}, rule)
        assert same(normalised_live({"key": left}, rule, ours), ours) is means(left, right), told


def check_worlds(values: Sequence[JSON]) -> None:
    for desired, recorded, live in product(values, values, values):
        assert found(desired, recorded, live) is expected(desired, recorded, live), (desired, recorded, live)
    for desired, live in product(values, values):
        assert found(desired, MISSING, live) is expected(desired, MISSING, live), (desired, live)


def test_values_of_the_three_worlds_have_the_class_of_the_table() -> None:
    check_worlds(
        [value for literal, value in VALUES if re.search(r"^(null|true|0)$|1\.?[01]|567|543", literal)]
    )


@pytest.mark.full
def test_all_values_of_the_three_worlds_have_the_class_of_the_table() -> None:
    check_worlds([value for _, value in VALUES])


leaves = st.sampled_from([value for _, value in VALUES])
nested = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def worlds(draw: Callable[..., Any]) -> tuple[JSON, JSON, JSON]:
    """Three values of the same shape with similar leaves."""
    form = draw(nested)

    def again(value: JSON) -> JSON:
        if isinstance(value, dict):
            return {key: again(item) for key, item in value.items()}
        if isinstance(value, list):
            return [again(item) for item in value]
        near = [other for _, other in VALUES if means(other, value) or means(other, json.dumps(value))]
        return draw(st.sampled_from([value, *near]) | leaves)

    return form, again(form), again(form)


@given(worlds())
def test_nested_values_follow_the_table(values: tuple[JSON, JSON, JSON]) -> None:
    desired, recorded, live = values
    assert found(desired, recorded, live) is expected(desired, recorded, live)
    assert found(live, recorded, desired) is expected(live, recorded, desired)


# What a rule of a field makes equal besides: each value of a row with each other value of it, and no more.
SPELLINGS: dict[Callable[[JSON], JSON], list[list[JSON]]] = {
    rules.integer: [[4, 4.0, "4", "4.0", "4.00"], ["04"], [" 4"], ["4e0"], [True], [None], ["x"], [40, "40"]],
    rules.text: [[None, ""], [" "], ["1"], ["1.0"], [1, 1.0]],
    rules.texts: [[None, []], [["1"]], [["1.0"]], [[1], [1.0]], [{}]],
    rules.table: [[None, {}], [{"a": "1"}], [{"a": 1}, {"a": 1.0}], [{"a": None}], [[]]],
    rules.text_table: [[None, {}], [{"a": "1"}, {"a": 1}, {"a": 1.0}], [{"a": "1.0"}], [{"a": None}], [[]]],
    rules.enum_name: [["YOLO", "yolo", "Yolo"], [None], [""], ["STRASSE"], ["STRA\u00dfE"], ["YOL\u00d6"]],
    rules.configured: [["ONNX", "onnx"], [None, "", "NOT_CONFIGURED", "not_configured"], [0], [False]],
    rules.constraint: [["ONNX", "onnx"], [None, "", "NOT_CONFIGURED", "not_configured"], [0], [False], [[]]],
}


@pytest.mark.parametrize("normalise", SPELLINGS, ids=lambda function: function.__name__)
def test_a_rule_makes_only_its_own_spellings_equal(normalise: Callable[[JSON], JSON]) -> None:
    rule = FieldRule(normalise)
    everything = [(row, value) for row, values in enumerate(SPELLINGS[normalise]) for value in values]
    for (row, left), (other, right) in product(everything, everything):
        assert same(normalised(left, rule), normalised(right, rule)) is (row == other), (left, right)


@pytest.mark.parametrize("before", ["1.1", "1e1", "01", "1234e567", None, ["1.1"], {"a": "1.1"}])
@pytest.mark.parametrize("asked", ["1.10", "10", "1", "9876e543", ["1.10"], {"a": "1.10"}])
def test_a_write_that_the_platform_ignores_is_a_failure(bench: Bench, before: JSON, asked: JSON) -> None:
    assert bench.apply(processing(default_parameters={"version": before})).succeeded
    bench.world.habit = lambda name, value: {"version": before} if name == PARAMETERS else value
    [outcome] = bench.apply(processing(default_parameters={"version": asked})).outcomes
    assert (
        outcome.error is not None
        and "do not have the values sent: default_parameters" in outcome.error.message
    )
    assert bench.recorded(APP).inputs[PARAMETERS] == {"version": before}


def test_strings_that_look_like_numbers_can_conflict(bench: Bench) -> None:
    """A version string, changed in the files and on the platform."""
    assert bench.apply(processing(default_parameters={"version": "1.0"})).succeeded
    bench.world.edit("processing", "app", default_parameters={"version": "1.10"})
    [change] = bench.plan(processing(default_parameters={"version": "1.1"})).step(APP).changes
    assert change.cls is CONFLICT


def test_a_new_spelling_in_the_files_is_written_although_live_is_equivalent() -> None:
    assert found(desired="1.10", recorded="1.1", live=1.1) is PENDING
    assert found(desired=1.1, recorded="1.1", live="1.1") is PENDING


def test_a_missing_value_equals_only_itself() -> None:
    for left, right in product([MISSING, ABSENT, None, "", {}], repeat=2):
        assert same(left, right) is (left is right or left == right)
