"""A rollback goes back to what ran before, and never forward to a version that was rolled back."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.core.diagnostics import UserError
from reconciler.core.plan import Stack
from reconciler.core.recorded_runs import RunOutcome, target_of, verb_of
from reconciler.engine.earlier_states import EarlierState, latest_runs, recorded_runs, that_ran
from reconciler.engine.rollback import find_earlier
from state.lock_info import LockInfo
from state.snapshot import APPLIED, FAILED, INTERRUPTED, PARTIAL, RecordedResource, Snapshot
from state.state_writer import StateWriter
from state.stores.base import HistoryEntry, Store
from state.stores.sqlite import SqliteStore

STACK = Stack("my-org", "STAGING", "https://staging.picsellia.com", "app")
AT = "2025-03-01T12:00:00.000+00:00"
ADDRESS = "image/reg.io/app"


def image(version: str) -> RecordedResource:
    return RecordedResource(ADDRESS, "image", f"{version}@sha256:{version}", {"version": version})


INPUTS = ("ds", "text")


def input_of(name: str) -> RecordedResource:
    return RecordedResource(f"input/app/{name}", "input", f"id of {name}", {"required": True})


def with_inputs(state: Snapshot, left_out: Sequence[str]) -> Snapshot:
    for name in INPUTS:
        state = state if name in left_out else state.with_resource(input_of(name))
    return state


class History:
    """Runs of one stack."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._version = 0

    def run(
        self,
        version: str,
        outcome: str | None,
        *,
        restores: int = 0,
        command: str = "apply app",
        left_out: Sequence[str] = (),
    ) -> None:
        """A run that leaves the image at this version; with None it is killed before it ends.

        Args:
            left_out: what stays out of the state if it is not there yet.
        """
        identity = str(uuid4())
        info = LockInfo("ada", "laptop", 1, f"reconciler {command}", AT, identity)
        with self.store.lock(str(STACK), info, timeout=0) as lock:
            before = self.store.load(str(STACK)) or Snapshot.new(str(STACK), "lineage-1")
            writer = StateWriter(
                self.store, before, lock=lock, written_by="0.1.0", restores=restores, clock=lambda: AT
            )
            writer.update(lambda state: state.with_resource(image(f"{version}.half")))
            writer.update(lambda state: with_inputs(state.with_resource(image(version)), left_out))
            if outcome is not None:
                writer.finish(outcome, confirms=False)

    def deploy(self, outcome: str | None = APPLIED, *, left_out: Sequence[str] = ()) -> str:
        self._version += 1
        self.run(f"{self._version}.0.0", outcome, left_out=left_out)
        return f"{self._version}.0.0"

    def roll_back(
        self, outcome: str | None = APPLIED, to: str | None = None, *, is_of_many: bool = False
    ) -> str:
        """The version that a rollback selects, and, unless it is killed, leaves."""
        earlier = find_earlier(self.store, STACK, to, is_of_many=is_of_many)
        restores = earlier.snapshot.serial
        version = earlier.version if outcome == APPLIED else f"{earlier.version}.torn"
        self.run(version, outcome, restores=restores, command=f"rollback app --to {restores}")
        return earlier.version

    def forget(self, *addresses: str) -> None:
        """Remove resources from the state, as `state forget` does; all of them without addresses."""
        before = self.store.load(str(STACK))
        if before is None or not {*addresses} <= before.resources.keys():
            return
        info = LockInfo("ada", "laptop", 1, "reconciler state forget app", AT, str(uuid4()))
        with self.store.lock(str(STACK), info, timeout=0) as lock:
            after = before.without_resource(*(addresses or before.resources))
            self.store.save(after.changed_alone(), expected_serial=before.serial, lock=lock)

    def load(self) -> Snapshot | None:
        return self.store.load(str(STACK))

    def outcomes(self) -> list[tuple[str, RunOutcome]]:
        return [(run.version, run.outcome) for run in recorded_runs(self.store, str(STACK))]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with SqliteStore(tmp_path / "state.db") as store:
        yield History(store)


def test_a_second_rollback_goes_further_back(history: History) -> None:
    for _ in range(3):
        history.deploy()

    assert [history.roll_back(), history.roll_back()] == ["2.0.0", "1.0.0"]
    history.deploy()
    assert history.roll_back() == "1.0.0"
    with pytest.raises(UserError, match=r"nothing ran on .* before 1\.0\.0"):
        history.roll_back()


def test_the_history_says_what_became_of_each_run(history: History) -> None:
    history.deploy()
    history.deploy()
    history.roll_back()
    history.deploy(FAILED)
    history.deploy(None)

    assert history.outcomes() == [
        ("4.0.0", RunOutcome.INTERRUPTED),
        ("3.0.0", RunOutcome.FAILED),
        ("1.0.0", RunOutcome.APPLIED),
        ("2.0.0", RunOutcome.ROLLED_BACK),
        ("1.0.0", RunOutcome.APPLIED),
    ]


def test_after_a_failed_deploy_the_version_before_it_is_restored(history: History) -> None:
    history.deploy()
    history.deploy()
    history.deploy(FAILED)
    history.deploy(None)

    assert history.roll_back() == "2.0.0"
    assert history.roll_back() == "1.0.0"


def test_an_explicit_target_may_be_one_that_was_rolled_back(history: History) -> None:
    for _ in range(3):
        history.deploy()
    history.roll_back()

    assert history.roll_back(to="3.0.0") == "3.0.0"
    assert history.roll_back() == "2.0.0"


def test_the_error_lists_versions_and_outcomes(history: History) -> None:
    history.deploy()
    history.deploy()
    history.roll_back()

    with pytest.raises(UserError) as caught:
        find_earlier(history.store, STACK, "9.0.0")

    (problem,) = caught.value.diagnostics
    assert "has no state version 9.0.0" in problem.summary
    assert "2.0.0, rolled back, 2025-03-01 12:00" in problem.detail
    assert "1.0.0, applied, 2025-03-01 12:00" in problem.detail
    assert "reconciler state history my-org@STAGING/app" in problem.detail


@pytest.mark.parametrize(
    ("outcome", "end"),
    [(FAILED, "failed"), (INTERRUPTED, "was interrupted"), (None, "was interrupted")],
)
def test_the_error_says_how_the_run_ended(history: History, outcome: str | None, end: str) -> None:
    history.deploy()
    version = history.deploy(outcome)
    history.deploy()
    failed = [*recorded_runs(history.store, str(STACK))][1]
    middle = str(failed.saves[1].serial)

    def why_not(to: str) -> str:
        with pytest.raises(UserError) as caught:
            find_earlier(history.store, STACK, to)
        (problem,) = caught.value.diagnostics
        assert "1.0.0, applied," in problem.detail
        return problem.summary

    run = f"run {failed.serial} of {STACK}"
    assert why_not(str(failed.serial)) == f"{run} {end}, so nothing is rolled back to it"
    named = f"{run}, the last one of version {version},"
    assert why_not(version) == f"{named} {end}, so nothing is rolled back to it"
    assert why_not(middle) == f"serial {middle} of {STACK} is a save in the middle of run {failed.serial}"


def test_without_state_the_error_says_what_to_do(history: History) -> None:
    with pytest.raises(UserError) as caught:
        find_earlier(history.store, STACK, None)

    (problem,) = caught.value.diagnostics
    assert "there is no state of" in problem.summary
    assert "use the state from there" in problem.detail and "reconciler apply app" in problem.detail


def test_what_a_change_of_the_state_alone_left_is_no_target(history: History) -> None:
    history.deploy()
    history.deploy()
    history.forget("input/app/ds")
    assert history.outcomes()[0] == ("2.0.0", RunOutcome.PARTIAL)
    forgotten = history.load()
    assert forgotten is not None

    history.run("2.0.0", APPLIED)  # it adds the input again
    with pytest.raises(UserError) as caught:
        find_earlier(history.store, STACK, str(forgotten.serial))
    assert "left a state without all that ran" in caught.value.diagnostics[0].summary
    earlier = find_earlier(history.store, STACK, None)

    assert earlier.version == "1.0.0"
    assert {f"input/app/{name}" for name in INPUTS} < earlier.snapshot.resources.keys()


def test_a_run_that_left_out_a_part_is_no_target(history: History) -> None:
    history.run("1.0.0", PARTIAL, left_out=["text"])
    history.run("1.0.0", APPLIED)

    with pytest.raises(UserError, match=r"nothing ran on .* before 1\.0\.0"):
        history.roll_back()


@dataclass(frozen=True)
class Version:
    """A version that ran, with the one that ran before it."""

    name: str
    before: "Version | None"


def expected(steps: Sequence[str], history: History) -> None:
    """Play the steps, and compare each rollback with a model of versions that know the one before."""
    good: Version | None = None
    target: Version | None = None  # of an unfinished rollback
    is_complete = True
    for step in steps:
        match step:
            case "deploy":
                good, target, is_complete = Version(history.deploy(), good), None, True
            case "fail" | "kill" | "deploy a part":
                ended = {"fail": FAILED, "kill": None, "deploy a part": PARTIAL}[step]
                history.deploy(ended, left_out=INPUTS)
                target, is_complete = None, False
            case "forget an input":
                history.forget("input/app/ds")
            case "forget the image":
                history.forget(ADDRESS)
            case "forget all":
                history.forget()
            case _:
                wanted = target or (good if not is_complete else good.before if good else None)
                if wanted is None:
                    with pytest.raises(UserError):
                        history.roll_back()
                    continue
                outcome = {"rollback": APPLIED, "fail rollback": FAILED, "kill rollback": None}[step]
                assert history.roll_back(outcome) == wanted.name
                if outcome == APPLIED:
                    good, target, is_complete = wanted, None, True
                else:
                    target, is_complete = wanted, False


STEPS = [
    *("deploy", "deploy", "rollback", "rollback", "fail", "kill", "fail rollback", "kill rollback"),
    *("deploy a part", "forget an input", "forget the image", "forget all"),
]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(STEPS), min_size=2, max_size=12))
def test_every_rollback_goes_to_what_ran_before(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[str]
) -> None:
    with SqliteStore(tmp_path_factory.mktemp("history") / "state.db") as store:
        expected(steps, History(store))


@settings(max_examples=60)
@given(st.lists(st.sampled_from(STEPS), min_size=2, max_size=12), st.sampled_from([APPLIED, FAILED, None]))
def test_a_rollback_of_several_that_is_run_again_has_the_same_target(
    tmp_path_factory: pytest.TempPathFactory, steps: Sequence[str], outcome: str | None
) -> None:
    with SqliteStore(tmp_path_factory.mktemp("history") / "state.db") as store:
        history = History(store)
        expected(steps, history)
        alone = history.load()
        was_restored = alone is not None and alone.outcome == APPLIED and alone.restores
        try:
            target = history.roll_back(outcome, is_of_many=True)
        except UserError:  # nothing ran before
            return
        if was_restored and alone is not None:
            assert target == alone.resources[ADDRESS].inputs["version"]
        for again in (outcome, APPLIED, APPLIED):
            assert history.roll_back(again, is_of_many=True) == target


def test_runs_of_a_version_without_outcomes_are_told_by_their_writes(history: History) -> None:
    """Their saves say neither an outcome nor what a rollback restored; its command does."""

    def earlier(serial: int, version: str, command: str) -> EarlierState:
        snapshot = replace(Snapshot.new(str(STACK), "lineage-1").with_resource(image(version)), serial=serial)
        entry = HistoryEntry(serial, "lineage-1", AT, "0.1.0", "ada", "laptop", command, "")
        return EarlierState(snapshot, entry)

    states = [
        earlier(8, "1.0.0", "reconciler rollback app --to 2"),
        earlier(6, "3.0.0", "reconciler apply app"),
        earlier(4, "2.0.0", "reconciler apply app"),
        earlier(2, "1.0.0", "reconciler apply app"),
        earlier(1, "0.1.0", "reconciler apply app"),
    ]

    assert [one.version for one in that_ran(states)] == ["1.0.0", "1.0.0", "0.1.0"]


@pytest.mark.parametrize(
    ("command", "verb", "target"),
    [
        ("reconciler apply app", "apply", ""),
        ("reconciler rollback app --to 2", "rollback", "2"),
        ("reconciler --quiet rollback app --to=1.0.0 --to 3 --yes", "rollback", "3"),
        ("reconciler.api rollback --to 2", "rollback", "2"),
        ("reconciler rollback app --to", "rollback", ""),
        ("reconciler rollback", "rollback", ""),
        ("reconciler promote rollback --from TEST --to LIVE", "promote", ""),
        ("reconciler state forget --stack destroy", "state", ""),
        ("reconciler --quiet", "", ""),
        ("reconciler", "", ""),
        ("", "", ""),
    ],
)
def test_a_command_of_the_history_is_read_by_one_rule(command: str, verb: str, target: str) -> None:
    assert (verb_of(command), target_of(command)) == (verb, target)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["deploy", "roll back"]), st.sampled_from([APPLIED, FAILED, INTERRUPTED, None])
    ),
    min_size=1,
    max_size=12,
)
DAMAGE = (
    "",
    "DELETE FROM contents WHERE serial = 4",
    "UPDATE contents SET body = x'00' WHERE serial = 3",
    "UPDATE contents SET body = substr(body, 1, length(body) - 9) WHERE serial IN (1, 5)",
    "UPDATE contents SET body = (SELECT body FROM contents WHERE serial = 1) WHERE serial = 6",
    "DELETE FROM saves WHERE serial = 2",
)


@settings(deadline=None, max_examples=40)
@given(steps=STEPS, most=st.integers(1, 15), damage=st.sampled_from(DAMAGE))
def test_runs_that_are_read_together_are_those_that_are_read_one_by_one(
    steps: list[tuple[str, str | None]], most: int, damage: str
) -> None:
    with TemporaryDirectory() as folder, SqliteStore(path := Path(folder) / "state.db") as store:
        history = History(store)
        history.deploy()
        for what, outcome in steps:
            with suppress(UserError):  # there is nothing to roll back to
                history.deploy(outcome) if what == "deploy" else history.roll_back(outcome)
        with closing(sqlite3.connect(path)) as other:
            other.executescript(damage)
        store.close()
        one_by_one = [*islice(recorded_runs(store, str(STACK)), most)]
        assert latest_runs(store, str(STACK), most) == one_by_one


def test_the_reads_do_not_grow_with_the_runs(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read = SqliteStore._read

    def counted(store: SqliteStore, sql: str, *values: object, **options: Any) -> list[tuple[Any, ...]]:
        reads.append(sql)
        return read(store, sql, *values, **options)

    monkeypatch.setattr(SqliteStore, "_read", counted)
    counts = []
    for _ in range(3):
        for _ in range(20):
            history.deploy()
        reads.clear()
        runs = latest_runs(history.store, str(STACK), 1000)
        counts.append((len(runs), len(reads)))
    assert counts == [(20, 2), (40, 2), (60, 2)]
