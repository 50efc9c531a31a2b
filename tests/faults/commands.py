"""The commands beside apply that write: how each is started, and what it leaves when nothing disturbs it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import Cli, stack_of
from tests.faults.conftest import CHANGED, Scenario, start_over, world

CLEANUP = Scenario("dataset_cleanup", "dataset_cleanup")
EDITED = Scenario("dataset_cleanup-changed", "dataset_cleanup", CHANGED)
TRAININGS = Scenario("multi_training", "multi_training")


@dataclass(frozen=True)
class User:
    """A user with one pipeline, and all that the commands touch."""

    cli: Cli
    sandbox: Sandbox
    state: Path

    def applied(self, scenario: Scenario, *more: str) -> Path:
        """The scenario's pipeline, applied as it was edited."""
        pipeline = start_over(scenario, self.cli, self.sandbox, self.state)
        ended = self.cli("apply", scenario.example, "--yes", *more)
        assert ended.code == 0, ended.err
        return pipeline

    def serial(self, example: str) -> int:
        with open_store(str(self.state)) as store:
            snapshot = store.load(stack_of(example))
        return snapshot.serial if snapshot else 0


@dataclass(frozen=True, eq=False)
class Command:
    """A command and the world that it is run in.

    Attributes:
        arguments: the same for the run that is disturbed and the one after it.
        prepare: brings about what is there before; gives the pipeline's folder.
        done: said, with exit code 1, by a run that finds everything done; "" where that is a success.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[User], Path]
    done: str = ""

    def __str__(self) -> str:
        return self.name

    @property
    def example(self) -> str:
        return self.arguments[1]

    def start(self, user: User) -> Path:
        """The world and the files before the run that is disturbed; where the files are."""
        pipeline = self.prepare(user)
        user.sandbox.clear_requests()
        return pipeline


def outcome(user: User, pipeline: Path) -> dict[str, Any]:
    """All that a command may leave: what exists, and the folder's config.toml."""
    return {**world(user.sandbox), "config.toml": (pipeline / "config.toml").read_text()}


def _changed_outside(user: User) -> Path:
    pipeline = user.applied(CLEANUP)
    user.sandbox.platform.edit_processing("dataset_cleanup", description="theirs", default_cpu=7)
    return pipeline


ONE_BY_ONE = ("--yes", "--parallel", "1")
NOTHING = "nothing to destroy"
COMMANDS = [
    Command(
        "deploy",
        ("deploy", "dataset_cleanup", *ONE_BY_ONE, "--bump", "minor"),
        lambda user: start_over(EDITED, user.cli, user.sandbox, user.state),
    ),
    Command(
        "rollback",
        ("rollback", "dataset_cleanup", *ONE_BY_ONE),
        lambda user: user.applied(EDITED, "--bump", "minor"),
    ),
    Command(
        "rollback --write",
        ("rollback", "dataset_cleanup", *ONE_BY_ONE, "--write"),
        lambda user: user.applied(EDITED, "--bump", "minor"),
    ),
    Command(
        "destroy", ("destroy", "dataset_cleanup", *ONE_BY_ONE), lambda user: user.applied(CLEANUP), NOTHING
    ),
    Command(
        "destroy --prune",
        ("destroy", "multi_training", *ONE_BY_ONE, "--prune"),
        lambda user: user.applied(TRAININGS),
        NOTHING,
    ),
    Command("adopt", ("adopt", "dataset_cleanup", "--yes"), _changed_outside),
]
