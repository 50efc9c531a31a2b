"""Executing plans on a provider in memory, with real state: what is sent and saved, and in which order."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from providers.errors import GoneError, RefusedError, TransientError
from providers.protocol import LiveObject
from providers.retries import ATTEMPTS, LONGEST_DELAY
from reconciler.core.events import Event, Status, StepFinished, StepRetried, StepStarted
from reconciler.core.graph import Resource
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import Address
from state.errors import StoreUnavailableError
from state.stores.sqlite import SqliteStore
from tests.engine.conftest import APP, AT, Bench, after, image, input_of, model, processing, version_of
from tests.failing_kind import READS, WRITES, Died, Fault, Faults, FaultyKind


class TestDelete:
    def test_deletes_children_but_no_namesake(self, bench: Bench) -> None:
        bench.apply(processing("app"), input_of("app", "x"), model("app"), version_of("app", "x"))
        assert bench.apply(model("app"), version_of("app", "x"), prune=True).succeeded
        assert {kind for kind, _ in bench.world.objects} == {"model", "model-version"}


class TestReplace:
    def test_a_replaced_object_keeps_all_its_fields(self, bench: Bench) -> None:
        bench.apply(processing(type="AUTO_TAGGING", default_parameters={"epochs": 1}))
        bench.world.edit("processing", "app", default_cpu=16)
        bench.writes()
        app = processing(type="PRE_ANNOTATION", default_parameters={"epochs": 2})
        assert bench.apply(app, replace=[APP]).succeeded
        assert bench.writes() == [("delete", "processing/app"), ("create", "processing/app")]
        assert bench.live(APP) == {
            "type": "PRE_ANNOTATION",
            "default_parameters": {"epochs": 2},
            "default_cpu": 16,
            "default_gpu": 0,
        }
        assert bench.recorded(APP).inputs == dict(app.fields)
        assert bench.plan(app).plan.is_empty

    def test_children_are_deleted_and_created_again(self, bench: Bench) -> None:
        dataset = input_of("app", "dataset")
        bench.apply(processing(type="AUTO_TAGGING"), dataset)
        bench.writes()
        app = processing(type="PRE_ANNOTATION")
        planned = bench.plan(app, dataset, replace=[APP])
        assert planned.step(dataset.address).reason.code is ReasonCode.PARENT_REPLACED
        assert bench.walk(planned).succeeded
        assert bench.writes() == [
            ("delete", "processing/app"),
            ("create", "processing/app"),
            ("create", "input/app/dataset"),
        ]
        assert bench.plan(app, dataset).plan.is_empty


class TestInterruptedReplace:
    """The old object is deleted and the new one not created: only the state has its fields."""

    DATASET = input_of("app", "dataset")

    @pytest.fixture
    def half(self, bench: Bench) -> Bench:
        assert bench.apply(processing(type="AUTO_TAGGING"), self.DATASET).succeeded
        bench.world.edit("processing", "app", default_cpu=16, description="counts apples")
        self.failing(bench, processing(type="PRE_ANNOTATION"), self.DATASET, replace=[APP])
        assert not bench.world.objects
        return bench

    def failing(self, bench: Bench, *resources: Any, **options: Any) -> None:
        """An apply whose creates are refused."""
        healthy = bench.kinds["processing"]
        faults = Faults(Fault(1, RefusedError("no"), times=99), verbs=["create"])
        bench.kinds["processing"] = FaultyKind(healthy, faults)
        assert not bench.apply(*resources, **options).succeeded
        bench.kinds["processing"] = healthy
        bench.writes()

    def test_the_next_successful_run_creates_it_with_its_old_fields(self, half: Bench) -> None:
        app = processing(type="PRE_ANNOTATION", default_parameters={"epochs": 1})
        self.failing(half, app, self.DATASET)  # no --replace any more: there is nothing to lose
        planned = half.plan(app, self.DATASET)
        reasons = {step.reason.code for step in planned.plan.steps}
        assert reasons == {ReasonCode.UNFINISHED_REPLACE}
        assert half.walk(planned).succeeded
        assert half.writes() == [("create", "processing/app"), ("create", "input/app/dataset")]
        assert half.live(APP) == {
            "type": "PRE_ANNOTATION",
            "default_parameters": {"epochs": 1},
            "default_cpu": 16,
            "default_gpu": 0,
            "description": "counts apples",
        }
        assert half.plan(app, self.DATASET).plan.is_empty and not half.record.intents

    def test_a_resource_that_left_the_files_is_not_created_again(self, half: Bench) -> None:
        app = processing(type="PRE_ANNOTATION")
        assert half.apply(app).succeeded
        assert set(half.record.resources) == {"processing/app"} and not half.record.intents
        assert half.apply().succeeded
        assert not half.record.resources and half.plan().plan.is_empty

    def test_another_object_with_its_name_is_a_conflict(self, half: Bench) -> None:
        half.world.put("processing", "app", type="DATA_AUGMENTATION", default_cpu=1)
        planned = half.plan(processing(type="PRE_ANNOTATION"), self.DATASET)
        assert [step.address for step in planned.plan.conflicts] == [APP]

    def test_a_refused_delete_leaves_no_intent(self, bench: Bench) -> None:
        assert bench.apply(processing(type="AUTO_TAGGING"), self.DATASET).succeeded
        before = bench.record.resources
        faults = Faults(Fault(1, RefusedError("no"), times=99), verbs=["delete"])
        bench.kinds["processing"] = FaultyKind(bench.kinds["processing"], faults)
        assert not bench.apply(processing(type="PRE_ANNOTATION"), self.DATASET, replace=[APP]).succeeded
        assert dict(bench.record.resources) == dict(before) and not bench.record.intents


class TestRecordedFields:
    def test_a_field_that_was_neither_written_nor_read_is_not_recorded(self, bench: Bench) -> None:
        bench.world.put("processing", "app", type="AUTO_TAGGING", default_cpu=4)
        bench.world.hidden = ["type"]
        app = processing(type="AUTO_TAGGING", default_cpu=8)
        assert bench.apply(app).succeeded
        assert bench.recorded(APP).inputs == {"default_cpu": 8}
        assert bench.plan(app).plan.is_empty


class TestBlocked:
    def test_dependants_of_a_failure_are_blocked_and_everything_else_finishes(self, bench: Bench) -> None:
        refused = Fault(1, RefusedError("no"))
        bench.kinds["processing"] = FaultyKind(bench.kinds["processing"], Faults(refused, verbs=["create"]))
        resources = [processing("a"), input_of("a", "x"), processing("b"), input_of("b", "x")]
        deeper = after(model("M"), resources[1])
        result = bench.apply(*resources, deeper)
        assert {str(outcome.step.address): outcome.status for outcome in result.outcomes} == {
            "processing/a": Status.FAILED,
            "input/a/x": Status.BLOCKED,
            "model/M": Status.BLOCKED,
            "processing/b": Status.DONE,
            "input/b/x": Status.DONE,
        }
        assert not result.succeeded
        assert {o.blocked_by for o in result.of(Status.BLOCKED)} == {Address.of("processing", "a")}
        assert bench.writes() == [("create", "processing/b"), ("create", "input/b/x")]
        assert set(bench.record.resources) == {"processing/b", "input/b/x"} and not bench.record.intents


class TestInterrupted:
    def test_the_running_step_finishes_and_none_starts(self, bench: Bench) -> None:
        def interrupt(event: Event) -> None:
            if isinstance(event, StepStarted):
                bench.stop.set()

        planned = bench.plan(processing("a"), input_of("a", "x"), processing("b"), processing("c"))
        result = bench.walk(planned, emit=interrupt)
        assert [outcome.status for outcome in result.outcomes] == [Status.DONE, *[Status.SKIPPED] * 3]
        assert bench.writes() == [("create", "processing/a")]
        assert set(bench.record.resources) == {"processing/a"} and not bench.record.intents

    def test_nothing_starts_after_a_stop(self, bench: Bench) -> None:
        bench.apply(model("M"))
        bench.writes()
        bench.stop.set()
        result = bench.apply(model("M"), processing())
        assert [(str(o.step.address), o.status) for o in result.outcomes] == [
            ("model/M", Status.DONE),  # there is nothing to do
            ("processing/app", Status.SKIPPED),
        ]
        assert bench.writes() == []

    def test_a_stop_ends_retries(self, bench: Bench) -> None:
        def interrupt(event: Event) -> None:
            if isinstance(event, StepRetried):
                bench.stop.set()

        faults = Faults(Fault(1, TransientError("busy"), times=99), verbs=["create"])
        bench.kinds["processing"] = FaultyKind(bench.kinds["processing"], faults)
        result = bench.walk(bench.plan(processing()), emit=interrupt)
        assert [outcome.status for outcome in result.outcomes] == [Status.FAILED]
        assert len(faults.calls) == 2, "the one that was being waited for is the last"


LOST = TransientError("the connection dropped", outcome_unknown=True)
BUSY = TransientError("busy")


@pytest.fixture(autouse=True)
def busy_for_now() -> None:
    """An error whose attempts are used up says so."""
    BUSY.waits = None


def failing(bench: Bench, kind: str, *faults: Fault, verbs: Collection[str] = WRITES) -> Faults:
    """Let the calls of one kind fail from now on."""
    counted = Faults(*faults, verbs=verbs)
    bench.kinds[kind] = FaultyKind(bench.kinds[kind], counted)
    return counted


class TestLostAnswers:
    def test_a_create_that_succeeded_is_found_and_not_repeated(self, bench: Bench) -> None:
        faults = failing(bench, "processing", Fault(1, LOST, after=True))
        assert bench.apply(processing(default_cpu=8)).succeeded
        assert [verb for verb, _ in faults.calls] == ["create"]
        assert bench.recorded(APP).inputs == {"default_cpu": 8} and not bench.record.intents

    def test_a_create_that_did_not_arrive_is_sent_again_after_a_look_up(self, bench: Bench) -> None:
        planned = bench.plan(processing())
        faults = failing(bench, "processing", Fault(1, LOST), verbs=[*READS, *WRITES])
        assert bench.walk(planned).succeeded
        assert [verb for verb, _ in faults.calls] == ["create", "read", "create", "read"]

    def test_nothing_is_sent_again_while_the_look_up_fails(self, bench: Bench) -> None:
        planned = bench.plan(processing())
        lost, busy = Fault(1, LOST, after=True), Fault(2, BUSY, times=2)
        faults = failing(bench, "processing", lost, busy, verbs=[*READS, *WRITES])
        assert bench.walk(planned).succeeded
        assert [verb for verb, _ in faults.calls] == ["create", "read", "read", "read", "read"]

    def test_an_unsettled_write_stays_open_for_the_next_run(self, bench: Bench) -> None:
        planned = bench.plan(processing())
        healthy = bench.kinds["processing"]
        failing(
            bench, "processing", Fault(1, LOST, after=True), Fault(2, BUSY, times=9), verbs=[*READS, *WRITES]
        )
        assert not bench.walk(planned).succeeded
        assert bench.record.intents["processing/app"].verb == "create" and not bench.record.resources
        bench.kinds["processing"] = healthy
        bench.writes()
        assert bench.apply(processing()).succeeded
        assert bench.writes() == [] and not bench.record.intents
        assert bench.recorded(APP).id == bench.world.objects["processing", ("app",)].id

    def test_a_refusal_after_a_lost_answer_does_not_settle_it(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4))
        failing(bench, "processing", Fault(1, LOST, after=True), Fault(2, RefusedError("no")))
        assert not bench.apply(processing(default_cpu=8)).succeeded
        assert bench.live(APP)["default_cpu"] == 8, "the first attempt got through"
        assert bench.record.intents["processing/app"].verb == "update"

    def test_an_acknowledged_write_that_cannot_be_read_back_stays_open(self, bench: Bench) -> None:
        planned = bench.plan(processing(default_cpu=8))
        healthy = bench.kinds["processing"]
        failing(bench, "processing", Fault(1, BUSY, times=9), verbs=READS)
        assert not bench.walk(planned).succeeded
        assert set(bench.record.intents) == {"processing/app"}
        bench.kinds["processing"] = healthy
        planned = bench.plan(processing(default_cpu=8))
        assert "processing/app" in planned.snapshot.resources, "settled: it is ours"


class TestIgnoredWrites:
    def test_an_ignored_value_fails_the_step_and_is_not_recorded(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4, description="apples"))
        bench.world.stubborn = ["default_cpu"]
        result = bench.apply(processing(default_cpu=8, description="pears"))
        [outcome] = result.outcomes
        assert outcome.status is Status.FAILED
        assert "default_cpu: sent 8, has 4" in str(outcome.error)
        assert bench.recorded(APP).inputs == {"default_cpu": 4, "description": "pears"}

    def test_a_secret_that_was_ignored_is_not_in_the_error(self, bench: Bench) -> None:
        bench.apply(processing(default_parameters={"token": "abcdef0123" * 4}))
        bench.world.stubborn = ["default_parameters"]
        result = bench.apply(processing(default_parameters={"token": "0123456789" * 4}))
        [outcome] = result.outcomes
        hidden = "(a secret, not shown)"
        assert f"default_parameters: sent {hidden}, has {hidden}" in str(outcome.error)

    def test_the_next_plan_writes_it_again_as_an_update(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4))
        bench.world.stubborn = ["default_cpu"]
        bench.apply(processing(default_cpu=8))
        assert bench.plan(processing(default_cpu=8)).step(APP).reason.code is ReasonCode.FILES_CHANGED

    def test_an_ignored_value_of_an_adoption_is_not_recorded(self, bench: Bench) -> None:
        bench.world.put("processing", "app", default_cpu=4)
        bench.world.stubborn = ["default_cpu"]
        assert not bench.apply(processing(default_cpu=8)).succeeded
        assert bench.recorded(APP).inputs == {}


class TestDeletesThatAreIgnored:
    """Answered with success, and the object stays."""

    @pytest.mark.parametrize("parents", [(), (processing(),)])
    def test_it_fails_the_step_and_stays_recorded(self, bench: Bench, parents: tuple[Resource, ...]) -> None:
        dataset = input_of("app", "x")
        bench.apply(processing(), dataset)
        bench.world.keeps = True
        result = bench.apply(*parents, prune=True)
        assert "still there" in " ".join(str(outcome.error) for outcome in result.outcomes)
        assert set(bench.record.resources) == {"input/app/x", "processing/app"} and not bench.record.intents
        bench.world.keeps = False
        assert bench.apply(*parents, prune=True).succeeded
        assert set(bench.record.resources) == {str(parent.address) for parent in parents}

    def test_a_replace_ends_before_anything_is_made(self, bench: Bench) -> None:
        bench.apply(processing(type="AUTO_TAGGING", description="apples"))
        bench.world.keeps = True
        app = processing(type="PRE_ANNOTATION")
        [outcome] = bench.apply(app, replace=[APP]).outcomes
        assert "still there" in str(outcome.error)
        assert bench.recorded(APP).inputs["type"] == "AUTO_TAGGING" and not bench.record.intents
        bench.world.keeps = False
        assert bench.apply(app, replace=[APP]).succeeded
        assert bench.live(APP)["description"] == "apples"


class TestWriteOrder:
    def test_the_intent_is_saved_before_the_call_and_the_result_after_it(self, bench: Bench) -> None:
        seen: list[tuple[str, str, list[str], list[str]]] = []

        class Watched(FaultyKind):
            def update(self, live: LiveObject, changed: Any, fields: Any, **more: Any) -> LiveObject:
                self.look("update", live.name)
                return super().update(live, changed, fields, **more)

            def create(self, name: Any, fields: Any, **more: Any) -> LiveObject:
                self.look("create", name)
                return super().create(name, fields, **more)

            def delete(self, live: LiveObject, **more: Any) -> None:
                self.look("delete", live.name)
                super().delete(live, **more)

            def look(self, verb: str, name: Any) -> None:
                open = [f"{intent.verb} {address}" for address, intent in bench.record.intents.items()]
                seen.append((verb, "/".join(name), open, sorted(bench.record.resources)))

        bench.kinds = {name: Watched(kind, Faults()) for name, kind in bench.kinds.items()}
        bench.apply(processing(), input_of("app", "x"))
        bench.apply(processing(), input_of("app", "x", required=False))
        bench.apply(processing())
        assert seen == [
            ("create", "app", ["create processing/app"], []),
            ("create", "app/x", ["create input/app/x"], ["processing/app"]),
            ("update", "app/x", ["update input/app/x"], ["input/app/x", "processing/app"]),
            ("delete", "app/x", ["delete input/app/x"], ["input/app/x", "processing/app"]),
        ]
        assert list(bench.record.resources) == ["processing/app"] and not bench.record.intents

    def test_the_intent_has_the_fields_sent_and_the_resource_the_result(self, bench: Bench) -> None:
        failing(bench, "processing", Fault(1, Died()))
        with pytest.raises(Died):
            bench.apply(processing(default_cpu=8))
        [intent] = bench.record.intents.values()
        assert (intent.verb, intent.id, dict(intent.fields)) == ("create", None, {"default_cpu": 8})
        assert (intent.since, intent.run) == (AT, "run-1")

    def test_only_what_changed_is_written(self, bench: Bench) -> None:
        sent: list[dict[str, Any]] = []

        class Watched(FaultyKind):
            def update(self, live: LiveObject, changed: Any, fields: Any, **more: Any) -> LiveObject:
                sent.append(dict(changed))
                return super().update(live, changed, fields, **more)

        bench.apply(processing(default_cpu=4, description="apples"))
        bench.world.edit("processing", "app", description="theirs", docker_tag="not managed")
        bench.kinds["processing"] = Watched(bench.kinds["processing"], Faults())
        bench.apply(processing(default_cpu=4, description="apples"))
        assert sent == [{"description": "apples"}]
        assert bench.live(APP)["docker_tag"] == "not managed"


class TestStateCannotBeSaved:
    def test_no_further_step_starts(self, bench: Bench) -> None:
        names = [f"app-{number:02}" for number in range(20)]
        planned = bench.plan(*(processing(name) for name in names))
        faults = failing(bench, "processing")

        def full(*_: Any, **__: Any) -> Any:
            raise StoreUnavailableError("the disk is full")

        def fill(event: Event) -> None:
            if isinstance(event, StepFinished):
                bench.store.save = full  # type: ignore[method-assign]

        with pytest.raises(StoreUnavailableError):
            bench.walk(planned, emit=fill)
        assert len(faults.calls) < len(names)
        assert set(bench.record.resources) | set(bench.record.intents) == {
            f"processing/{name}" for _, (name,) in faults.calls
        }


class TestTransientErrors:
    def test_the_number_of_attempts_is_limited(self, bench: Bench) -> None:
        faults = failing(bench, "processing", Fault(1, BUSY, times=99))
        [outcome] = bench.apply(processing()).outcomes
        assert outcome.status is Status.FAILED and outcome.error is BUSY
        assert len(faults.calls) == ATTEMPTS
        assert bench.stop.waited == [0.5, 1.0, 2.0]
        assert not bench.record.intents, "a clear no: nothing was written"

    def test_a_retry_succeeds(self, bench: Bench) -> None:
        faults = failing(bench, "processing", Fault(1, BUSY, times=2))
        events: list[Event] = []
        assert bench.walk(bench.plan(processing()), emit=events.append).succeeded
        assert len(faults.calls) == 3
        retried = [event for event in events if isinstance(event, StepRetried)]
        assert [(str(event.address), event.problem, event.delay) for event in retried] == [
            ("processing/app", BUSY, 0.5),
            ("processing/app", BUSY, 1.0),
        ]

    def test_a_retry_after_sets_the_delay(self, bench: Bench) -> None:
        asked = [TransientError("slow down", retry_after=seconds) for seconds in (7.0, 3600.0)]
        failing(bench, "processing", Fault(1, asked[0]), Fault(2, asked[1]))
        assert bench.apply(processing()).succeeded
        assert bench.stop.waited == [7.0, LONGEST_DELAY]

    def test_a_permanent_error_is_not_retried(self, bench: Bench) -> None:
        faults = failing(bench, "processing", Fault(1, RefusedError("no")))
        assert not bench.apply(processing()).succeeded
        assert len(faults.calls) == 1 and bench.stop.waited == [] and not bench.record.intents


class TestConcurrentChanges:
    def test_an_equal_object_is_adopted(self, bench: Bench) -> None:
        planned = bench.plan(processing(default_cpu=8))
        theirs = bench.world.put("processing", "app", default_cpu="8", default_gpu=0, default_parameters=None)
        assert bench.walk(planned).succeeded
        assert bench.writes() == [] and bench.recorded(APP).id == theirs.id

    def test_a_different_object_fails_the_step_with_the_fields(self, bench: Bench) -> None:
        planned = bench.plan(processing(default_cpu=8))
        bench.world.put("processing", "app", default_cpu=2, default_gpu=0, default_parameters={})
        [outcome] = bench.walk(planned).outcomes
        assert outcome.status is Status.FAILED and "default_cpu differ" in str(outcome.error)
        assert not bench.record.resources and not bench.record.intents
        assert bench.live(APP)["default_cpu"] == 2

    def test_a_deleted_object_needs_no_delete(self, bench: Bench) -> None:
        bench.apply(processing(), input_of("app", "x"))
        planned = bench.plan(processing())
        del bench.world.objects["input", ("app", "x")]
        assert bench.walk(planned).succeeded
        assert list(bench.record.resources) == ["processing/app"] and not bench.record.intents

    def test_an_update_of_a_deleted_object_fails(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4))
        planned = bench.plan(processing(default_cpu=8))
        bench.world.objects.clear()
        [outcome] = bench.walk(planned).outcomes
        assert isinstance(outcome.error, GoneError)
        assert bench.recorded(APP).inputs == {"default_cpu": 4} and not bench.record.intents


STACK_OF_ALL = [
    image(),
    *(after(processing(name, default_cpu=4), image()) for name in "abcd"),
    *(input_of(app, name) for app in "abcd" for name in "xyz"),
    model("M"),
    *(version_of("M", name, docker_tag="latest") for name in ("v1", "v2")),
]


class TestRepeatedApply:
    def test_a_second_apply_does_nothing(self, bench: Bench) -> None:
        assert bench.apply(*STACK_OF_ALL).succeeded
        before = bench.record
        bench.writes()
        planned = bench.plan(*STACK_OF_ALL)
        assert planned.plan.is_empty and planned.plan.exit_code == 0
        assert bench.walk(planned).succeeded
        assert bench.writes() == [] and bench.record == before, "no write, no new serial"

    def test_a_resource_that_left_the_files_is_forgotten_once(self, bench: Bench) -> None:
        bench.apply(processing(), model("M"))
        bench.writes()
        assert bench.apply(processing()).succeeded
        assert bench.writes() == [] and list(bench.record.resources) == ["processing/app"]
        assert bench.plan(processing()).plan.is_empty

    def test_a_kept_live_value_is_recorded_and_ends_the_conflict(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4))
        bench.world.edit("processing", "app", default_cpu=2)
        bench.writes()
        assert bench.apply(processing(default_cpu=8), theirs=None).succeeded
        assert bench.writes() == [] and bench.recorded(APP).inputs == {"default_cpu": 2}
        assert not bench.plan(processing(default_cpu=8)).plan.conflicts
        assert bench.plan(processing(default_cpu=2)).plan.is_empty, "once the files say so, too"

    def test_winning_file_values_are_written_and_recorded(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4))
        bench.world.edit("processing", "app", default_cpu=2)
        assert bench.apply(processing(default_cpu=8), ours=None).succeeded
        assert bench.live(APP)["default_cpu"] == 8 and bench.recorded(APP).inputs == {"default_cpu": 8}

    def test_an_empty_state_adopts_everything_without_a_write(self, bench: Bench, tmp_path: Path) -> None:
        bench.apply(*STACK_OF_ALL)
        bench.writes()
        with SqliteStore(tmp_path / "lost.db") as empty:
            known, bench.store = bench.record, empty
            assert bench.apply(*STACK_OF_ALL).succeeded
            assert bench.writes() == [] and bench.record.resources == known.resources
            assert bench.plan(*STACK_OF_ALL).plan.is_empty


def test_parallelism_does_not_change_the_result(tmp_path: Path) -> None:
    ends = []
    for parallel in (1, 8):
        with SqliteStore(tmp_path / f"{parallel}.db") as store:
            bench = Bench(store)
            planned = bench.plan(*STACK_OF_ALL)
            result = bench.walk(planned, parallel=parallel)
            order = [(str(o.step.address), o.status) for o in result.outcomes]
            fields = {key: live.fields for key, live in bench.world.objects.items()}
            inputs = {
                text: (entry.inputs, entry.depends_on) for text, entry in bench.record.resources.items()
            }
            ends.append((planned.plan, order, fields, inputs))
            for verb, address in bench.writes():
                assert verb == "create", address
    assert ends[0] == ends[1]
