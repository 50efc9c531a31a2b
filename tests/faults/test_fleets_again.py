"""A rollback of several pipelines that was cut short: the same command again does only what is left.

`make test` samples; `make test-full` kills the run everywhere.
"""

import os
import random
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli
from tests.faults.commands import User
from tests.faults.warm import Death, Warm
from tests.fleet import made

COUNT = 3
BACK = ("rollback", "--all", "--yes", "--jobs", "1")
NAMES = [f"pipeline_{number:04}" for number in range(COUNT)]


class Fleet:
    """Pipelines with three versions of their description: first, good and bad."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.sandbox = user.sandbox

    def start(self) -> None:
        """All of them are at the bad one."""
        user = self.user
        self.sandbox.switch(faults=[])
        self.sandbox.reset()
        for file in user.state.parent.glob(f"{user.state.name}*"):
            file.unlink()
        for name in NAMES:
            shutil.rmtree(user.cli.folder / name, ignore_errors=True)
        folders = made.pipelines(user.cli.folder, self.sandbox.registry, COUNT)
        made.publish(folders, self.sandbox)
        made.record(folders, user.cli.folder)
        for text in ("good", "bad"):
            for folder in folders:
                config = folder / "config.toml"
                config.write_text(re.sub("description = .*", f'description = "{text}"', config.read_text()))
            user.succeeds("apply", "--all", "--yes")
        self.sandbox.clear_requests()

    def descriptions(self) -> dict[str, str]:
        return {one["name"]: one["description"] for one in self.sandbox.platform.processings()}


@pytest.fixture
def fleet(cli: Cli, sandbox: Sandbox, tmp_path: Path, classes_once: None) -> Fleet:
    return Fleet(User(cli, sandbox, sandbox, tmp_path / "state.db"))


GOOD = dict.fromkeys(NAMES, "good")


def test_after_a_failure_the_finished_ones_go_no_further_back(fleet: Fleet) -> None:
    fleet.start()
    broken = fleet.sandbox.platform.processing(NAMES[1])
    assert broken is not None
    fleet.sandbox.fail("PATCH", f"/api/processing/{broken['id']}$", 422, times=None)

    failed = fleet.user.cli(*BACK)

    assert failed.code == 1
    assert fleet.descriptions() == {**GOOD, NAMES[1]: "bad"}
    assert "does only what is left" in failed.err
    fleet.sandbox.switch(faults=[])
    for _ in range(2):
        again = fleet.user.cli(*BACK)
        assert again.code == 0, again.err
        assert fleet.descriptions() == GOOD
        assert "the last run was a rollback, so its target stays the same" in again.err


def kills(fleet: Fleet, warm: Warm, deaths: Sequence[Death]) -> None:
    CASES["rollbacks of several pipelines that were killed"] += len(deaths)
    for death in deaths:
        fleet.start()
        run = warm.start(BACK, fleet.user.cli.folder, dies=death)
        assert warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        for _ in range(2):
            again = fleet.user.cli(*BACK)
            assert again.code == 0, f"{death}\n{again.err}"
            assert fleet.descriptions() == GOOD, f"{death}\n{again.err}"


def every_death(fleet: Fleet) -> list[Death]:
    fleet.start()
    before = fleet.user.saves()
    fleet.user.succeeds(*BACK)
    counts = {"request": len(fleet.sandbox.requests()), "save": fleet.user.saves() - before}
    assert fleet.descriptions() == GOOD and min(counts.values()) >= COUNT
    return [
        Death(at, number, after)
        for at, count in counts.items()
        for number in range(1, count + 1)
        for after in (False, True)
    ]


def test_killed_somewhere(fleet: Fleet, warm: Warm) -> None:
    deaths = every_death(fleet)
    last = [one for one in deaths if one.at == "save"][-1]
    kills(fleet, warm, [last, *random.Random(11).sample(deaths, 2)])


@pytest.mark.full
def test_killed_everywhere(fleet: Fleet, warm: Warm) -> None:
    kills(fleet, warm, every_death(fleet))


@pytest.mark.parametrize("times", [1, 2])
def test_after_ctrl_c(times: int, fleet: Fleet, warm: Warm) -> None:
    """Once lets the pipeline in hand finish; twice stops at once, and names what is unknown."""
    fleet.start()
    fleet.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", "hang", seconds=0.5 if times == 1 else 60.0)
    run = warm.start(BACK, fleet.user.cli.folder)
    while not fleet.sandbox.writes(service="platform"):
        os.sched_yield()
    run.signal(signal.SIGINT)
    if times == 2:
        while "interrupt again to stop now" not in run.err.read_text():
            os.sched_yield()
        run.signal(signal.SIGINT)

    assert warm.wait(run) == 130, run.err.read_text()
    done = [name for name, text in fleet.descriptions().items() if text == "good"]
    assert len(done) < COUNT
    if times == 2:
        unknown = f"stopped: 0 changes made; under way, so unknown: processing/{NAMES[0]} of {NAMES[0]}. "
        assert unknown in run.err.read_text()

    fleet.sandbox.switch(faults=[])
    again = fleet.user.cli(*BACK)

    assert again.code == 0, again.err
    assert fleet.descriptions() == GOOD


def test_one_pipeline_alone_goes_further_back(fleet: Fleet) -> None:
    fleet.start()
    fleet.user.succeeds(*BACK)
    fleet.user.succeeds("rollback", NAMES[0], "--yes")
    assert fleet.descriptions() == {**GOOD, NAMES[0]: "Number 0 of a fleet."}
