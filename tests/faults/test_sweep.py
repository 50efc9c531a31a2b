"""Every request of an apply fails once, in every way: what is left is finished by running it again.

Each case is an apply from the same start with one fault at its k-th request, then the same apply without.
`make test` samples every kind of request and every way to fail; `make test-full` leaves none out.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from urllib3.util.retry import Retry

import providers.retries
from providers.sandbox import Sandbox
from providers.sandbox.settings import Fault
from tests.conftest import CASES, Cli, Ended
from tests.faults.conftest import SCENARIOS, Scenario, shape, start_over, world
from tests.quick import skip_waits

SERVICES = "^/(api|v2)/"
TIMEOUT = "0.25"  # seconds; a case in which nothing answers in time is a case all the same
WAYS: dict[str, dict[str, Any]] = {
    "500": {"action": 500},
    "429 now": {"action": 429, "headers": {"Retry-After": "0"}},
    "429 in a second": {"action": 429, "headers": {"Retry-After": "1"}},
    "dropped before": {"action": "drop-before"},
    "dropped after": {"action": "drop-after"},
    "hung before": {"action": "hang"},
    "hung after": {"action": "hang", "after": True},
    "200 and not done": {"action": 200},
    "204 and not done": {"action": 204},
}
APPLY = ("--yes", "--parallel", "1", "--bump", "minor")


@dataclass(frozen=True)
class Case:
    """One fault at one request."""

    scenario: Scenario
    number: int
    shape: str
    way: str

    def __str__(self) -> str:
        return f"{self.scenario}: {self.way} at request {self.number}, {self.shape}"


class Bench:
    """A user with one pipeline, whose far ends can be made to fail."""

    def __init__(self, cli: Cli, sandbox: Sandbox, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._cli = cli
        self._sandbox = sandbox
        self._state = state
        self._monkeypatch = monkeypatch

    def start(self, scenario: Scenario) -> Path:
        """The world and the files as they are before the apply that a fault hits; where the files are."""
        return start_over(scenario, self._cli, self._sandbox, self._state)

    def undisturbed(self, scenario: Scenario) -> tuple[list[str], dict[str, Any]]:
        """The requests of the apply that nothing disturbs, by shape, and the world that it leaves."""
        self.start(scenario)
        ended = self._cli("apply", scenario.example, *APPLY)
        assert ended.code == 0, ended.err
        requests = [shape(request) for request in self._sandbox.requests()]
        assert self._cli("plan", scenario.example, "--exit-code").code == 0
        return requests, world(self._sandbox)

    def play(self, case: Case, expected: Mapping[str, Any]) -> None:
        """Fail, look, run again, look."""
        pipeline = self.start(case.scenario)
        config = (pipeline / "config.toml").read_bytes()
        self._sandbox.switch(faults=[Fault(SERVICES, nth=case.number, **WAYS[case.way])])
        with self._monkeypatch.context() as impatient:
            if "hung" in case.way:
                impatient.setenv("RECONCILER_TIMEOUT", TIMEOUT)
            first = self._cli("apply", case.scenario.example, *APPLY)
        self._sandbox.switch(faults=[])
        honest(first)
        if first.code == 0:
            assert world(self._sandbox) == expected, "exit code 0, and not converged"
            again = self._cli("apply", case.scenario.example, "--yes")
        else:
            assert first.code in (1, 12, 13)
            assert (pipeline / "config.toml").read_bytes() == config, "config.toml changed in a failed run"
            again = self._cli("apply", case.scenario.example, *APPLY)
        honest(again)
        assert again.code == 0, f"again: {again.code}\n{again.err}\nfirst: {first.err}"
        assert world(self._sandbox) == expected
        plan = self._cli("plan", case.scenario.example, "--exit-code")
        assert plan.code == 0, plan.out


def honest(ended: Ended) -> None:
    assert "Traceback" not in ended.err and "a bug in reconciler" not in ended.err, ended.err
    assert ended.code == 0 or "error" in ended.err or "failed" in ended.err or "refused" in ended.err, (
        ended.err
    )


@pytest.fixture
def bench(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes_once: None
) -> Bench:
    monkeypatch.setattr(providers.retries, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    skip_waits(monkeypatch)
    return Bench(cli, sandbox, tmp_path / "state.db", monkeypatch)


def every_case(scenario: Scenario, requests: Sequence[str]) -> Iterator[Case]:
    for number, asked in enumerate(requests, 1):
        for way in WAYS:
            yield Case(scenario, number, asked, way)


def play_all(bench: Bench, cases: Sequence[Case], expected: Mapping[Scenario, Mapping[str, Any]]) -> None:
    """All of them, whatever the first ones show; what failed is told together."""
    failures = []
    CASES["requests of an apply that failed, and a second run that finished"] += len(cases)
    for case in cases:
        try:
            bench.play(case, expected[case.scenario])
        except AssertionError as problem:
            failures.append(f"{case}\n{problem}")
    assert not failures, f"{len(failures)} of {len(cases)} cases\n\n" + "\n\n".join(failures)


def test_a_sample_of_every_kind_of_request_and_every_way_to_fail(bench: Bench) -> None:
    """Three ways for each kind of request, so that neighbours meet all of them; one place each."""
    chance = random.Random(2)
    found: dict[str, list[tuple[Scenario, int]]] = {}
    expected = {}
    for scenario in SCENARIOS:
        requests, expected[scenario] = bench.undisturbed(scenario)
        for number, asked in enumerate(requests, 1):
            found.setdefault(asked, []).append((scenario, number))
    ways = list(WAYS)
    cases = []
    for index, (asked, places) in enumerate(sorted(found.items())):
        for step in range(3):
            scenario, number = chance.choice(places)
            cases.append(Case(scenario, number, asked, ways[(3 * index + step) % len(ways)]))
    assert len(found) > 25 and len(cases) > 75
    assert {case.way for case in cases} == set(WAYS)
    play_all(bench, cases, expected)


@pytest.mark.full
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_every_request_in_every_way(scenario: Scenario, bench: Bench) -> None:
    requests, expected = bench.undisturbed(scenario)
    assert len(requests) > 35
    play_all(bench, list(every_case(scenario, requests)), {scenario: expected})
