"""deploy, rollback, destroy, adopt, promote: each request fails in each way, and runs are killed everywhere.

The same command again leaves what an undisturbed run leaves. `make test` samples; `make test-full` leaves
nothing out.
"""

import random
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from urllib3.util.retry import Retry

import providers.retries
from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli, Ended
from tests.faults.commands import COMMANDS, Command, Request, User, differences, outcome, tags
from tests.faults.test_sweep import TIMEOUT, WAYS, honest
from tests.faults.warm import Death, Warm
from tests.quick import skip_waits

SIGN_IN = 2  # requests before the lock is taken
Case = tuple[Request, str]  # the request, and the way in which it fails


@pytest.fixture
def user(
    cli: Cli,
    sandbox: Sandbox,
    second_platform_apart: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    classes_once: None,
) -> User:
    monkeypatch.setattr(providers.retries, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    skip_waits(monkeypatch)
    return User(cli, sandbox, second_platform_apart, tmp_path / "state.db")


@dataclass(frozen=True)
class Undisturbed:
    """A run that nothing disturbs.

    Attributes:
        requests: all of them.
        saves: how often it saves a state.
        outcome: all that it leaves.
    """

    requests: list[Request]
    saves: int
    outcome: dict[str, Any]


def undisturbed(command: Command, user: User) -> Undisturbed:
    pipeline = command.start(user)
    before = user.saves()
    user.succeeds(*command.arguments)
    return Undisturbed(user.requests(), user.saves() - before, outcome(user, pipeline))


def finished(command: Command, again: Ended) -> None:
    honest(again)
    assert again.code == 0, f"{command} again: {again.code}\n{again.err}"


@contextmanager
def no_tag_moves_elsewhere(command: Command, user: User) -> Iterator[None]:
    """However a run ends: no tag is gone, versions stay, and channels have the image of a version.

    A promotion brings no image that no tag had before.
    """
    before = tags(user)
    yield
    after = tags(user)
    assert before.keys() <= after.keys(), "a tag is gone"
    versions = {name: digest for name, digest in after.items() if is_version(name)}
    moved = sorted(name for name in versions if before.get(name, versions[name]) != versions[name])
    assert not moved, f"versions that moved: {moved}"
    channels = {name: digest for name, digest in after.items() if not is_version(name)}
    stray = sorted(name for name, digest in channels.items() if digest not in versions.values())
    assert not stray, f"channels with an image that no version has: {stray}"
    assert command.builds or set(after.values()) <= set(before.values()), (
        "another image than the promoted one"
    )


def is_version(name: str) -> bool:
    return name.rpartition(":")[2][:1].isdecimal()


def fail(command: Command, user: User, monkeypatch: pytest.MonkeyPatch, case: Case) -> tuple[Path, Ended]:
    """The run in which one request fails. A failed one leaves config.toml as it is."""
    request, way = case
    pipeline = command.start(user)
    config = (pipeline / "config.toml").read_bytes()
    with (
        monkeypatch.context() as impatient,
        user.failing(request, WAYS[way]),
        no_tag_moves_elsewhere(command, user),
    ):
        if "hung" in way:
            impatient.setenv("RECONCILER_TIMEOUT", TIMEOUT)
        first = user.cli(*command.arguments)
    honest(first)
    assert first.code in (0, 1, 12, 13)
    assert first.code == 0 or (pipeline / "config.toml").read_bytes() == config
    return pipeline, first


def sweep(
    command: Command,
    user: User,
    monkeypatch: pytest.MonkeyPatch,
    cases: Sequence[Case],
    expected: Mapping[str, Any],
) -> None:
    failures = []
    CASES["requests of the other commands that write that failed"] += len(cases)
    for case in cases:
        said = ""
        try:
            pipeline, first = fail(command, user, monkeypatch, case)
            said = first.err
            if first.code != 0:
                finished(command, user.cli(*command.arguments))
            assert not differences(outcome(user, pipeline), expected)
        except AssertionError as problem:
            failures.append(f"{command}: {case[1]} at {case[0]}\n{problem}\nfirst: {said}")
    assert not failures, f"{len(failures)} of {len(cases)} cases\n\n" + "\n\n".join(failures)


def kill(
    command: Command, user: User, warm: Warm, deaths: Sequence[Death], expected: Mapping[str, Any]
) -> None:
    failures = []
    CASES["runs of the other commands that write that were killed"] += len(deaths)
    for death in deaths:
        said = ""
        try:
            pipeline = command.start(user)
            with no_tag_moves_elsewhere(command, user):
                run = warm.start(command.arguments, user.cli.folder, dies=death)
                assert warm.wait(run) == -signal.SIGKILL, run.err.read_text()
            said = run.err.read_text()
            finished(command, user.cli(*command.arguments))
            assert not differences(outcome(user, pipeline), expected)
        except AssertionError as problem:
            failures.append(f"{command}: {death}\n{problem}\nfirst: {said}")
    assert not failures, f"{len(failures)} of {len(deaths)} cases\n\n" + "\n\n".join(failures)


def every_death(requests: int, saves: int) -> list[Death]:
    """Before and after each request and each save."""
    counts = {"request": requests, "save": saves}
    return [
        Death(at, number, after)
        for at, count in counts.items()
        for number in range(1, count + 1)
        for after in (False, True)
    ]


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_sample_of_failures(command: Command, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last requests of some kinds to each server, with writes, each failing in another way."""
    found = undisturbed(command, user)
    chance = random.Random(str(command))
    kinds = {(asked.server.port, asked.shape): asked for asked in found.requests}
    cases: list[Case] = []
    used = [server for server in user.servers if any(one.server is server for one in found.requests)]
    for server in used:
        asked = [one for one in kinds.values() if one.server is server]
        writes = [one for one in asked if not one.shape.startswith(("GET", "HEAD"))]
        reads = [one for one in asked if one not in writes]
        chosen = [*chance.sample(writes, min(2, len(writes))), *chance.sample(reads, min(3, len(reads)))]
        chosen = chosen[: 4 - len(used)]
        cases += zip(chosen, chance.sample(sorted(WAYS), len(chosen)), strict=True)
    assert len(cases) >= 3
    sweep(command, user, monkeypatch, cases, found.outcome)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_sample_of_kills(command: Command, user: User, warm: Warm) -> None:
    found = undisturbed(command, user)
    chance = random.Random(str(command))
    deaths = chance.sample(every_death(0, found.saves), min(2, found.saves))
    deaths += chance.sample(every_death(len(found.requests), 0), 1)
    kill(command, user, warm, deaths, found.outcome)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_request_in_every_way(command: Command, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    found = undisturbed(command, user)
    cases = [(request, way) for request in found.requests for way in WAYS]
    sweep(command, user, monkeypatch, cases, found.outcome)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_killed_everywhere(command: Command, user: User, warm: Warm) -> None:
    found = undisturbed(command, user)
    assert found.saves or command.name == "adopt"
    kill(command, user, warm, every_death(len(found.requests), found.saves), found.outcome)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.name.startswith("rollback")], ids=str)
@pytest.mark.parametrize("unlocked", [False, True])
def test_a_rollback_killed_at_its_end_is_finished_by_the_next_ones(
    command: Command, user: User, warm: Warm, unlocked: bool
) -> None:
    """The next run is killed as well; neither it nor the third one goes back any further."""
    found = undisturbed(command, user)
    pipeline = command.start(user)
    for death in (Death("save", found.saves, after=True), Death("request", SIGN_IN + 1, after=True)):
        run = warm.start(command.arguments, user.cli.folder, dies=death)
        assert warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        if unlocked:
            (stack,) = (line.split()[0] for line in user.cli("state", "list").out.splitlines() if "@" in line)
            assert user.cli("state", "unlock", stack).code == 0

    finished(command, user.cli(*command.arguments))

    assert not differences(outcome(user, pipeline), found.outcome)
