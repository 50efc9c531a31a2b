"""How fast far ends are asked, by a clock of our own."""

from itertools import pairwise

import pytest

from providers.pace import Pace


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sent(pace: Pace, clock: Clock, count: int) -> list[float]:
    """When each of some requests went out, in seconds from now."""
    began, times = clock.now, []
    for _ in range(count):
        pace.wait()
        times.append(round(clock.now - began, 6))
    return times


def test_nobody_waits_without_a_limit(clock: Clock) -> None:
    assert sent(Pace(clock=clock, sleep=clock.sleep), clock, 1000) == [0.0] * 1000


def test_so_many_a_second_and_no_more(clock: Clock) -> None:
    assert sent(Pace(4, clock=clock, sleep=clock.sleep), clock, 5) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_what_was_not_used_is_not_saved_up(clock: Clock) -> None:
    pace = Pace(4, clock=clock, sleep=clock.sleep)
    pace.wait()
    clock.now += 60
    assert sent(pace, clock, 3) == [0.0, 0.25, 0.5]


def test_after_a_pause_it_goes_on_slowly_and_then_faster(clock: Clock) -> None:
    pace = Pace(clock=clock, sleep=clock.sleep)
    pace.pause(7)
    times = sent(pace, clock, 1000)
    assert times[0] == 7
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] == pytest.approx(0.02)
    assert gaps[-1] < gaps[0] / 10


def test_many_who_are_told_at_once_count_once(clock: Clock) -> None:
    one, many = Pace(clock=clock, sleep=clock.sleep), Pace(clock=clock, sleep=clock.sleep)
    one.pause(1)
    for _ in range(32):
        many.pause(1)
    clock.now += 1
    assert sent(many, clock, 10) == pytest.approx(sent(one, clock, 10), abs=1e-5)


def test_a_pause_asks_for_no_more_than_the_limit(clock: Clock) -> None:
    pace = Pace(1, clock=clock, sleep=clock.sleep)
    pace.pause(2)
    times = sent(pace, clock, 3)
    assert times[0] == 2
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))
