"""A plan walked on a far end in memory, with a real record: what is sent, what is saved, and when."""

from tests.engine.conftest import APP, Bench, input_of, model, processing, version_of


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
