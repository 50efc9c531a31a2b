"""Many objects in one list are written in batches, which share a listing and the saves of the state."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from providers.errors import ExistsError, GoneError, RefusedError, TransientError
from providers.json_value import JSON
from providers.protocol import LiveObject, Report
from reconciler.core.events import Event, Status, StepStarted
from reconciler.core.graph import Resource
from reconciler.core.plan import Action
from reconciler.engine import executor
from reconciler.engine.executor import ExecutionResult
from state.snapshot import Snapshot
from state.stores.sqlite import SqliteStore
from tests.engine.conftest import Bench, input_of, processing
from tests.failing_kind import READS, Fault, Faults, FaultyKind
from tests.state.conftest import intent

MANY = 300
BATCHES = math.ceil(MANY / executor._BATCH)
LOST = TransientError("the connection dropped", outcome_unknown=True)


def inputs(count: int = MANY, **fields: Any) -> list[Resource]:
    return [input_of("app", f"i{number:03}", **fields) for number in range(count)]


class Observed(FaultyKind):
    """A kind of which `verb` of these names goes another way."""

    def __init__(self, bench: Bench, **ways: Mapping[str, Callable[[], Any]]) -> None:
        super().__init__(bench.kinds["input"], Faults())
        self.ways = ways

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        other = self.ways.get("create", {}).get(name[-1])
        if other is not None and (answer := other()) is not None:
            assert isinstance(answer, LiveObject)
            return answer
        return super().create(name, fields, parent=parent, report=report)

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        if live.name[-1] not in self.ways.get("delete", {}):
            super().delete(live, parent=parent)


def statuses(result: ExecutionResult) -> dict[str, Status]:
    return {str(outcome.step.address): outcome.status for outcome in result.outcomes}


def failures(result: ExecutionResult) -> dict[str, str]:
    return {
        str(outcome.step.address): str(outcome.error)
        for outcome in result.outcomes
        if outcome.status is Status.FAILED
    }


@pytest.fixture
def lost(tmp_path: Path) -> Iterator[SqliteStore]:
    """The store after its state was lost."""
    with SqliteStore(tmp_path / "lost.db") as store:
        yield store


class TestCost:
    """However many objects a list has, listings and saves grow with the batches, not with the objects."""

    BEFORE: Mapping[Action, Sequence[Resource]] = {
        Action.CREATE: [],
        Action.UPDATE: inputs(required=False),
        Action.REPLACE: inputs(input_type="MODEL_VERSION"),
        Action.DELETE: [*inputs(), *(input_of("app", f"old{number:03}") for number in range(MANY))],
        Action.ADOPT: inputs(),
    }

    def test_of_long_lists(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        """Twice as many writes need a few listings more, not twice as many: each is as long as the list."""
        monkeypatch.setattr(executor, "_BATCH", 4)
        listings = []
        for app, count in (("one", 500), ("two", 1000), ("four", 2000)):
            faults = Faults(verbs=READS)
            bench.kinds["input"] = FaultyKind(bench.kinds["input"], faults)
            members = [input_of(app, f"i{number:04}") for number in range(count)]
            assert bench.walk(bench.plan(processing(app), *members), parallel=8).succeeded
            listings.append(len(faults.calls))
        assert listings[2] - listings[1] <= 8
        assert listings[1] - listings[0] <= 8

    @pytest.mark.parametrize("action", BEFORE)
    @pytest.mark.parametrize("parallel", [1, 8])
    def test_of_every_action(self, bench: Bench, lost: SqliteStore, action: Action, parallel: int) -> None:
        assert bench.walk(bench.plan(processing(), *self.BEFORE[action]), parallel=8).succeeded
        if action is Action.ADOPT:
            bench.store = lost
        planned = bench.plan(processing(), *inputs())
        steps = [step for step in planned.plan.steps if step.address.kind == "input"]
        assert sum(step.action is action for step in steps) == MANY
        faults, serial = Faults(verbs=READS), bench.record.serial
        bench.kinds["input"] = FaultyKind(bench.kinds["input"], faults)
        assert bench.walk(planned, parallel=parallel).succeeded
        listings = {Action.ADOPT: 0, Action.REPLACE: 2}.get(action, 1)
        saves = {Action.ADOPT: 1, Action.REPLACE: 4}.get(action, 2)
        assert len(faults.calls) <= listings * BATCHES
        assert {verb for verb, _ in faults.calls} <= {"siblings"}
        own = 2 if action is Action.CREATE else 1 if action is Action.ADOPT else 0  # of the processing
        assert bench.record.serial - serial <= saves * BATCHES + own
        assert not bench.record.intents
        assert bench.plan(processing(), *inputs()).plan.is_empty


class TestOneOfABatch:
    """What happens to one object of a batch happens to it alone, and as if it were alone."""

    def test_a_create_that_was_answered_and_not_carried_out_fails(self, bench: Bench) -> None:
        ignored = LiveObject("i001", ("app", "i001"), {})
        bench.kinds["input"] = Observed(bench, create={"i001": lambda: ignored})
        result = bench.apply(processing(), *inputs(5))
        assert "reading back did not find the object" in failures(result)["input/app/i001"]
        assert len(result.of(Status.DONE)) == 5
        assert set(bench.record.intents) == {"input/app/i001"}

    def test_a_write_whose_values_were_not_taken_fails_and_names_them(self, bench: Bench) -> None:
        other = {**input_of("app", "i001").fields, "required": False}

        def theirs() -> LiveObject:
            return bench.world.put("input", "app", "i001", **other)

        bench.kinds["input"] = Observed(bench, create={"i001": theirs})
        result = bench.apply(processing(), *inputs(5))
        assert "required: sent True, has False" in failures(result)["input/app/i001"]
        assert len(result.of(Status.DONE)) == 5
        assert not bench.record.intents

    def test_a_deletion_that_was_ignored_fails_and_stays_recorded(self, bench: Bench) -> None:
        assert bench.apply(processing(), *inputs(5)).succeeded
        bench.kinds["input"] = Observed(bench, delete={"i001": bool})
        result = bench.apply(processing())
        assert "still there" in failures(result)["input/app/i001"]
        assert set(bench.record.resources) == {"processing/app", "input/app/i001"}
        assert not bench.record.intents

    def test_a_replace_whose_deletion_was_ignored_ends_before_its_create(self, bench: Bench) -> None:
        assert bench.apply(processing(), *inputs(5)).succeeded
        bench.kinds["input"] = Observed(bench, delete={"i001": bool})
        bench.writes()
        result = bench.apply(processing(), *inputs(5, input_type="MODEL_VERSION"))
        assert "still there" in failures(result)["input/app/i001"]
        assert ("create", "input/app/i001") not in bench.writes()
        assert bench.recorded(input_of("app", "i001").address).inputs["input_type"] == "DATASET_VERSION"
        assert not bench.record.intents

    def test_an_object_that_somebody_else_created_meanwhile_is_not_overwritten(self, bench: Bench) -> None:
        def collide() -> None:
            bench.world.put("input", "app", "i001", input_type="TEXT", required=True)
            raise ExistsError("it exists")

        bench.kinds["input"] = Observed(bench, create={"i001": collide})
        result = bench.apply(processing(), *inputs(5))
        assert "was created meanwhile, and its input_type differ" in failures(result)["input/app/i001"]
        assert bench.live(input_of("app", "i001").address)["input_type"] == "TEXT"
        assert len(result.of(Status.DONE)) == 5

    def test_lost_answers_are_settled_by_a_look_up(self, bench: Bench) -> None:
        planned = bench.plan(processing(), *inputs(5))
        faults = Faults(Fault(2, LOST, after=True), Fault(4, LOST), verbs=["create"])
        bench.kinds["input"] = FaultyKind(bench.kinds["input"], faults)
        assert bench.walk(planned).succeeded
        sent = [name[-1] for _, name in faults.calls]
        assert sent == ["i000", "i001", "i002", "i003", "i003", "i004"]
        assert not bench.record.intents

    def test_a_refusal_leaves_no_intent(self, bench: Bench) -> None:
        def refuse() -> None:
            raise RefusedError("no")

        bench.kinds["input"] = Observed(bench, create={"i001": refuse})
        result = bench.apply(processing(), *inputs(5))
        assert failures(result) == {"input/app/i001": "no"}
        assert not bench.record.intents and len(bench.record.resources) == 5


class TestAllOfABatch:
    def test_a_list_that_cannot_be_read_back_leaves_all_its_writes_open(self, bench: Bench) -> None:
        assert bench.apply(processing()).succeeded
        planned, healthy = bench.plan(processing(), *inputs(5)), bench.kinds["input"]
        bench.kinds["input"] = FaultyKind(healthy, Faults(Fault(1, GoneError("no"), times=9), verbs=READS))
        result = bench.walk(planned)
        assert len(failures(result)) == 5 == len(bench.record.intents)
        bench.kinds["input"] = healthy
        bench.writes()
        planned = bench.plan(processing(), *inputs(5))
        assert len(planned.snapshot.resources) == 6, "settled: they are ours"
        assert bench.walk(planned).succeeded and bench.writes() == []

    def test_a_busy_list_is_read_again(self, bench: Bench) -> None:
        assert bench.apply(processing()).succeeded
        planned = bench.plan(processing(), *inputs(5))
        faults = Faults(Fault(1, TransientError("busy")), verbs=READS)
        bench.kinds["input"] = FaultyKind(bench.kinds["input"], faults)
        assert bench.walk(planned).succeeded
        assert len(faults.calls) == 2


class TestStop:
    def test_sent_writes_are_finished_and_no_other_is_sent_or_left_open(self, bench: Bench) -> None:
        started: list[str] = []

        def stop_at_the_third(event: Event) -> None:
            if isinstance(event, StepStarted) and event.step.address.kind == "input":
                started.append(str(event.step.address))
                if len(started) == 3:
                    bench.stop.set()

        result = bench.walk(bench.plan(processing(), *inputs()), emit=stop_at_the_third)
        assert len(started) == 3
        assert {address for address, status in statuses(result).items() if status is Status.DONE} == {
            "processing/app",
            *started,
        }
        assert set(statuses(result).values()) == {Status.DONE, Status.SKIPPED}
        assert [address for _, address in bench.writes()] == ["processing/app", *started]
        assert set(bench.record.resources) == {"processing/app", *started} and not bench.record.intents

    def test_an_open_write_of_an_earlier_run_stays_open(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A create without an answer, whose object differs. `--ours` would write it."""
        assert bench.apply(processing(), *inputs(2)).succeeded
        unanswered = intent("input/app/i000", fields=dict(input_of("app", "i000", required=False).fields))
        state = bench.record.without_resource("input/app/i000").with_intent(unanswered)
        bench.store.save(state, expected_serial=state.serial, lock=None)
        before = bench.record
        planned = bench.plan(processing(), *inputs(2, framework_constraint="ONNX"), ours=None)
        assert [step.action for step in planned.plan.steps[1:]] == [Action.ADOPT, Action.UPDATE]
        save = bench.store.save

        def stop_after(*arguments: Any, **options: Any) -> Snapshot:
            bench.stop.set()
            return save(*arguments, **options)

        monkeypatch.setattr(bench.store, "save", stop_after)
        bench.writes()
        result = bench.walk(planned)
        assert bench.writes() == []
        assert list(statuses(result).values()) == [Status.DONE, Status.SKIPPED, Status.SKIPPED]
        assert dict(bench.record.intents) == dict(before.intents)
        assert dict(bench.record.resources) == dict(before.resources)


def test_batches_side_by_side_do_not_change_the_result(tmp_path: Path) -> None:
    ends = []
    for parallel in (1, 16):
        with SqliteStore(tmp_path / f"{parallel}.db") as store:
            bench = Bench(store)
            apps = [processing(name) for name in ("app", "other")]
            resources = [*apps, *inputs(), *(input_of("other", f"i{number}") for number in range(200))]
            result = bench.walk(bench.plan(*resources), parallel=parallel)
            assert result.succeeded
            order = [(str(o.step.address), o.status) for o in result.outcomes]
            recorded = {text: entry.inputs for text, entry in bench.record.resources.items()}
            ends.append((order, recorded, {key: live.fields for key, live in bench.world.objects.items()}))
    assert ends[0] == ends[1]


def test_no_more_writes_are_sent_at_once_than_allowed(bench: Bench) -> None:
    sending, most, lock = 0, 0, threading.Lock()

    def count() -> None:
        nonlocal sending, most
        with lock:
            sending += 1
            most = max(most, sending)
        threading.Event().wait(0.001)
        with lock:
            sending -= 1

    bench.kinds["input"] = Observed(bench, create={f"i{number:03}": count for number in range(MANY)})
    assert bench.walk(bench.plan(processing(), *inputs()), parallel=4).succeeded
    assert 1 <= most <= 4
