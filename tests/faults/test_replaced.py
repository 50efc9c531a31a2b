"""A replace that is killed between its two halves: the next run makes what the first one promised."""

import json
import random
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from state.snapshot import Snapshot
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
KEPT = Scenario(
    "dataset_cleanup-kept",
    NAME,
    {"config.toml": (('"DATASET_VERSION_CREATION"', '"PRE_ANNOTATION"'), ('cpu = "4"', 'cpu = "8"'))},
)
APPLY = ("apply", NAME, "--yes", "--parallel", "1", "--bump", "minor", "--replace", f"processing/{NAME}")
FIRST_SAVE = Death("save", 1, after=True)
WAYS = {"carried over": (REPLACED, APPLY), "kept by --theirs": (KEPT, (*APPLY, "--theirs"))}


class Bench:
    """A user who replaces a processing that has a field of its own, and whose run is killed.

    Args:
        scenario, command: the files do not give the field, or they do and `--theirs` keeps the other value.
    """

    def __init__(
        self,
        warm: Warm,
        cli: Cli,
        sandbox: Sandbox,
        state: Path,
        scenario: Scenario,
        command: tuple[str, ...],
    ) -> None:
        self.scenario = scenario
        self.command = command
        self._warm = warm
        self._cli = cli
        self._sandbox = sandbox
        self._state = state

    def start(self) -> None:
        start_over(self.scenario, self._cli, self._sandbox, self._state)
        self._sandbox.platform.edit_processing(NAME, default_cpu=16)

    def undisturbed(self) -> tuple[list[Death], dict[str, Any]]:
        """Every write and every save as a way to be killed, and all that a whole run leaves."""
        self.start()
        earlier = self._serial()
        ended = self._cli(*self.command)
        assert ended.code == 0, ended.err
        deaths = [("save", number) for number in range(1, self._serial() - earlier + 1)]
        sent = enumerate(self._sandbox.requests(), start=1)
        deaths += [("request", n) for n, one in sent if one["method"] in ("POST", "DELETE")]
        made = self.outcome()
        assert made["processings"][0]["default_cpu"] == 16
        return [Death(at, number, after) for at, number in deaths for after in (False, True)], made

    def number_of(self, method: str, path: str) -> int:
        """Which request of the last run this was, counted from 1."""
        sent = [(one["method"], one["path"]) for one in self._sandbox.requests()]
        return next(n for n, one in enumerate(sent, start=1) if one[0] == method and one[1].endswith(path))

    def outcome(self) -> dict[str, Any]:
        """What exists, and what the next plan would change of it."""
        return {**world(self._sandbox), "plan": self._cli("plan", NAME, "--exit-code").code}

    def play(self, expected: dict[str, Any], *deaths: Death) -> None:
        """Be killed, each time again, and finish."""
        self.start()
        for dies in deaths:
            run = self._warm.start(list(self.command), self._cli.folder, dies=dies)
            assert self._warm.wait(run) == -signal.SIGKILL, run.err.read_text()
            looked = self._cli("drift", NAME)
            assert "deleted outside" not in looked.out, looked.out
        # Nothing of a run is left that was killed after its last write; the same again is another run.
        if self._has_intents() or self.outcome() != expected:
            again = self._cli(*self.command)
            assert again.code == 0, again.err
        assert self.outcome() == expected, deaths

    def _has_intents(self) -> bool:
        snapshot = self._snapshot()
        return snapshot is not None and bool(snapshot.intents)

    def _serial(self) -> int:
        snapshot = self._snapshot()
        return snapshot.serial if snapshot else 0

    def _snapshot(self) -> Snapshot | None:
        with open_store(str(self._state)) as store:
            return store.load(stack_of(NAME))


@pytest.fixture(params=WAYS)
def bench(request: pytest.FixtureRequest, warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(warm, cli, sandbox, tmp_path / "state.db", *WAYS[request.param])


def test_killed_in_a_sample_of_places(bench: Bench) -> None:
    deaths, expected = bench.undisturbed()
    for dies in random.Random(NAME).sample(deaths, 5):
        bench.play(expected, dies)


@pytest.mark.full
def test_killed_everywhere(bench: Bench) -> None:
    deaths, expected = bench.undisturbed()
    for dies in deaths:
        bench.play(expected, dies)


def test_killed_again_and_again_around_the_create(bench: Bench) -> None:
    """Right after the new object is made, and then by each run that finds it so, after its first save."""
    _, expected = bench.undisturbed()
    made = Death("request", bench.number_of("POST", "/processings"), after=True)
    for times in range(4):
        bench.play(expected, made, *[FIRST_SAVE] * times)


def test_files_that_are_edited_to_what_was_kept_end_it(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
    """Killed after the create; then there is no conflict any more, and nothing stays open."""
    pipeline = start_over(KEPT, cli, sandbox, tmp_path / "state.db")
    sandbox.platform.edit_processing(NAME, default_cpu=16)
    sandbox.fail("POST", "/inputs$", 400)
    assert cli(*APPLY, "--theirs").code == 1
    config = pipeline / "config.toml"
    config.write_text(config.read_text().replace('cpu = "8"', 'cpu = "16"'))

    ended = cli("apply", NAME, "--yes", "--bump", "minor")

    assert ended.code == 0, ended.err
    assert cli("plan", NAME, "--exit-code").code == 0
    with open_store(str(tmp_path / "state.db")) as store:
        snapshot = store.load(stack_of(NAME))
    assert snapshot is not None and not snapshot.intents


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


@pytest.fixture
def refused(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Path:
    """The folder of a processing that a replace with --theirs deleted, and whose create was refused."""
    pipeline = start_over(KEPT, cli, sandbox, tmp_path / "state.db")
    sandbox.platform.edit_processing(NAME, default_cpu=16)
    sandbox.fail("POST", "/processings$", 400)
    assert cli(*APPLY, "--theirs").code == 1
    assert not sandbox.platform.processings()
    return pipeline


def test_every_command_shows_a_value_to_be_kept_and_writes_nothing(
    refused: Path, cli: Cli, sandbox: Sandbox
) -> None:
    for command in (("plan", NAME, "--exit-code"), ("drift", NAME), APPLY[:-2], APPLY):
        shown = cli(*command)
        assert shown.code == 12, command
        assert "16" in shown.out + shown.err and "default_cpu" in shown.out + shown.err, command
    assert not sandbox.platform.processings()

    [stack] = json.loads(cli("drift", NAME, "--json", "-").out)["stacks"]
    advised = [one["put_back"] for one in stack["findings"]]
    for command_line in advised:
        _, *arguments = shlex.split(command_line)
        if "--ours" not in arguments:
            assert cli(*arguments, "--yes").code == 12, command_line
    assert not sandbox.platform.processings()


@pytest.mark.parametrize(("choice", "cpu"), [("--theirs", 16), ("--ours", 8)])
def test_the_next_run_makes_it_with_the_side_that_is_chosen(
    choice: str, cpu: int, refused: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", NAME, "--yes", "--bump", "minor", choice).code == 0
    [made] = sandbox.platform.processings()
    assert made["default_cpu"] == cpu


def test_a_value_to_be_kept_can_be_adopted(refused: Path, cli: Cli, sandbox: Sandbox) -> None:
    adopted = cli("adopt", NAME, f"processing/{NAME}#default_cpu", "--yes")
    assert adopted.code == 0, adopted.err
    assert 'cpu = "16"' in (refused / "config.toml").read_text()
    assert cli("apply", NAME, "--yes", "--bump", "minor").code == 0
    [made] = sandbox.platform.processings()
    assert made["default_cpu"] == 16
