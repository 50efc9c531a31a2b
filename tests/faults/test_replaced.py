"""A replace that is killed between its two halves: the next run makes what the first one promised."""

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import Cli, stack_of
from tests.faults.conftest import Scenario, start_over, world
from tests.faults.warm import Death, Warm

NAME = "dataset_cleanup"
REPLACED = Scenario(
    "dataset_cleanup-replaced",
    NAME,
    {"config.toml": (('"DATASET_VERSION_CREATION"', '"PRE_ANNOTATION"'), ('cpu = "4"\n', ""))},
)
APPLY = ("apply", NAME, "--yes", "--parallel", "1", "--bump", "minor", "--replace", f"processing/{NAME}")


class Bench:
    """A user who replaces a processing that has a field of its own, and whose run is killed."""

    def __init__(self, warm: Warm, cli: Cli, sandbox: Sandbox, state: Path) -> None:
        self._warm = warm
        self._cli = cli
        self._sandbox = sandbox
        self._state = state

    def start(self) -> None:
        start_over(REPLACED, self._cli, self._sandbox, self._state)
        self._sandbox.platform.edit_processing(NAME, default_cpu=16)

    def undisturbed(self) -> tuple[list[Death], dict[str, Any]]:
        """Every write and every save as a way to be killed, and the world that a whole run leaves."""
        self.start()
        earlier = self._serial()
        ended = self._cli(*APPLY)
        assert ended.code == 0, ended.err
        deaths = [("save", number) for number in range(1, self._serial() - earlier + 1)]
        sent = enumerate(self._sandbox.requests(), start=1)
        deaths += [("request", n) for n, one in sent if one["method"] in ("POST", "DELETE")]
        made = world(self._sandbox)
        assert made["processings"][0]["default_cpu"] == 16
        return [Death(at, number, after) for at, number in deaths for after in (False, True)], made

    def play(self, dies: Death, expected: dict[str, Any]) -> None:
        self.start()
        run = self._warm.start(list(APPLY), self._cli.folder, dies=dies)
        assert self._warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        looked = self._cli("drift", NAME)
        assert "deleted outside" not in looked.out, looked.out
        again = self._cli(*APPLY)
        assert again.code == 0, again.err
        assert world(self._sandbox) == expected
        assert self._cli("plan", NAME, "--exit-code").code == 0

    def _serial(self) -> int:
        with open_store(str(self._state)) as store:
            snapshot = store.load(stack_of(NAME))
        return snapshot.serial if snapshot else 0


@pytest.fixture
def bench(warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(warm, cli, sandbox, tmp_path / "state.db")


def test_killed_in_a_sample_of_places(bench: Bench) -> None:
    deaths, expected = bench.undisturbed()
    for dies in random.Random(NAME).sample(deaths, 5):
        bench.play(dies, expected)


@pytest.mark.full
def test_killed_everywhere(bench: Bench) -> None:
    deaths, expected = bench.undisturbed()
    for dies in deaths:
        bench.play(dies, expected)


def test_what_is_ignored_or_kept_goes_over_to_the_new_one(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """The create is refused, and the same command again finishes the replace."""
    ignored = f'[reconciler]\nignore_changes = {{ "processing/{NAME}" = ["description"] }}\n'
    edits = {
        "config.toml": (
            *REPLACED.edits["config.toml"][:1],
            ('cpu = "4"', 'cpu = "8"'),
            ("\n# The sandbox's", f"\n{ignored}\n# The sandbox's"),
        )
    }
    start_over(Scenario(NAME, NAME, edits), cli, sandbox, tmp_path / "state.db")
    sandbox.platform.edit_processing(NAME, default_cpu=16, description="load test")
    command = (*APPLY, "--theirs", f"processing/{NAME}")
    sandbox.fail("POST", "/processings$", 400)
    assert cli(*command).code == 1
    assert not sandbox.platform.processings()
    assert cli(*command).code == 0
    [made] = sandbox.platform.processings()
    assert (made["type"], made["default_cpu"], made["description"]) == ("PRE_ANNOTATION", 16, "load test")
