"""Who holds the lock, who may take it, and what becomes of a run that lost it."""

import json
import os
import re
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import asdict

from providers.sandbox import Sandbox
from reconciler.engine import apply, plan
from state.lock import process_table
from state.lock_info import LockInfo
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of

ADA = LockInfo(
    "ada", "build-7", 4711, "reconciler apply single_training --yes", "2025-03-01T12:00:00.000+00:00", "id"
)


@pytest.fixture
def state(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Path:
    copy_example("single_training", cli.folder, sandbox.registry)
    return tmp_path / "state.db"


@contextmanager
def held(state: Path, holder: LockInfo = ADA, ttl: float = 30.0) -> Iterator[None]:
    """Somebody else's run has the lock."""
    with (
        open_store(str(state)) as store,
        store.lock(stack_of("single_training"), holder, timeout=0, ttl=ttl, every=3600.0),
    ):
        yield


def test_a_locked_stack_names_its_holder(state: Path, cli: Cli, sandbox: Sandbox) -> None:
    with held(state):
        ended = cli("apply", "single_training")
        assert cli("plan", "single_training").code == 0, "a plan needs no lock"
    assert ended.code == 13
    for word in ("ada", "build-7", "4711", ADA.command, ADA.since, "reconciler state unlock"):
        assert word in ended.err
    assert "Traceback" not in ended.err
    assert sandbox.writes() == []


def test_an_expired_lock_is_taken_over_and_that_is_said(state: Path, cli: Cli) -> None:
    with held(state, ttl=0.0):
        ended = cli("apply", "single_training")
    assert ended.code == 0
    assert f"took over the lock of {ADA}: it had not renewed it" in ended.err
    assert "took over" not in ended.out


def test_waiting_says_for_whom(state: Path, cli: Cli) -> None:
    with held(state):
        ended = cli("apply", "single_training", "--lock-timeout", "0.1")
    assert ended.code == 13
    assert f"waiting for {ADA}" in ended.err


def test_a_lock_can_be_taken_away(state: Path, cli: Cli) -> None:
    with held(state):
        unlocked = cli("state", "unlock", stack_of("single_training"))
        assert unlocked.code == 0
        assert f"{stack_of('single_training')} was locked by {ADA}" in unlocked.out.replace("\n", " ")
        assert cli("apply", "single_training").code == 0
    assert "was not locked" in cli("state", "unlock", stack_of("single_training")).out


def test_our_own_lock_can_be_recognised(state: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that tells a dead holder from a living one is in the lock."""
    seen: list[LockInfo] = []
    checked = apply.plan_pipeline

    def look(*given: object) -> plan.PlanResult:
        with open_store(str(state)) as store:
            holder = store.holder(stack_of("single_training"))
        assert holder is not None
        seen.append(holder)
        return checked(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(apply, "plan_pipeline", look)
    assert cli("apply", "single_training").code == 0
    (holder,) = seen
    assert (holder.host, holder.pid) == (socket.gethostname(), os.getpid())
    assert holder.processes == process_table()
    assert re.match(r"\d{4}-\d\d-\d\dT", holder.since)


@pytest.mark.parametrize("somebody", ["took it over", "took it away"])
def test_a_run_that_lost_its_lock_saves_nothing_more(
    somebody: str, state: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, in one piece, and what it had written is settled by the next run."""
    from providers.picsellia.kinds.model import ModelKind

    create = ModelKind.create

    def meanwhile(self: ModelKind, *given: object, **named: object) -> object:
        made = create(self, *given, **named)  # type: ignore[arg-type]
        holder = json.dumps(asdict(ADA)) if somebody == "took it over" else None
        with sqlite3.connect(state) as database:
            database.execute("UPDATE locks SET fence = fence + ?, holder = ?", (holder is not None, holder))
        database.close()
        return made

    with monkeypatch.context() as patched:
        patched.setattr(ModelKind, "create", meanwhile)
        ended = cli("apply", "single_training", "--parallel", "1")
    assert ended.code in (1, 13)
    assert "Traceback" not in ended.err and "a bug in" not in ended.err
    assert ended.err.count("error: ") == 1
    assert f"this run lost its lock on {stack_of('single_training')}" in ended.err.replace("\n", " ")
    assert sandbox.platform.model("DefectClassifier") is not None
    assert not [w for w in sandbox.writes(service="platform") if "versions" in w["path"]]

    if somebody == "took it over":
        with open_store(str(state)) as store:
            assert store.unlock(stack_of("single_training")) == ADA
    again = cli("apply", "single_training")
    assert again.code == 0, again.err
    assert len(sandbox.platform.models()) == 1
    assert cli("plan", "single_training", "--exit-code").code == 0
