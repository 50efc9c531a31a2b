"""An image that an environment does not run is not given to another one, whatever became of the apply there.

Each write of the apply to TEST fails. Then `promote`, and an apply through the gate of LIVE, give LIVE no
image that some object of TEST does not run.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from urllib3.util.retry import Retry

import providers.retries
from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from providers.sandbox.settings import Fault
from tests.conftest import CASES, Cli, Ended, copy_example
from tests.quick import skip_waits

PROCESSING, TRAINING = "dataset_cleanup", "multi_training"
TEST, LIVE = ("--env", "TEST"), ("--env", "LIVE")
ONE_BY_ONE = ("--yes", "--parallel", "1")


@dataclass
class World:
    """A pipeline of TEST, whose image LIVE gets only if TEST runs it."""

    cli: Cli
    sandbox: Sandbox
    state: Path
    name: str
    pinned: bool

    def start_over(self, *, again: bool) -> None:
        """Nothing was applied yet, or the files are edited since the apply to TEST."""
        for file in self.state.parent.glob(f"{self.state.name}*"):
            file.unlink()
        self.sandbox.reset()
        folder = self.cli.folder / self.name
        if not folder.exists():
            copy_example(self.name, self.cli.folder, self.sandbox.registry)
            config = folder / "config.toml"
            config.write_text(config.read_text().replace('version = "1.0"', 'version = "1.0.0"'))
        self.edit("print('first')\n", "1.0.0")
        if again:
            assert self.apply(*TEST).code == 0
            self.edit("print('second')\n", "1.0.1")
        self.sandbox.clear_requests()

    def edit(self, source: str, version: str) -> None:
        (self.cli.folder / self.name / "pipeline.py").write_text(source)
        config = self.cli.folder / self.name / "config.toml"
        before = "1.0.0" if version == "1.0.1" else "1.0.1"
        config.write_text(config.read_text().replace(f'version = "{before}"', f'version = "{version}"'))

    def rename_image(self) -> None:
        """To a name that comes before the present one."""
        config = self.cli.folder / self.name / "config.toml"
        text = config.read_text()
        assert f"/examples/{self.name}" in text
        config.write_text(text.replace(f"/examples/{self.name}", "/a/renamed"))

    def apply(self, *more: str) -> Ended:
        return self.cli("apply", self.name, *ONE_BY_ONE, *more)

    def promote(self) -> Ended:
        return self.cli("promote", self.name, "--from", "TEST", "--to", "LIVE", *ONE_BY_ONE)

    def run_in(self, environment: str) -> set[str | None]:
        """The digests that the objects of an environment run."""
        platform = self.sandbox.account(environment).platform
        objects: list[dict[str, Any]] = [
            *platform.processings(),
            *(version for model in platform.models() for version in platform.versions(model["name"])),
        ]
        return {_digest(one["docker_image"], one["docker_tag"]) for one in objects}


def _digest(repository: str, tag: str) -> str | None:
    with RegistryClient(repository) as registry:
        return registry.digest(tag)


@pytest.fixture
def world(
    cli: Cli, environments: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str, bool], World]]:
    monkeypatch.setattr(providers.retries, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    skip_waits(monkeypatch)

    def made(name: str, pinned: bool) -> World:
        workspace = cli.folder / "reconciler.toml"
        text = workspace.read_text().replace(
            "[environments.LIVE]", '[environments.LIVE]\npromote_from = "TEST"'
        )
        if pinned:
            text = text.replace("\nchannel =", '\npin = "version"\nchannel =')
        workspace.write_text(text)
        return World(cli, environments, tmp_path / "state.db", name, pinned)

    yield made
    environments.switch(faults=[])


def nothing_gets_through(it: World, what: object) -> None:
    """Neither by `promote` nor through the gate, whatever these two say."""
    for command in (it.promote, lambda: it.apply(*LIVE)):
        ended = command()
        assert ended.code in (0, 12), (what, ended)
        proved = it.run_in("TEST")
        assert it.run_in("LIVE") <= (proved if len(proved) == 1 else set()), (what, ended)
        assert ended.code == 12 or it.run_in("LIVE") == proved != set(), (what, ended)


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
@pytest.mark.parametrize("pinned", [False, True], ids=["channel", "pinned"])
@pytest.mark.parametrize("name", [PROCESSING, TRAINING])
def test_a_failed_apply_proves_no_image(
    world: Callable[[str, bool], World], name: str, pinned: bool, again: bool
) -> None:
    it = world(name, pinned)
    it.start_over(again=again)
    assert it.apply(*TEST).code == 0
    writes = [
        number
        for number, request in enumerate(it.sandbox.requests(), 1)
        if request["method"] not in ("GET", "HEAD") and "/blobs/" not in request["path"]
    ]
    nothing_gets_through(it, "nothing failed")
    assert it.run_in("LIVE") == it.run_in("TEST") != set()
    assert len(writes) > 2
    for number in writes:
        it.start_over(again=again)
        it.sandbox.switch(faults=[Fault("^/(api|v2)/", 403, nth=number)])
        failed = it.apply(*TEST)
        it.sandbox.switch(faults=[])
        assert failed.code in (1, 12, 13), failed
        nothing_gets_through(it, (number, failed))
        CASES["writes of an apply that fail before a promotion"] += 1


@pytest.mark.parametrize("pinned", [False, True], ids=["channel", "pinned"])
@pytest.mark.parametrize("name", [PROCESSING, TRAINING])
@pytest.mark.parametrize("case", ["first", "again", "renamed"])
def test_an_image_that_is_applied_alone_is_not_proved(
    world: Callable[[str, bool], World], case: str, name: str, pinned: bool
) -> None:
    it = world(name, pinned)
    it.start_over(again=case != "first")
    repository = f"examples/{name}"
    if case == "renamed":
        it.rename_image()
        repository = "a/renamed"
    assert it.apply(*TEST, "--target", f"image/{it.sandbox.registry}/{repository}").code == 0
    nothing_gets_through(it, case)


def test_the_refusal_says_what_runs_there(world: Callable[[str, bool], World]) -> None:
    it = world(PROCESSING, True)
    it.start_over(again=True)
    assert it.apply(*TEST, "--target", f"image/{it.sandbox.registry}/examples/{PROCESSING}").code == 0

    refused = it.promote()

    digest = next(iter(it.run_in("TEST")))
    assert digest is not None
    assert refused.code == 12
    assert f"TEST published 1.0.1, but processing/{PROCESSING} runs 1.0.0 ({digest[:19]}" in refused.err
    assert f"reconciler apply {PROCESSING} --organization my-test-org --env TEST\n" in refused.err
    assert it.apply(*TEST).code == 0
    assert it.promote().code == 0
    assert it.run_in("LIVE") == it.run_in("TEST")
