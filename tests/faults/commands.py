"""The commands beside apply that write: how each is started, and what it leaves when nothing disturbs it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.sandbox import Sandbox
from providers.sandbox.settings import Fault
from state.snapshot import Snapshot
from state.stores.opening import open_store
from tests.conftest import Cli
from tests.faults.conftest import CHANGED, UUID, Scenario, digests_in, edit, shape, start_over, world

CLEANUP = Scenario("dataset_cleanup", "dataset_cleanup")
EDITED = Scenario("dataset_cleanup-changed", "dataset_cleanup", CHANGED)
TRAININGS = Scenario("multi_training", "multi_training")


@dataclass(frozen=True)
class Request:
    """A request of an undisturbed run: the `number`-th to its server."""

    server: Sandbox
    number: int
    shape: str

    def __str__(self) -> str:
        return f"request {self.number} to {self.server.registry}, {self.shape}"


@dataclass(frozen=True)
class User:
    """A user with one pipeline, and all that the commands touch.

    Attributes:
        sandbox: the platform and the registry that the user is signed in to.
        beside: a second platform with a registry of its own.
    """

    cli: Cli
    sandbox: Sandbox
    beside: Sandbox
    state: Path

    @property
    def servers(self) -> tuple[Sandbox, Sandbox]:
        return self.sandbox, self.beside

    def started_over(self, scenario: Scenario) -> Path:
        """The scenario's pipeline, as it was edited, with a state before that."""
        self.beside.reset()
        return start_over(scenario, self.cli, self.sandbox, self.state)

    def applied(self, scenario: Scenario, *more: str) -> Path:
        """The scenario's pipeline, applied as it was edited."""
        pipeline = self.started_over(scenario)
        self.succeeds("apply", scenario.example, "--yes", *more)
        return pipeline

    def succeeds(self, *arguments: str) -> None:
        ended = self.cli(*arguments)
        assert ended.code == 0, ended.err

    def requests(self) -> list[Request]:
        """The requests since they were cleared, by server."""
        return [
            Request(server, number, shape(request))
            for server in self.servers
            for number, request in enumerate(server.requests(), 1)
        ]

    def clear_requests(self) -> None:
        for server in self.servers:
            server.clear_requests()

    @contextmanager
    def failing(self, request: Request, way: dict[str, Any]) -> Iterator[None]:
        """One request fails in this way."""
        request.server.switch(faults=[Fault("^/(api|v2)/", nth=request.number, **way)])
        try:
            yield
        finally:
            request.server.switch(faults=[])

    def saves(self) -> int:
        """How often a state was saved, of all stacks."""
        return sum(snapshot.serial for snapshot in self._states())

    def recorded(self) -> dict[str, Any]:
        """All states, without what differs between two runs that are the same for every purpose."""
        found = {
            one.stack: {
                "open": sorted(one.intents),
                "outcome": one.outcome,
                "resources": {
                    address: {**resource.inputs, "depends on": sorted(resource.depends_on)}
                    for address, resource in sorted(one.resources.items())
                },
            }
            for one in self._states()
            if one.resources or one.intents
        }
        plain: dict[str, Any] = json.loads(re.sub(UUID, "…", json.dumps(found, default=dict)))
        return plain

    def _states(self) -> list[Snapshot]:
        with open_store(str(self.state)) as store:
            loaded = [store.load(stack) for stack in store.stacks()]
        return [snapshot for snapshot in loaded if snapshot is not None]


@dataclass(frozen=True, eq=False)
class Command:
    """A command and the world that it is run in.

    Attributes:
        arguments: the same for the run that is disturbed and the one after it.
        prepare: brings about what is there before; gives the pipeline's folder.
        builds: whether it may publish an image that no registry had before.
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[User], Path]
    builds: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def example(self) -> str:
        return self.arguments[1]

    def start(self, user: User) -> Path:
        """The world and the files before the run that is disturbed; where the files are."""
        pipeline = self.prepare(user)
        user.clear_requests()
        return pipeline


def outcome(user: User, pipeline: Path) -> dict[str, Any]:
    """All that a command may leave: what exists, the states, and the folder's config.toml."""
    return {
        "worlds": [world(server) for server in user.servers],
        "states": user.recorded(),
        "config.toml": (pipeline / "config.toml").read_text(),
    }


def differences(found: Any, expected: Any, where: str = "") -> list[str]:
    """The places in which two outcomes differ, with both values."""
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            line
            for key in sorted(found.keys() | expected.keys())
            for line in differences(found.get(key), expected.get(key), f"{where} / {key}")
        ]
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        pairs = enumerate(zip(found, expected, strict=True))
        return [line for number, pair in pairs for line in differences(*pair, f"{where} / {number}")]
    return [] if found == expected else [f"{where}: {found!r} instead of {expected!r}"]


def tags(user: User) -> dict[str, str]:
    """The digest of each image's tag, by its full name, in both registries."""
    return {
        f"{server.registry}/{name}": digest
        for server in user.servers
        for name, digest in digests_in(server).items()
    }


def _changed_outside(user: User) -> Path:
    pipeline = user.applied(CLEANUP)
    user.sandbox.platform.edit_processing("dataset_cleanup", description="theirs", default_cpu=7)
    return pipeline


def _candidate(user: User, *repository: str) -> Path:
    """LIVE runs a release, and TEST a candidate of edited files with a statement about it.

    Args:
        repository: that of LIVE; without it, both environments have one repository.
    """
    (user.cli.folder / "reconciler.toml").write_text(
        "".join(
            f'[environments.{name}]\nhost = "{server.url}"\norganization = "{server.organization}"\n'
            f'channel = "{name.lower()}"\ntoken = "PICSELLIA_TOKEN"\n'
            for name, server in zip(("TEST", "LIVE"), user.servers, strict=True)
        )
    )
    pipeline = user.started_over(CLEANUP)
    config = pipeline / "config.toml"
    text = config.read_text().replace("[reconciler.image]\n", "[reconciler.image]\nprovenance = true\n")
    assert "provenance" in text
    for name in repository:
        text += f'\n[reconciler.env.LIVE.docker]\nimage_name = "{name}"\n'
    config.write_text(text)
    user.succeeds("apply", CLEANUP.example, "--env", "TEST", "--yes")
    user.succeeds(*PROMOTE)
    edit(EDITED, pipeline)
    user.succeeds("apply", CLEANUP.example, "--env", "TEST", "--yes", "--bump", "rc")
    return pipeline


ONE_BY_ONE = ("--yes", "--parallel", "1")
PROMOTE = ("promote", "dataset_cleanup", "--from", "TEST", "--to", "LIVE", "--final", *ONE_BY_ONE)
COMMANDS = [
    Command(
        "deploy",
        ("deploy", "dataset_cleanup", *ONE_BY_ONE, "--bump", "minor"),
        lambda user: user.started_over(EDITED),
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
    Command("destroy", ("destroy", "dataset_cleanup", *ONE_BY_ONE), lambda user: user.applied(CLEANUP)),
    Command(
        "destroy --prune",
        ("destroy", "multi_training", *ONE_BY_ONE, "--prune"),
        lambda user: user.applied(TRAININGS),
    ),
    Command("adopt", ("adopt", "dataset_cleanup", "--yes"), _changed_outside),
    *(
        Command(f"promote {where}", PROMOTE, prepare, builds=False)
        for where, prepare in (
            ("to a registry", lambda user: _candidate(user, f"{user.beside.registry}/live/app")),
            ("to a repository", lambda user: _candidate(user, f"{user.sandbox.registry}/live/app")),
            ("by a tag", _candidate),
        )
    ),
]
