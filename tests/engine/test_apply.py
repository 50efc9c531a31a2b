"""A plan walked on a far end in memory, with a real record: what is sent, what is saved, and when."""

from collections.abc import Collection

from providers.errors import RefusedError, TransientError
from providers.faults import READS, WRITES, Fault, Faults, FaultyKind
from reconciler.events import Event, Status, StepRetried, StepStarted
from reconciler.values import Address
from tests.engine.conftest import APP, Bench, after, input_of, model, processing, version_of


class TestDelete:
    def test_takes_along_what_lives_in_it_and_nothing_of_the_same_name(self, bench: Bench) -> None:
        bench.apply(processing("app"), input_of("app", "x"), model("app"), version_of("app", "x"))
        assert bench.apply(model("app"), version_of("app", "x"), prune=True).succeeded
        assert {kind for kind, _ in bench.world.objects} == {"model", "model-version"}


class TestReplace:
    def test_it_is_deleted_and_made_anew_with_everything_that_it_had(self, bench: Bench) -> None:
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

    def test_its_children_go_with_it_and_are_made_anew(self, bench: Bench) -> None:
        dataset = input_of("app", "dataset")
        bench.apply(processing(type="AUTO_TAGGING"), dataset)
        bench.writes()
        app = processing(type="PRE_ANNOTATION")
        planned = bench.plan(app, dataset, replace=[APP])
        assert planned.step(dataset.address).reason == "goes with processing/app, which is replaced"
        assert bench.walk(planned).succeeded
        assert bench.writes() == [
            ("delete", "processing/app"),
            ("create", "processing/app"),
            ("create", "input/app/dataset"),
        ]
        assert bench.plan(app, dataset).plan.is_empty


class TestTheRecordSaysWhatIsKnown:
    def test_a_field_that_nobody_wrote_or_read_is_not_recorded(self, bench: Bench) -> None:
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

    def test_nothing_at_all_starts_once_it_is_stopped(self, bench: Bench) -> None:
        bench.apply(model("M"))
        bench.writes()
        bench.stop.set()
        result = bench.apply(model("M"), processing())
        assert [(str(o.step.address), o.status) for o in result.outcomes] == [
            ("model/M", Status.DONE),  # there is nothing to do
            ("processing/app", Status.SKIPPED),
        ]
        assert bench.writes() == []

    def test_it_does_not_try_again(self, bench: Bench) -> None:
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


def failing(bench: Bench, kind: str, *faults: Fault, verbs: Collection[str] = WRITES) -> Faults:
    """From now on these calls of one kind fail."""
    counted = Faults(*faults, verbs=verbs)
    bench.kinds[kind] = FaultyKind(bench.kinds[kind], counted)
    return counted


class TestAnswersThatGotLost:
    def test_a_create_that_was_carried_out_is_found_and_not_repeated(self, bench: Bench) -> None:
        faults = failing(bench, "processing", Fault(1, LOST, after=True))
        assert bench.apply(processing(default_cpu=8)).succeeded
        assert [verb for verb, _ in faults.calls] == ["create"]
        assert bench.recorded(APP).inputs == {"default_cpu": 8} and not bench.record.intents

    def test_a_create_that_never_arrived_is_sent_again_after_a_look(self, bench: Bench) -> None:
        planned = bench.plan(processing())
        faults = failing(bench, "processing", Fault(1, LOST), verbs=[*READS, *WRITES])
        assert bench.walk(planned).succeeded
        assert [verb for verb, _ in faults.calls] == ["create", "read", "create", "read"]

    def test_while_the_look_up_fails_nothing_is_sent_again(self, bench: Bench) -> None:
        planned = bench.plan(processing())
        lost, busy = Fault(1, LOST, after=True), Fault(2, BUSY, times=2)
        faults = failing(bench, "processing", lost, busy, verbs=[*READS, *WRITES])
        assert bench.walk(planned).succeeded
        assert [verb for verb, _ in faults.calls] == ["create", "read", "read", "read", "read"]

    def test_what_cannot_be_settled_stays_open_for_the_next_run(self, bench: Bench) -> None:
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

    def test_a_clear_no_after_a_lost_answer_does_not_settle_it(self, bench: Bench) -> None:
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


class TestStubbornFields:
    def test_a_value_that_was_not_taken_fails_the_step_and_is_not_recorded(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4, description="apples"))
        bench.world.stubborn = ["default_cpu"]
        result = bench.apply(processing(default_cpu=8, description="pears"))
        [outcome] = result.outcomes
        assert outcome.status is Status.FAILED
        assert "default_cpu: sent 8, has 4" in str(outcome.error)
        assert bench.recorded(APP).inputs == {"default_cpu": 4, "description": "pears"}

    def test_the_next_plan_tries_again_and_is_no_take_over(self, bench: Bench) -> None:
        bench.apply(processing(default_cpu=4))
        bench.world.stubborn = ["default_cpu"]
        bench.apply(processing(default_cpu=8))
        assert bench.plan(processing(default_cpu=8)).step(APP).reason == "the files changed"

    def test_one_of_the_first_take_over_leaves_no_record_of_it(self, bench: Bench) -> None:
        bench.world.put("processing", "app", default_cpu=4)
        bench.world.stubborn = ["default_cpu"]
        assert not bench.apply(processing(default_cpu=8)).succeeded
        assert bench.recorded(APP).inputs == {}
