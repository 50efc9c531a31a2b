"""deploy, rollback, destroy and adopt: each request fails in each way, and runs are killed everywhere.

The same command again leaves what an undisturbed run leaves. `make test` samples; `make test-full` leaves
nothing out.
"""

import random
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from urllib3.util.retry import Retry

import providers.retries
from providers.sandbox import Sandbox
from providers.sandbox.settings import Fault
from tests.conftest import CASES, Cli, Ended
from tests.faults.commands import COMMANDS, Command, User, outcome
from tests.faults.conftest import shape
from tests.faults.test_sweep import SERVICES, TIMEOUT, WAYS, honest
from tests.faults.warm import Death, Warm

SIGN_IN = 2  # requests before the lock is taken
Case = tuple[int, str]  # the request's number, and the way in which it fails


@pytest.fixture
def user(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes_once: None
) -> User:
    monkeypatch.setattr(providers.retries, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    return User(cli, sandbox, tmp_path / "state.db")


def undisturbed(command: Command, user: User) -> tuple[list[str], int, dict[str, Any]]:
    """Its requests by their shape, how often it saves, and what it leaves."""
    pipeline = command.start(user)
    before = user.serial(command.example)
    ended = user.cli(*command.arguments)
    assert ended.code == 0, ended.err
    requests = [shape(request) for request in user.sandbox.requests()]
    return requests, user.serial(command.example) - before, outcome(user, pipeline)


def finished(command: Command, again: Ended) -> None:
    honest(again)
    assert again.code == 0 or (command.done and command.done in again.err), (
        f"again: {again.code}\n{again.err}"
    )


def fail(command: Command, user: User, monkeypatch: pytest.MonkeyPatch, case: Case) -> tuple[Path, Ended]:
    """The run in which one request fails. A failed one leaves config.toml as it is."""
    number, way = case
    pipeline = command.start(user)
    config = (pipeline / "config.toml").read_bytes()
    user.sandbox.switch(faults=[Fault(SERVICES, nth=number, **WAYS[way])])
    with monkeypatch.context() as impatient:
        if "hung" in way:
            impatient.setenv("RECONCILER_TIMEOUT", TIMEOUT)
        first = user.cli(*command.arguments)
    user.sandbox.switch(faults=[])
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
    CASES["requests of deploy, rollback, destroy and adopt that failed"] += len(cases)
    for case in cases:
        said = ""
        try:
            pipeline, first = fail(command, user, monkeypatch, case)
            said = first.err
            if first.code != 0:
                finished(command, user.cli(*command.arguments))
            assert outcome(user, pipeline) == expected
        except AssertionError as problem:
            failures.append(f"{command}: {case[1]} at request {case[0]}\n{problem}\nfirst: {said}")
    assert not failures, f"{len(failures)} of {len(cases)} cases\n\n" + "\n\n".join(failures)


def kill(
    command: Command, user: User, warm: Warm, deaths: Sequence[Death], expected: Mapping[str, Any]
) -> None:
    failures = []
    CASES["runs of deploy, rollback, destroy and adopt that were killed"] += len(deaths)
    for death in deaths:
        said = ""
        try:
            pipeline = command.start(user)
            run = warm.start(command.arguments, user.cli.folder, dies=death)
            assert warm.wait(run) == -signal.SIGKILL, run.err.read_text()
            said = run.err.read_text()
            finished(command, user.cli(*command.arguments))
            assert outcome(user, pipeline) == expected
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
    """The last request of three kinds, a write where there is one, each failing in another way."""
    requests, _, expected = undisturbed(command, user)
    chance = random.Random(str(command))
    kinds = {asked: number for number, asked in enumerate(requests, 1)}
    writes = [number for asked, number in kinds.items() if not asked.startswith(("GET", "HEAD"))]
    reads = [number for number in kinds.values() if number not in writes]
    numbers = [*chance.sample(writes, min(2, len(writes))), *chance.sample(reads, 3)][:3]
    cases = list(zip(numbers, chance.sample(sorted(WAYS), len(numbers)), strict=True))
    sweep(command, user, monkeypatch, cases, expected)


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_sample_of_kills(command: Command, user: User, warm: Warm) -> None:
    requests, saves, expected = undisturbed(command, user)
    chance = random.Random(str(command))
    deaths = chance.sample(every_death(0, saves), min(2, saves))
    deaths += chance.sample(every_death(len(requests), 0), 1)
    kill(command, user, warm, deaths, expected)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_every_request_in_every_way(command: Command, user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    requests, _, expected = undisturbed(command, user)
    cases = [(number, way) for number in range(1, len(requests) + 1) for way in WAYS]
    sweep(command, user, monkeypatch, cases, expected)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_killed_everywhere(command: Command, user: User, warm: Warm) -> None:
    requests, saves, expected = undisturbed(command, user)
    assert saves or command.name == "adopt"
    kill(command, user, warm, every_death(len(requests), saves), expected)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c.name.startswith("rollback")], ids=str)
@pytest.mark.parametrize("unlocked", [False, True])
def test_a_rollback_killed_at_its_end_is_finished_by_the_next_ones(
    command: Command, user: User, warm: Warm, unlocked: bool
) -> None:
    """The next run is killed as well; neither it nor the third one goes back any further."""
    _, saves, expected = undisturbed(command, user)
    pipeline = command.start(user)
    for death in (Death("save", saves, after=True), Death("request", SIGN_IN + 1, after=True)):
        run = warm.start(command.arguments, user.cli.folder, dies=death)
        assert warm.wait(run) == -signal.SIGKILL, run.err.read_text()
        if unlocked:
            (stack,) = (line.split()[0] for line in user.cli("state", "list").out.splitlines() if "@" in line)
            assert user.cli("state", "unlock", stack).code == 0

    finished(command, user.cli(*command.arguments))

    assert outcome(user, pipeline) == expected
