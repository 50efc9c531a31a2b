"""A request that is never answered is repeated as often as the policy says, at no place more often."""

from collections import Counter
from pathlib import Path

import pytest

from providers import retries
from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli
from tests.faults.conftest import SCENARIOS, Scenario, shape, start_over
from tests.faults.test_refusals import kinds_of_requests

PATIENCE = "0.3"  # seconds; RECONCILER_TIMEOUT
HANGS = 2.0  # seconds; longer than any request is waited for
APPLY = ("--yes", "--bump", "minor")


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.01)


def too_often(
    cli: Cli, sandbox: Sandbox, scenario: Scenario, state: Path, command: tuple[str, ...], *, forget: bool
) -> list[str]:
    """Each kind of request of the command is never answered: those that are repeated too often."""

    def start() -> None:
        start_over(scenario, cli, sandbox, state)
        if forget:
            assert cli("apply", *command[1:], *APPLY).code == 0
            for file in state.parent.glob(state.name + "*"):
                file.unlink()
        sandbox.clear_requests()

    start()
    assert cli(*command).code == 0
    requests = sandbox.requests()
    usual = Counter(map(shape, requests))
    wrong = []
    for kind, (method, path) in kinds_of_requests(requests).items():
        start()
        sandbox.fail(method, path, "hang", times=None, seconds=HANGS)
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("RECONCILER_TIMEOUT", PATIENCE)
            ended = cli(*command)
        sandbox.switch(faults=[])
        count = Counter(map(shape, sandbox.requests()))[kind]
        assert count, kind
        if count > retries.ATTEMPTS * usual[kind] or "bug in reconciler" in ended.err:
            wrong.append(f"{kind}: {count} times, usually {usual[kind]}; exit code {ended.code}")
        CASES["kinds of requests that are never answered"] += 1
    return wrong


@pytest.mark.parametrize(
    "scenario",
    [
        pytest.param(one, id=str(one), marks=() if one is SCENARIOS[-1] else (pytest.mark.full,))
        for one in SCENARIOS
    ],
)
def test_no_request_of_an_apply_is_repeated_without_end(
    scenario: Scenario, cli: Cli, sandbox: Sandbox, tmp_path: Path, classes_once: None
) -> None:
    command = ("apply", scenario.example, *APPLY)

    assert too_often(cli, sandbox, scenario, tmp_path / "state.db", command, forget=False) == []


@pytest.mark.parametrize("verb", ["plan", "status", "drift", "image"])
def test_no_request_of_a_command_that_reads_is_repeated_without_end(
    verb: str, cli: Cli, sandbox: Sandbox, tmp_path: Path, classes_once: None
) -> None:
    """Without state, so that the contents of images are read, too."""
    scenario = SCENARIOS[0]
    state = tmp_path / "state.db"

    assert too_often(cli, sandbox, scenario, state, (verb, scenario.example), forget=True) == []
