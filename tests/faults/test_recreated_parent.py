"""An object that is created again has no children yet. Nothing offers to delete them from the files."""

import json
import random
import signal
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.commands.untouched import snapshot
from tests.conftest import CASES, Cli, stack_of
from tests.faults.conftest import Scenario, start_over, world
from tests.faults.warm import Death, Warm

NAME = "dataset_cleanup"
APPLY = ("apply", NAME, "--yes", "--parallel", "1")
FIELDS = (
    *("default_cpu", "default_gpu", "default_parameters", "description"),
    *("docker_flags", "docker_image", "docker_tag", "target", "type"),
)


class Bench:
    """A user whose processing was deleted outside, and whose apply is killed.

    Args:
        is_recreated: whether it was also created again outside, without its inputs.
    """

    def __init__(self, warm: Warm, cli: Cli, sandbox: Sandbox, state: Path, *, is_recreated: bool) -> None:
        self._warm = warm
        self._cli = cli
        self._sandbox = sandbox
        self._state = state
        self._is_recreated = is_recreated

    def start(self) -> None:
        start_over(Scenario(NAME, NAME, {}), self._cli, self._sandbox, self._state)
        platform = self._sandbox.platform
        before = platform.processing(NAME)
        assert before is not None
        platform.delete_processing(NAME)
        if self._is_recreated:
            platform.create_processing(NAME, **{name: before[name] for name in FIELDS})
        self._sandbox.clear_requests()

    def undisturbed(self) -> tuple[list[Death], object]:
        """Every write and every save as a way to be killed, and all that a whole run leaves."""
        self.start()
        earlier = self._serial()
        assert self._cli(*APPLY).code == 0
        sent = enumerate(self._sandbox.requests(), start=1)
        places = [("request", number) for number, one in sent if one["method"] not in ("GET", "HEAD")]
        places += [("save", number) for number in range(1, self._serial() - earlier + 1)]
        deaths = [Death(at, number, after) for at, number in places for after in (False, True)]
        return deaths, world(self._sandbox)

    def play(self, dies: Death, expected: object) -> None:
        self.start()
        run = self._warm.start(APPLY, self._cli.folder, dies=dies)
        assert self._warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        before = snapshot(self._cli.folder)
        (stack,) = json.loads(self._cli("drift", NAME, "--json", "-").out)["stacks"]
        offered = [one["address"] for one in stack["findings"] if one["take_over"]]
        assert [address for address in offered if address.startswith("input/")] == [], dies
        assert self._cli("adopt", NAME).out == "", dies
        assert snapshot(self._cli.folder) == before, dies
        assert self._cli(*APPLY).code == 0, dies
        assert world(self._sandbox) == expected, dies
        CASES["kills while an object is created again"] += 1

    def _serial(self) -> int:
        with open_store(str(self._state)) as store:
            snapshot = store.load(stack_of(NAME))
        assert snapshot is not None
        return snapshot.serial


@pytest.fixture(params=[False, True], ids=["deleted", "recreated"])
def bench(request: pytest.FixtureRequest, warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(warm, cli, sandbox, tmp_path / "state.db", is_recreated=request.param)


def test_killed_in_a_sample_of_places(bench: Bench) -> None:
    deaths, expected = bench.undisturbed()
    for dies in random.Random(NAME).sample(deaths, 5):
        bench.play(dies, expected)


@pytest.mark.full
def test_killed_everywhere(bench: Bench) -> None:
    deaths, expected = bench.undisturbed()
    for dies in deaths:
        bench.play(dies, expected)
