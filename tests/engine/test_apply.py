"""A plan walked on a far end in memory, with a real record: what is sent, what is saved, and when."""

from providers.errors import RefusedError, TransientError
from providers.faults import Fault, Faults, FaultyKind
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
