"""Waves: every pipeline in exactly one, in order; and the failures that end a run."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.waves import ONE_WAVE, Amount, FailureLimit, Waves

SIZES = st.builds(
    lambda value, percent: f"{value}%" if percent else str(value), st.integers(1, 100), st.booleans()
)


def sizes(text: str, total: int) -> list[int]:
    return [len(wave) for wave in Waves.parse(text).split(range(total))]


def test_one_then_a_tenth_then_all_the_others() -> None:
    assert sizes("1,10%,100%", 300) == [1, 30, 269]


def test_the_last_size_is_repeated() -> None:
    assert sizes("1, 10", 25) == [1, 10, 10, 4]


def test_a_percentage_is_of_all_pipelines_and_rounded_up() -> None:
    assert sizes("10%", 15) == [2] * 7 + [1]
    assert sizes("1%,100%", 3) == [1, 2]


def test_without_waves_everything_is_one() -> None:
    assert [len(wave) for wave in ONE_WAVE.split(range(7))] == [7]
    assert ONE_WAVE.split([]) == []


@given(st.lists(SIZES, min_size=1, max_size=5), st.integers(0, 1000))
def test_every_pipeline_is_in_one_wave_and_in_order(parts: list[str], total: int) -> None:
    waves = Waves.parse(",".join(parts)).split(range(total))
    assert [item for wave in waves for item in wave] == list(range(total))
    assert all(waves)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "a wave of 0 has no pipelines"),
        ("1,0%", "a wave of 0% has no pipelines"),
        ("", "'' is neither"),
        ("1,,2", "'' is neither"),
        ("-1", "'-1' is neither"),
        ("1.5", "'1.5' is neither"),
        ("ten", "'ten' is neither"),
        ("101%", "101% is more than 100%"),
        ("²", "is neither"),
    ],
)
def test_no_waves(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Waves.parse(text)


@given(st.integers(0, 50), st.integers(0, 100))
def test_a_number_of_failures_counts_for_the_whole_run(limit: int, failures: int) -> None:
    found = FailureLimit.parse(str(limit)).is_exceeded(failures, in_wave=0, wave_size=1)
    assert found == (failures > limit)


@given(st.integers(0, 100), st.integers(1, 300), st.data())
def test_a_percentage_of_failures_is_of_each_wave(percent: int, size: int, data: st.DataObject) -> None:
    failures = data.draw(st.integers(0, size))
    found = FailureLimit.parse(f"{percent}%").is_exceeded(1000, in_wave=failures, wave_size=size)
    assert found == (failures * 100 > percent * size)


def test_an_amount_is_written_as_it_is_read() -> None:
    assert [str(Amount.parse(text)) for text in ("5", "10%")] == ["5", "10%"]
    assert math.isclose(Amount.parse("10%").of(15), 1.5)
