"""Signals: once lets running steps finish, twice stops now; the next run finishes either way."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.starting import INTERRUPTIONS
from state.stores.opening import open_store
from tests.commands.terminal import terminal
from tests.conftest import Cli, stack_of
from tests.faults.conftest import SCENARIOS, put, world
from tests.faults.warm import Run, Warm
from tests.waits import PATIENCE

SCENARIO = next(scenario for scenario in SCENARIOS if scenario.name == "dataset_cleanup")
APPLY = ("apply", SCENARIO.example, "--yes", "--parallel", "2")
INSISTING = [signal.SIGINT, signal.SIGTERM]
"""Sent twice, they end a run at once. SIGHUP does not: one closed terminal may send two."""
LONG = 3600.0  # seconds


def until(condition: Callable[[], bool], run: Run) -> None:
    """Wait for something that this run is about to bring about."""
    while not condition():
        assert not run.is_ended, run.err.read_text()
        os.sched_yield()


def asked(sandbox: Sandbox, method: str, ending: str) -> Callable[[], bool]:
    return lambda: any(r["method"] == method and r["path"].endswith(ending) for r in sandbox.requests())


def created(sandbox: Sandbox) -> Callable[[], bool]:
    """The platform has the processing. It registers a request before it carries it out."""
    return lambda: sandbox.platform.processing("dataset_cleanup") is not None


def said(run: Run, text: str) -> Callable[[], bool]:
    return lambda: text in run.err.read_text()


@pytest.fixture
def undisturbed(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> dict[str, object]:
    """The world after an apply that nobody stops; then everything is as it was before."""
    put(SCENARIO, cli.folder, sandbox)
    assert cli(*APPLY).code == 0
    found = world(sandbox)
    sandbox.reset()
    for file in tmp_path.glob("state.db*"):
        file.unlink()
    return found


def check_ended_in_order(sandbox: Sandbox, folder: Path) -> None:
    """The step that ran is saved, none is open, no other one started, and the lock is free."""
    with open_store(str(folder / "state.db")) as store:
        record = store.load(stack_of(SCENARIO.example))
        assert record is not None and not record.intents
        assert "processing/dataset_cleanup" in record.resources
        assert store.holder(stack_of(SCENARIO.example)) is None
    assert not [w for w in sandbox.writes(service="platform") if "/inputs" in w["path"]]


@pytest.mark.parametrize("number", INTERRUPTIONS, ids=lambda number: number.name)
def test_once_lets_running_steps_finish_and_starts_no_other(
    number: signal.Signals, warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path, undisturbed: object
) -> None:
    sandbox.fail("POST", "/processings$", "hang", seconds=2.0, after=True)
    run = warm.start(APPLY, cli.folder)
    until(asked(sandbox, "POST", "/processings"), run)
    run.signal(number)

    assert warm.wait(run) == 130
    err = run.err.read_text()
    assert "interrupted: waiting up to 30 s for running steps to finish" in err
    assert "created processing/dataset_cleanup" in err
    assert err.count("not started: input/dataset_cleanup/") == 5
    assert "Not finished: 2 resources done, 0 failed, 5 not started. Run the same command again" in err
    assert "Traceback" not in err
    check_ended_in_order(sandbox, tmp_path)

    finished(cli, sandbox, undisturbed)


@pytest.mark.parametrize("more", [0, 3])
def test_a_closed_terminal_lets_running_steps_finish(
    more: int, cli: Cli, sandbox: Sandbox, tmp_path: Path, undisturbed: object
) -> None:
    """However many signals it sends: the shell and the system send one each."""
    sandbox.fail("POST", "/processings$", "hang", seconds=2.0, after=True)
    with terminal(*APPLY, cwd=cli.folder, environment=os.environ) as window:
        while not asked(sandbox, "POST", "/processings")():
            assert window.is_running(), window.shown
        window.close()
        for _ in range(more):
            window.signal(signal.SIGHUP)
        assert window.wait() == 130

    check_ended_in_order(sandbox, tmp_path)

    finished(cli, sandbox, undisturbed)


def test_after_nohup_a_run_outlives_its_terminal(cli: Cli, sandbox: Sandbox, undisturbed: object) -> None:
    sandbox.fail("POST", "/processings$", "hang", seconds=2.0)
    command = ["env", "--ignore-signal=HUP", sys.executable, "-m", "reconciler", *APPLY]
    with subprocess.Popen(command, cwd=cli.folder, stderr=subprocess.PIPE, text=True) as run:
        while not asked(sandbox, "POST", "/processings")():
            assert run.poll() is None
        run.send_signal(signal.SIGHUP)
        _, err = run.communicate(timeout=PATIENCE)

    assert run.returncode == 0, err
    assert world(sandbox) == undisturbed


@pytest.mark.parametrize("done", [False, True], ids=["nothing was done", "it was done"])
@pytest.mark.parametrize("number", INSISTING, ids=lambda number: number.name)
def test_twice_stops_now_and_the_next_run_settles_what_was_open(
    number: signal.Signals,
    done: bool,
    warm: Warm,
    cli: Cli,
    sandbox: Sandbox,
    tmp_path: Path,
    undisturbed: object,
) -> None:
    sandbox.fail("POST", "/processings$", "hang", seconds=LONG, after=done)
    run = warm.start(APPLY, cli.folder)
    until(created(sandbox) if done else asked(sandbox, "POST", "/processings"), run)
    run.signal(number)
    until(said(run, "interrupt again to stop now"), run)
    run.signal(number)

    assert warm.wait(run) == 130
    assert "Traceback" not in run.err.read_text()
    last = run.err.read_text().splitlines()[-1]
    assert last.startswith("stopped: 1 change made; under way, so unknown: processing/dataset_cleanup. ")
    assert "Run the same command again" in last
    with open_store(str(tmp_path / "state.db")) as store:
        record = store.load(stack_of(SCENARIO.example))
        assert record is not None and list(record.intents) == ["processing/dataset_cleanup"]
    assert (sandbox.platform.processing("dataset_cleanup") is not None) == done
    sandbox.switch(faults=[])

    again = finished(cli, sandbox, undisturbed)
    assert f"(process {run.pid})" in again and "its process is gone" in again


@pytest.mark.parametrize("number", INSISTING, ids=lambda number: number.name)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/organizations/find"), ("GET", "/processings/find")]
)
def test_before_the_first_step_once_is_enough(
    method: str,
    path: str,
    number: signal.Signals,
    warm: Warm,
    cli: Cli,
    sandbox: Sandbox,
    undisturbed: object,
) -> None:
    sandbox.fail(method, f"{path}$", "hang", seconds=LONG)
    run = warm.start(APPLY, cli.folder, environment={"RECONCILER_TIMEOUT": "2"})
    until(asked(sandbox, method, path), run)
    run.signal(number)

    assert warm.wait(run) == 130
    assert run.err.read_text().splitlines()[-1] == "interrupted"
    assert "Traceback" not in run.err.read_text()
    assert not sandbox.writes()
    sandbox.switch(faults=[])

    assert "process is gone" not in finished(cli, sandbox, undisturbed), "the lock was given back"


@pytest.mark.parametrize("number", INSISTING, ids=lambda number: number.name)
def test_waiting_for_a_lock_is_ended_at_once(
    number: signal.Signals, warm: Warm, cli: Cli, sandbox: Sandbox, undisturbed: object
) -> None:
    sandbox.fail("POST", "/processings$", "hang", seconds=LONG)
    first = warm.start(APPLY, cli.folder)
    until(asked(sandbox, "POST", "/processings"), first)
    second = warm.start([*APPLY, "--lock-timeout", "3600"], cli.folder)
    until(said(second, "waiting for"), second)
    second.signal(number)

    assert warm.wait(second) == 130
    first.signal(signal.SIGKILL)
    assert warm.wait(first) == -signal.SIGKILL
    sandbox.switch(faults=[])
    finished(cli, sandbox, undisturbed)


def finished(cli: Cli, sandbox: Sandbox, undisturbed: object) -> str:
    """The same command again makes the world that an undisturbed run makes; what it said on the way."""
    again = cli(*APPLY)
    assert again.code == 0, again.err
    assert world(sandbox) == undisturbed
    assert cli("plan", SCENARIO.example, "--exit-code").code == 0
    return again.err


def test_a_plan_that_waits_for_an_answer_is_ended_at_once(
    warm: Warm, cli: Cli, sandbox: Sandbox, undisturbed: object
) -> None:
    sandbox.fail("GET", "/processings/find$", "hang", seconds=LONG)
    run = warm.start(("plan", SCENARIO.example), cli.folder)
    until(asked(sandbox, "GET", "/processings/find"), run)
    run.signal(signal.SIGINT)

    assert warm.wait(run) == 130
    assert run.err.read_text().splitlines()[-1] == "interrupted"
