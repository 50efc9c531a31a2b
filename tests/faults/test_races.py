"""Two runs of one stack at the same moment: one does the work, the other is told who does."""

import fcntl
import os
import re
from pathlib import Path

from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli
from tests.faults.conftest import SCENARIOS, put, shape, world
from tests.faults.warm import Run, Warm

SCENARIO = next(scenario for scenario in SCENARIOS if scenario.name == "single_training")
APPLY = ("apply", SCENARIO.example, "--yes")
RACES = 50


def start_together(warm: Warm, cli: Cli, gate: Path, *options: str) -> list[Run]:
    """Two runs that are let go at once."""
    with gate.open("wb") as shut:
        fcntl.flock(shut, fcntl.LOCK_EX)
        runs = [warm.start([*APPLY, *options], cli.folder, gate=gate) for _ in range(2)]
        while not all(Path(f"{gate}.{run.pid}").exists() for run in runs):
            os.sched_yield()
    return runs


def race(warm: Warm, cli: Cli, sandbox: Sandbox, state: Path, *options: str) -> list[tuple[int, str, str]]:
    """From nothing, both at once: how each ended. The world is right afterwards, and was made once."""
    sandbox.reset()
    for file in state.parent.glob(state.name + "*"):
        file.unlink()
    put(SCENARIO, cli.folder, sandbox)
    runs = start_together(warm, cli, state.parent / "gate", *options)
    codes = [warm.wait(run) for run in runs]
    ended = [(code, run.out.read_text(), run.err.read_text()) for code, run in zip(codes, runs, strict=True)]
    for code, out, err in ended:
        assert code in (0, 13), err
        assert "Traceback" not in err
        if code == 13:
            other = next(run for run, mine in zip(runs, codes, strict=True) if mine == 0)
            assert re.search(
                rf"is locked by \S+@\S+ \(process {other.pid}\) since \S+: reconciler apply", err
            ), err
        elif "Nothing to do" not in out:
            assert "Done" in out, err
    assert sum("Done: " in out for _, out, _ in ended) == 1, ended
    made = [shape(w) for w in sandbox.writes() if w["status"] == 201]
    assert len([w for w in made if w.endswith("/{version}")]) == 1
    assert len([w for w in made if w.startswith("POST /api/")]) == 2
    found = world(sandbox)
    assert [(m["name"], [v["name"] for v in m["versions"]]) for m in found["models"]] == [
        ("DefectClassifier", ["v1"])
    ]
    assert cli("plan", SCENARIO.example, "--exit-code").code == 0
    return ended


def test_two_at_once(warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
    ended = [race(warm, cli, sandbox, tmp_path / "state.db") for _ in range(RACES)]
    assert any(code == 13 for pair in ended for code, _, _ in pair), "they never met"
    CASES["races of two applies"] += RACES


def test_one_that_waits_for_the_lock_finds_nothing_to_do(
    warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    for _ in range(3):
        ended = race(warm, cli, sandbox, tmp_path / "state.db", "--lock-timeout", "60")
        assert [code for code, _, _ in ended] == [0, 0]
        assert sum("Nothing to do" in out for _, out, _ in ended) == 1
