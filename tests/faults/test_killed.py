"""kill -9 at any request and at any save: the next run takes over and finishes, with nothing made twice."""

import random
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import CASES, Cli, stack_of
from tests.faults.conftest import SCENARIOS, Scenario, shape, start_over, world
from tests.faults.warm import Death, Warm

# Classes that need code cost seconds per run, and are read before anything that could be left half done.
STATIC = [scenario for scenario in SCENARIOS if scenario.example != "computed_inputs"]
APPLY = ("--yes", "--parallel", "1", "--bump", "minor")
SIGN_IN = 2  # requests before the lock is taken


class Bench:
    """A user whose runs are killed.

    Attributes:
        finished: config.toml after a run that is not killed.
    """

    finished = b""

    def __init__(self, warm: Warm, cli: Cli, sandbox: Sandbox, state: Path) -> None:
        self._warm = warm
        self._cli = cli
        self._sandbox = sandbox
        self._state = state

    def start(self, scenario: Scenario) -> Path:
        """The world and the files before the run that is killed; where the files are."""
        return start_over(scenario, self._cli, self._sandbox, self._state)

    def undisturbed(self, scenario: Scenario) -> tuple[list[Death], dict[str, Any]]:
        """Every way to be killed, and the world that a run leaves which is not."""
        pipeline = self.start(scenario)
        earlier = self._serial(scenario)
        ended = self._cli("apply", scenario.example, *APPLY)
        assert ended.code == 0, ended.err
        counts = {"request": len(self._sandbox.requests()), "save": self._serial(scenario) - earlier}
        self.finished = (pipeline / "config.toml").read_bytes()
        return [
            Death(at, number, after)
            for at, count in counts.items()
            for number in range(1, count + 1)
            for after in (False, True)
        ], world(self._sandbox)

    def play(self, scenario: Scenario, dies: Death, expected: Mapping[str, Any]) -> None:
        """Be killed, look, run again, look."""
        pipeline = self.start(scenario)
        config = (pipeline / "config.toml").read_bytes()
        run = self._warm.start(["apply", scenario.example, *APPLY], self._cli.folder, dies=dies)
        assert self._warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        left = (pipeline / "config.toml").read_bytes()
        assert left == config or (left == self.finished and dies.at == "save"), "it is written last"

        again = self._cli("apply", scenario.example, *APPLY)
        assert again.code == 0, again.err
        assert "Traceback" not in again.err
        if dies.at == "save" or dies.number > SIGN_IN:
            assert f"(process {run.pid})" in again.err and "its process is gone" in again.err, again.err
        assert world(self._sandbox) == expected
        assert (pipeline / "config.toml").read_bytes() == self.finished
        plan = self._cli("plan", scenario.example, "--exit-code")
        assert plan.code == 0, plan.out
        writes = [shape(w) for w in self._sandbox.writes() if w["status"] == 201]
        once = [w for w in writes if w.startswith("PUT /v2/{name}/manifests/{version}")]
        assert len(once) == 1, "the image was published twice"

    def _serial(self, scenario: Scenario) -> int:
        with open_store(str(self._state)) as store:
            snapshot = store.load(stack_of(scenario.example))
        return snapshot.serial if snapshot else 0


@pytest.fixture
def bench(warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(warm, cli, sandbox, tmp_path / "state.db")


def play_all(bench: Bench, scenario: Scenario, deaths: list[Death], expected: Mapping[str, Any]) -> None:
    failures = []
    CASES["runs that were killed, and a second run that finished"] += len(deaths)
    for dies in deaths:
        try:
            bench.play(scenario, dies, expected)
        except AssertionError as problem:
            failures.append(f"{scenario} {dies}\n{problem}")
    assert not failures, f"{len(failures)} of {len(deaths)} cases\n\n" + "\n\n".join(failures)


@pytest.mark.parametrize("scenario", STATIC, ids=str)
def test_a_sample(scenario: Scenario, bench: Bench) -> None:
    deaths, expected = bench.undisturbed(scenario)
    assert len(deaths) > 80
    play_all(bench, scenario, random.Random(str(scenario)).sample(deaths, 10), expected)


@pytest.mark.full
@pytest.mark.parametrize("scenario", STATIC, ids=str)
def test_everywhere(scenario: Scenario, bench: Bench) -> None:
    deaths, expected = bench.undisturbed(scenario)
    assert len(deaths) > 80
    play_all(bench, scenario, deaths, expected)
