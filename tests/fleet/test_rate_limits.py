"""Rate limits, measured with a fake clock."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter

from providers.docker.registry.connection import ConnectionPool
from providers.http import Session
from providers.picsellia.transport import Adapter
from providers.rate_limit import MAX_WAIT, RateLimiter, retry_after
from providers.waits import Backoff


class Clock:
    """A clock that advances only during sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sent(limiter: RateLimiter, clock: Clock, count: int) -> list[float]:
    """The time at which each request was sent, in seconds from now."""
    began, times = clock.now, []
    for _ in range(count):
        limiter.wait()
        times.append(round(clock.now - began, 6))
    return times


def test_without_a_limit_no_request_waits(clock: Clock) -> None:
    assert sent(RateLimiter(clock=clock, sleep=clock.sleep), clock, 1000) == [0.0] * 1000


def test_no_more_requests_per_second_than_the_limit(clock: Clock) -> None:
    assert sent(RateLimiter(4, clock=clock, sleep=clock.sleep), clock, 5) == [0.0, 0.25, 0.5, 0.75, 1.0]


def test_unused_requests_are_not_saved_up(clock: Clock) -> None:
    limiter = RateLimiter(4, clock=clock, sleep=clock.sleep)
    limiter.wait()
    clock.now += 60
    assert sent(limiter, clock, 3) == [0.0, 0.25, 0.5]


def refuse(limiter: RateLimiter, asked: float | None = None, request: str = "GET /") -> bool:
    return limiter.report_refusal("far", request, asked)


def overload(limiter: RateLimiter, asked: float) -> None:
    """More than a quarter of the last 20 answers are refusals."""
    assert all(refuse(limiter, asked, f"GET /{number}") for number in range(6))


def test_in_an_overload_all_requests_wait_and_continue_slowly_then_faster(clock: Clock) -> None:
    limiter = RateLimiter(clock=clock, sleep=clock.sleep)
    overload(limiter, 7)
    began, times = clock.now, []
    for _ in range(1000):
        limiter.wait("far")
        limiter.report_success("far", "GET /")
        times.append(clock.now - began)
    assert times[0] == 7
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps[0] == pytest.approx(0.02, rel=0.1)
    assert gaps[-1] < gaps[0] / 2
    before = clock.now
    limiter.wait("another")
    assert clock.now == before, "another server refused nothing"


def test_simultaneous_refusals_count_once(clock: Clock) -> None:
    announced: list[object] = []
    limiter = RateLimiter(clock=clock, sleep=clock.sleep, announce=announced.append)
    assert all(refuse(limiter, 1) for _ in range(500))
    assert announced == [Backoff("far", 429, 1)]
    limiter.wait("far")
    assert clock.now == 101


def test_a_pause_does_not_raise_the_rate_above_the_limit(clock: Clock) -> None:
    limiter = RateLimiter(1, clock=clock, sleep=clock.sleep)
    overload(limiter, 2)
    times = []
    for _ in range(3):
        limiter.wait("far")
        times.append(clock.now)
    assert times[0] == 102
    assert all(later - earlier >= 1 for earlier, later in pairwise(times))


class Server:
    """Accepts a number of requests per window of time; may send a Retry-After."""

    def __init__(self, clock: Clock, rate: float, asks: float | None) -> None:
        self.window = max(1.0, 1 / rate)
        self.most = max(1, round(rate * self.window))
        self.clock, self.asks, self.counted = clock, asks, dict[int, int]()

    def takes(self) -> bool:
        window = int(self.clock.now // self.window)
        self.counted[window] = self.counted.get(window, 0) + 1
        return self.counted[window] <= self.most


@given(
    rate=st.sampled_from([0.2, 0.5, 1, 2, 5, 20, 100, 1000]),
    asks=st.sampled_from([None, 0, 1, 2, 5]),
    count=st.integers(1, 300),
)
@settings(max_examples=60)
def test_it_finds_the_rate_that_a_server_accepts(rate: float, asks: float | None, count: int) -> None:
    """For any rate and Retry-After: all requests are accepted, not much later than possible."""
    clock = Clock()
    server, limiter = Server(clock, rate, asks), RateLimiter(clock=clock, sleep=clock.sleep)
    for number in range(count):
        while True:
            limiter.wait("far")
            if server.takes():
                limiter.report_success("far", f"GET /{number}")
                break
            assert limiter.report_refusal("far", f"GET /{number}", asks), (
                "given up although others are accepted"
            )
    assert clock.now - 100 <= 6 * count / rate + 60


STEPS = st.one_of(
    st.tuples(st.just("refused"), st.none() | st.sampled_from([0.0, 1.0, 119.0, 121.0, 1e12])),
    st.tuples(st.just("accepted"), st.none()),
    st.tuples(st.just("passes"), st.sampled_from([0.0, 0.5, 20.0, 86_400.0])),
    st.tuples(st.just("wait"), st.none()),
)


def happened(steps: list[tuple[str, float | None]], up: float) -> list[object]:
    """The result of each step, on a machine with this uptime in seconds."""
    clock = Clock()
    clock.now = up
    limiter, results = RateLimiter(clock=clock, sleep=clock.sleep), list[object]()
    for step, value in steps:
        began = clock.now
        if step == "refused":
            results.append(refuse(limiter, value))
        elif step == "accepted":
            limiter.report_success("far", "GET /")
        elif step == "passes":
            clock.sleep(value or 0.0)
        else:
            limiter.wait("far")
            results.append(round(clock.now - began, 3))
    return results


@given(steps=st.lists(STEPS, max_size=30), up=st.sampled_from([0.0, 20_000.0, 1e6, 1e8]))
@example(steps=[("refused", 121.0), ("accepted", None)], up=1e6)
def test_the_uptime_of_the_machine_makes_no_difference(
    steps: list[tuple[str, float | None]], up: float
) -> None:
    assert happened(steps, up) == happened(steps, 100.0)


@given(refusals=st.lists(st.integers(0, 40), max_size=20), asks=st.sampled_from([None, 1.0, 8.0]))
def test_the_count_restarts_only_when_a_refused_request_is_accepted(
    refusals: list[int], asks: float | None
) -> None:
    """Each request is refused several times, then accepted: a long run continues, within the limit."""
    clock = Clock()
    limiter = RateLimiter(clock=clock, sleep=clock.sleep)
    for number, times in enumerate(refusals):
        began = clock.now
        for _ in range(times):
            limiter.wait("far")
            if not limiter.report_refusal("far", f"GET /{number}", asks):
                assert clock.now - began >= MAX_WAIT / 2, "given up early"
                return
        limiter.wait("far")
        limiter.report_success("far", f"GET /{number}")
        assert clock.now - began <= MAX_WAIT + 2  # and at most one pause between two requests


@given(
    asks=st.none() | st.sampled_from([0.0, 0.001, 1.0, 8.0, 12.0, 119.0, 121.0, 1e12]),
    patience=st.sampled_from([0.5, 10.0, 120.0]),
    requests=st.integers(1, 40),
    others=st.booleans(),
)
@example(asks=8.0, patience=120.0, requests=40, others=True)
@settings(max_examples=60)
def test_a_server_that_always_refuses_ends_the_wait_at_the_limit(
    asks: float | None, patience: float, requests: int, others: bool
) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as user:
        user.setenv("RECONCILER_TIMEOUT", str(patience))
        limiter = RateLimiter(clock=clock, sleep=clock.sleep)
        for number in range(requests):
            while True:
                limiter.wait("far")
                if others:  # what else is asked of it is accepted
                    limiter.report_success("far", "GET /other")
                if not limiter.report_refusal("far", f"PUT /{number}", asks):
                    break
    assert clock.now - 100 <= patience + 2 * requests


@given(
    every=st.integers(5, 100),
    first=st.integers(0, 100),
    asks=st.sampled_from([None, 1.0, 5.0]),
    count=st.integers(1, 2000),
)
@example(every=20, first=0, asks=1.0, count=2000)
@example(every=20, first=19, asks=1.0, count=2000)
@settings(max_examples=60)
def test_a_server_that_refuses_now_and_then_delays_only_what_it_refuses(
    every: int, first: int, asks: float | None, count: int
) -> None:
    """Wherever the first refusal is: a server that has refused its first request is not overloaded yet."""
    clock = Clock()
    limiter = RateLimiter(clock=clock, sleep=clock.sleep)
    answers = itertools.count(first)
    refused = 0
    for number in range(count):
        while True:
            limiter.wait("far", f"GET /{number}")
            if next(answers) % every:
                limiter.report_success("far", f"GET /{number}")
                break
            refused += 1
            assert limiter.report_refusal("far", f"GET /{number}", asks)
            before = clock.now
            limiter.wait("far", "GET /another")
            assert clock.now == before
    assert clock.now - 100 == pytest.approx(refused * (asks or 0.3))


@pytest.mark.parametrize("asks", [None, 1.0, 50.0])
def test_one_request_that_is_always_refused_ends_at_the_limit(clock: Clock, asks: float | None) -> None:
    """Also if everything else is accepted."""
    limiter = RateLimiter(clock=clock, sleep=clock.sleep)
    while True:
        for number in range(10):
            limiter.wait("far", f"GET /{number}")
            limiter.report_success("far", f"GET /{number}")
        limiter.wait("far", "PUT /")
        if not limiter.report_refusal("far", "PUT /", asks):
            break
    assert MAX_WAIT / 2 <= clock.now - 100 <= MAX_WAIT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("7", 7), (" 7 ", 7), ("9" * 5000, 999_999_999_999), ("-1", None), ("1.5", None),
        ("soon", None), ("", None), ("nan", None), ("1e9", None), ("٣", None),
        ("Fri, 28 Nov 2025 10:00:08 GMT", 8), ("Fri, 28 Nov 2025 09:00:00 GMT", 0),
        ("Fri, 99 Nov 9999 99:99:99 GMT", None), ("Fri, 28 Nov 0001 10:00:08 GMT", 0),
    ],
)  # fmt: skip
def test_the_delay_in_a_response(value: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": value, "Date": "Fri, 28 Nov 2025 10:00:00 GMT"}) == seconds
    retry_after({"Retry-After": value, "Date": value})
    retry_after({"Retry-After": value})


class Counting(BaseHTTPRequestHandler):
    """Answers when as many requests are under way as may be, and notes the most that there were."""

    expected, under_way, most = 0, 0, 0
    changed = threading.Condition()

    def do_GET(self) -> None:
        cls = type(self)
        with self.changed:
            cls.under_way += 1
            cls.most = max(cls.most, cls.under_way)
            self.changed.notify_all()
            self.changed.wait_for(lambda: cls.most >= cls.expected, timeout=60)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        with self.changed:
            cls.under_way -= 1
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("at_once", [1, 3, 32])
@pytest.mark.parametrize("adapter", [lambda limiter: Adapter(60.0, limiter), ConnectionPool])
def test_so_many_requests_are_under_way_and_no_more(
    adapter: Callable[[RateLimiter], HTTPAdapter], at_once: int
) -> None:
    Counting.expected, Counting.most = at_once, 0
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server,
        ThreadPoolExecutor(2 * at_once) as pool,
        Session() as session,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session.mount("http://", adapter(RateLimiter(at_once=at_once)))
        url = f"http://127.0.0.1:{server.server_port}/"
        answers = list(pool.map(lambda _: session.get(url), range(4 * at_once)))
        server.shutdown()
    assert {answer.status_code for answer in answers} == {200}
    assert Counting.most == at_once
