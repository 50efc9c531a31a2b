"""A run is killed, and then another command follows, or the same one with other files.

The sweeps beside this one repeat the command that was killed. Here the user keeps the edit, takes it back,
corrects it, or deletes the folder, and runs every command. What the killed run was creating was changed by
hand meanwhile. `make test` samples the requests; `make test-full` leaves none out.
"""

import random
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.core.values import Address
from state.snapshot import Snapshot
from state.stores.opening import open_store
from tests.conftest import CASES, Cli, Ended, stack_of
from tests.faults.conftest import CHANGED, Edits, Scenario, edit, put, start_over
from tests.faults.warm import Death, Warm

NAME = "examples/dataset_cleanup"
VERSION = '[[model_versions]]\norigin_name = "SiteDetector"\nname = "{}"\nframework = "ONNX"\n'
VERSION += 'inference_type = "OBJECT_DETECTION"\n\n'
BASE = "# The sandbox's registry"


def elsewhere(name: str) -> Edits:
    """Another repository for the image."""
    return {"config.toml": ((NAME, name),)}


def one_more(name: str) -> Edits:
    """One more model version."""
    return {"config.toml": ((BASE, VERSION.format(name) + BASE),)}


@dataclass(frozen=True)
class Change:
    """The files of the run that is killed, and those of a user who corrects them afterwards."""

    scenario: Scenario
    corrected: Edits

    def __str__(self) -> str:
        return self.scenario.name


CHANGES = [
    Change(Scenario("a first apply", "dataset_cleanup"), elsewhere("corrected/name")),
    Change(
        Scenario(
            "another image and other inputs",
            "dataset_cleanup",
            {**CHANGED, "config.toml": (*CHANGED["config.toml"], (NAME, "mistyped/name"))},
        ),
        elsewhere("corrected/name"),
    ),
    Change(Scenario("one more model version", "multi_training", one_more("mistyped")), one_more("corrected")),
]
KEPT, BACK, CORRECTED, GONE = "kept", "taken back", "corrected", "gone"
READS = (("plan", "--all"), ("plan", "--all", "--prune"), ("drift", "--all"), ("status", "--all"))
WRITES = (
    ("apply", "--all", "--ours"),
    ("apply", "--all", "--ours", "--prune"),
    ("destroy", "--all"),
    ("destroy", "--all", "--prune"),
    ("rollback", "--all"),
    ("adopt", "{example}"),
)


class Bench:
    """A user whose run is killed, and who goes on with something else."""

    def __init__(self, warm: Warm, cli: Cli, sandbox: Sandbox, state: Path) -> None:
        self._warm = warm
        self._cli = cli
        self._sandbox = sandbox
        self._state = state

    def writes(self, change: Change) -> list[int]:
        """The numbers of the requests that write, in a run that nothing disturbs."""
        self._start(change)
        assert self._cli("apply", change.scenario.example, "--yes", "--parallel", "1").code == 0
        asked = enumerate(self._sandbox.requests(), 1)
        return [number for number, one in asked if one["method"] not in ("GET", "HEAD")]

    def kill(self, change: Change, dies: Death, files: str) -> None:
        """The run that is killed, and the edits of the user after it."""
        folder = self._start(change)
        arguments = ["apply", change.scenario.example, "--yes", "--parallel", "1"]
        run = self._warm.start(arguments, self._cli.folder, dies=dies)
        assert self._warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        self._change_by_hand()
        if files in (BACK, CORRECTED):
            put(change.scenario, self._cli.folder, self._sandbox)
        if files == CORRECTED:
            edit(Scenario("", "", change.corrected), folder)
        if files == GONE:
            shutil.rmtree(folder)

    def go_on(self, change: Change, files: str, command: Sequence[str]) -> list[str]:
        """What is wrong with a command of this user."""
        if files == GONE:
            command = ("destroy", "--stack", stack_of(change.scenario.example), *command[2:])
        is_read = command in READS
        arguments = [one.format(example=change.scenario.example) for one in command]
        ended = self._cli(*arguments, *(() if is_read else ("--yes",)))
        found = [f"{ended.code}\n{ended.err}"] if not self._is_good(command[0], ended) else []
        if not is_read and ended.code == 0 and command[0] != "adopt":
            found += [f"{text} is open" for text in self._open()]
        return found

    def _is_good(self, command: str, ended: Ended) -> bool:
        if "Traceback" in ended.err or "a bug in reconciler" in ended.out + ended.err:
            return False
        if "versions that are not of this pipeline" in ended.err:  # so the model is not deleted
            return ended.code == 1
        if not self._load():  # it was killed before its first save
            return ended.code in (0, 1, 10)
        codes = {"drift": (0, 10, 11, 12), "rollback": (0, 1), "adopt": (0, 1)}.get(command, (0,))
        return ended.code in codes and (ended.code != 1 or "error: " in ended.err)

    def _start(self, change: Change) -> Path:
        return start_over(change.scenario, self._cli, self._sandbox, self._state)

    def _load(self) -> list[Snapshot]:
        with open_store(str(self._state)) as store:
            found = [store.load(stack) for stack in store.stacks()]
        return [one for one in found if one is not None]

    def _open(self) -> list[str]:
        return [text for one in self._load() for text in one.intents]

    def _change_by_hand(self) -> None:
        platform = self._sandbox.platform
        for address in map(Address.parse, self._open()):
            match address.kind, address.name:
                case "processing", (name,) if platform.processing(name) is not None:
                    platform.edit_processing(name, default_cpu=64)
                case "model-version", (model, name) if platform.version(model, name) is not None:
                    platform.edit_version(model, name, framework="TENSORFLOW")


@pytest.fixture
def bench(warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Bench:
    return Bench(warm, cli, sandbox, tmp_path / "state.db")


Case = tuple[Death, str, tuple[str, ...]]  # where the run is killed, the files afterwards, and the command


def commands(files: str) -> Sequence[tuple[str, ...]]:
    """The commands that write which a user may run with these files."""
    return (("destroy", "--stack"), ("destroy", "--stack", "--prune")) if files == GONE else WRITES


def files_of(change: Change) -> tuple[str, ...]:
    return (KEPT, CORRECTED, GONE) if change.scenario.edits is None else (KEPT, BACK, CORRECTED, GONE)


def play(bench: Bench, change: Change, cases: Sequence[Case]) -> None:
    failures = []
    CASES["runs that were killed, and another command"] += len(cases)
    for dies, files, command in cases:
        bench.kill(change, dies, files)
        for one in (*(() if files == GONE else READS), command):
            for problem in bench.go_on(change, files, one):
                failures.append(f"{change}, killed {dies}, files {files}, {' '.join(one)}: {problem}")
    assert not failures, f"{len(failures)} problems\n\n" + "\n\n".join(failures)


def deaths(bench: Bench, change: Change) -> list[Death]:
    return [Death("request", number, after) for number in bench.writes(change) for after in (False, True)]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_a_sample(bench: Bench, change: Change) -> None:
    """Two commands for all that the files may be."""
    chance, found = random.Random(str(change)), deaths(bench, change)
    play(
        bench,
        change,
        [
            (chance.choice(found), files, command)
            for files in files_of(change)
            for command in chance.sample(commands(files), 2)
        ],
    )


@pytest.mark.full
@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_everywhere(bench: Bench, change: Change) -> None:
    """All that the files may be, and one of the commands by turns."""
    turns = {files: cycle(commands(files)) for files in files_of(change)}
    play(
        bench,
        change,
        [(death, files, next(turns[files])) for death in deaths(bench, change) for files in files_of(change)],
    )
