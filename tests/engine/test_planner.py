"""The planner: each action with its reason, the order of steps, and the plan as a document."""

from enum import StrEnum
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.reasons import Reason, Refusal
from reconciler.core.diagnostics import Diagnostic, Severity, in_order
from reconciler.core.diff import Change, ChangeClass, Resolution, effective_fields
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.planner import fingerprint, plan_steps
from reconciler.core.reasons import ReasonCode, RefusalCode
from reconciler.core.values import ABSENT, MISSING, Address
from reconciler.engine.refresh import RemoteState
from reconciler.views import phrases
from reconciler.views.reports.document_parts import unstated
from reconciler.views.reports.plan_json import plan_from_document, plan_to_document
from state.snapshot import RecordedResource
from tests.engine.conftest import (
    APP,
    FACTS,
    STACK,
    addresses,
    after,
    image,
    input_of,
    model,
    processing,
    record,
    version_of,
)
from tests.memory import MemoryWorld
from tests.reasons import REASONS, WAYS

CREATE, UPDATE, REPLACE, DELETE, ADOPT, FORGET, NOOP = Action


class Three:
    """The recorded and live worlds of one plan; the desired one is the argument of `plan`."""

    def __init__(self) -> None:
        self.world = MemoryWorld()
        self.records: dict[Address, RecordedResource] = {}

    def lives(self, *resources: Resource, **fields: Any) -> None:
        """Make the resource live, with its own fields or these."""
        for resource in resources:
            address = resource.address
            self.world.put(address.kind, *address.name, **(fields or dict(resource.fields)))

    def is_recorded(self, *resources: Resource, **inputs: Any) -> None:
        """Make the resources recorded, with their own fields or these, and the ids of their live objects."""
        for resource in resources:
            live = self.world.objects.get((resource.address.kind, resource.address.name))
            self.records[resource.address] = record(resource, live.id if live else None, **inputs)

    def was_applied(self, *resources: Resource) -> None:
        self.lives(*resources)
        self.is_recorded(*resources)

    def plan(self, *desired: Resource, **options: Any) -> Plan:
        found = {
            Address(kind, name): self.world.answer(live) for (kind, name), live in self.world.objects.items()
        }
        steps, remarks = plan_steps(
            Graph(desired), self.records, RemoteState(found), FACTS, PlanOptions(**options)
        )
        return Plan(STACK, "lineage-1", 1, steps, remarks)

    def step(self, *desired: Resource, **options: Any) -> Step:
        """The step of the first resource."""
        step = self.plan(*desired, **options).step(desired[0].address)
        assert step is not None
        return step


@pytest.fixture
def three() -> Three:
    return Three()


def decision(step: Step) -> tuple[Action, StrEnum]:
    return step.action, step.reason.code


def classes(step: Step) -> dict[str, ChangeClass]:
    return {change.path: change.cls for change in step.changes}


class TestOneResource:
    def test_a_new_resource_is_created(self, three: Three) -> None:
        step = three.step(processing(default_cpu=8))
        assert decision(step) == (CREATE, ReasonCode.NOT_CREATED)
        assert step.id is None and step.fingerprint == "" and step.writes
        sent = {change.path: change.desired for change in step.changes}
        assert sent["default_cpu"] == 8
        assert all(change.live is ABSENT for change in step.changes)

    def test_a_default_of_the_kind_is_shown_on_create(self, three: Three) -> None:
        step = three.step(processing())
        shown = {change.path: (change.desired, change.reason.code) for change in step.changes}
        why = ReasonCode.CREATE_DEFAULT
        assert shown == {
            "default_cpu": (4, why),
            "default_gpu": (0, why),
            "default_parameters": ({}, why),
        }

    def test_a_resource_in_sync_is_a_noop(self, three: Three) -> None:
        app = processing(default_cpu=8)
        three.was_applied(app)
        step = three.step(app)
        assert decision(step) == (NOOP, ReasonCode.IN_SYNC)
        assert not step.writes and classes(step) == {"default_cpu": ChangeClass.IN_SYNC}

    def test_a_resource_deleted_outside_is_created(self, three: Three) -> None:
        app = processing(default_cpu=8)
        three.is_recorded(app)
        step = three.step(app)
        assert decision(step) == (CREATE, ReasonCode.DELETED_OUTSIDE)
        assert step.drifts and step.drifts[0].path == ""

    def test_an_equal_resource_recreated_outside_is_adopted(self, three: Three) -> None:
        app = processing(default_cpu=8)
        three.is_recorded(app)
        three.lives(app)
        step = three.step(app)
        assert decision(step) == (ADOPT, ReasonCode.RECREATED_OUTSIDE)
        assert not step.writes and [change.reason for change in step.drifts] == [step.reason]
        assert step.id != three.records[APP].id

    def test_a_different_resource_recreated_outside_is_updated(self, three: Three) -> None:
        app = processing(default_cpu=8)
        three.is_recorded(app)
        three.lives(app, default_cpu=2)
        step = three.step(app)
        assert step.action is UPDATE
        assert {change.path for change in step.drifts} == {"", "default_cpu"}

    def test_a_change_of_the_files_is_an_update(self, three: Three) -> None:
        three.was_applied(processing(default_cpu=4))
        step = three.step(processing(default_cpu=8))
        assert decision(step) == (UPDATE, ReasonCode.FILES_CHANGED)
        assert classes(step) == {"default_cpu": ChangeClass.PENDING} and not step.drifts

    def test_a_change_outside_is_an_update(self, three: Three) -> None:
        app = processing(default_cpu=4)
        three.was_applied(app)
        three.world.edit("processing", "app", default_cpu=2)
        step = three.step(app)
        assert decision(step) == (UPDATE, ReasonCode.CHANGED_OUTSIDE)
        assert classes(step) == {"default_cpu": ChangeClass.DRIFT}

    def test_a_change_in_the_files_and_another_outside_is_one_update(self, three: Three) -> None:
        three.was_applied(processing(default_cpu=4, description="apples"))
        three.world.edit("processing", "app", default_cpu=2)
        step = three.step(processing(default_cpu=4, description="pears"))
        assert decision(step) == (UPDATE, ReasonCode.SEVERAL)
        assert step.reason.details == {"codes": ["changed-outside", "files-changed"]}

    def test_an_equal_unrecorded_object_is_adopted(self, three: Three) -> None:
        app = processing(default_cpu=4)
        three.lives(app)
        step = three.step(app)
        assert decision(step) == (ADOPT, ReasonCode.TAKEN_OVER)
        assert not step.writes and classes(step) == {"default_cpu": ChangeClass.CONVERGED}

    def test_a_different_unrecorded_object_is_adopted_and_changed(self, three: Three) -> None:
        three.lives(processing(default_cpu=2))
        step = three.step(processing(default_cpu=4))
        assert decision(step) == (ADOPT, ReasonCode.TAKEN_OVER_AND_CHANGED)
        assert step.writes and classes(step) == {"default_cpu": ChangeClass.UNRECORDED}
        assert (step.changes[0].desired, step.changes[0].live) == (4, 2), "old and new, side by side"

    def test_equal_changes_on_both_sides_are_adopted(self, three: Three) -> None:
        three.was_applied(processing(default_cpu=4))
        three.world.edit("processing", "app", default_cpu=8)
        step = three.step(processing(default_cpu=8))
        assert decision(step) == (ADOPT, ReasonCode.CONVERGED)
        assert not step.writes and not step.drifts

    def test_a_field_that_left_the_files_is_no_longer_managed(self, three: Three) -> None:
        three.was_applied(processing(default_cpu=4, description="apples"))
        step = three.step(processing(default_cpu=4))
        assert decision(step) == (ADOPT, ReasonCode.UNMANAGED)
        assert not step.writes

    def test_an_unmanaged_field_may_change_outside(self, three: Three) -> None:
        app = processing(default_cpu=4)
        three.was_applied(app)
        three.world.edit("processing", "app", description="theirs")
        assert three.step(app).action is NOOP


class TestUnreadableFields:
    def test_an_unreadable_field_is_never_in_sync(self, three: Three) -> None:
        app = processing(default_cpu=4, docker_tag="latest")
        three.was_applied(app)
        three.world.hidden = ["docker_tag"]
        step = three.step(app)
        assert decision(step) == (NOOP, ReasonCode.UNREADABLE_FIELDS)
        assert three.plan(app).exit_code == 0

    def test_an_unreadable_field_is_written_after_a_change_of_the_files(self, three: Three) -> None:
        three.was_applied(processing(docker_tag="latest"))
        three.world.hidden = ["docker_tag"]
        step = three.step(processing(docker_tag="test"))
        assert decision(step) == (UPDATE, ReasonCode.UNREADABLE_CHANGED)
        assert not step.drifts

    def test_an_unreadable_field_is_written_on_an_adoption(self, three: Three) -> None:
        three.lives(processing(docker_tag="latest"))
        three.world.hidden = ["docker_tag"]
        assert three.step(processing(docker_tag="latest")).writes

    def test_an_unreadable_immutable_field_is_not_replaced_on_an_adoption(self, three: Three) -> None:
        three.lives(processing(type="AUTO_TAGGING"))
        three.world.hidden = ["type"]
        step = three.step(processing(type="AUTO_TAGGING"))
        assert step.action is ADOPT and step.refusal is None and not step.writes
        assert classes(step) == {"type": ChangeClass.UNVERIFIED}

    def test_a_changed_unreadable_immutable_field_is_replaced(self, three: Three) -> None:
        three.was_applied(processing(type="AUTO_TAGGING"))
        three.world.hidden = ["type"]
        assert three.step(processing(type="PRE_ANNOTATION")).action is REPLACE


class TestResourcesThatLeftTheFiles:
    def test_a_processing_is_forgotten_and_stays(self, three: Three) -> None:
        three.was_applied(processing())
        [step] = three.plan().steps
        assert decision(step) == (FORGET, ReasonCode.LEFT_FILES_KEPT)
        assert not step.writes

    def test_a_processing_is_deleted_with_prune(self, three: Three) -> None:
        three.was_applied(processing())
        [step] = three.plan(prune=True).steps
        assert decision(step) == (DELETE, ReasonCode.LEFT_FILES)
        assert step.writes

    def test_an_image_is_never_deleted(self, three: Three) -> None:
        three.was_applied(image())
        assert [step.action for step in three.plan(prune=True).steps] == [FORGET]

    @pytest.mark.parametrize("prune", [False, True])
    def test_a_deleted_object_is_only_forgotten(self, three: Three, prune: bool) -> None:
        three.was_applied(processing())
        three.is_recorded(input_of("app", "dataset"))
        step = three.plan(processing(), prune=prune).step(Address.parse("input/app/dataset"))
        assert step is not None
        assert decision(step) == (FORGET, ReasonCode.GONE)

    def test_a_model_and_its_version_are_forgotten(self, three: Three) -> None:
        three.was_applied(model("M"), version_of("M", "v1"))
        assert {step.action for step in three.plan().steps} == {FORGET}


class TestUndeclaredInputs:
    """`inputs_class` owns the complete list."""

    def undeclared(self, three: Three) -> Step:
        step = three.plan(processing()).step(Address.parse("input/app/dataset"))
        assert step is not None
        return step

    def test_a_recorded_input_that_left_the_files_is_deleted(self, three: Three) -> None:
        three.was_applied(processing(), input_of("app", "dataset"))
        step = self.undeclared(three)
        assert decision(step) == (DELETE, ReasonCode.LEFT_FILES)
        assert not step.drifts and step.depends_on == (APP,)

    def test_an_input_added_outside_is_drift(self, three: Three) -> None:
        three.was_applied(processing())
        three.lives(input_of("app", "dataset"))
        step = self.undeclared(three)
        assert decision(step) == (DELETE, ReasonCode.ADDED_OUTSIDE)
        assert len(step.drifts) == 1

    def test_an_input_recreated_outside_is_drift_and_not_forgotten(self, three: Three) -> None:
        """If it were forgotten, the next apply would delete it."""
        three.was_applied(processing(), input_of("app", "dataset"))
        three.lives(input_of("app", "dataset"))
        step = self.undeclared(three)
        assert decision(step) == (DELETE, ReasonCode.ADDED_OUTSIDE)
        assert len(step.drifts) == 1

    def test_an_input_that_preceded_an_adoption_is_not_drift(self, three: Three) -> None:
        three.lives(processing(), input_of("app", "dataset"))
        step = self.undeclared(three)
        assert decision(step) == (DELETE, ReasonCode.UNDECLARED)
        assert not step.drifts

    def test_without_a_class_inputs_are_untouched(self, three: Three) -> None:
        three.was_applied(processing(owns=()))
        three.is_recorded(input_of("app", "dataset"))
        [_, step] = three.plan(processing(owns=())).steps
        assert step.action is FORGET


class TestImmutableFields:
    def test_an_input_is_replaced(self, three: Three) -> None:
        three.was_applied(processing(), input_of("app", "dataset"))
        step = three.step(input_of("app", "dataset", input_type="MODEL_VERSION"), processing())
        assert decision(step) == (REPLACE, ReasonCode.IMMUTABLE)
        assert step.refusal is None

    def test_an_input_changes_in_place_if_possible(self, three: Three) -> None:
        three.was_applied(processing(), input_of("app", "dataset"))
        assert three.step(input_of("app", "dataset", required=False), processing()).action is UPDATE

    def test_a_processing_is_not_replaced(self, three: Three) -> None:
        three.was_applied(processing(type="AUTO_TAGGING"))
        step = three.step(processing(type="PRE_ANNOTATION"), apply_command="reconciler apply app")
        assert step.action is REPLACE and step.refusal is not None
        assert step.refusal.reason.code is RefusalCode.REPLACE_LOSES_HISTORY
        assert step.refusal.ways[0].command == "reconciler apply app --replace processing/app"

    def test_a_processing_is_replaced_with_the_option(self, three: Three) -> None:
        three.was_applied(processing(type="AUTO_TAGGING"))
        step = three.step(processing(type="PRE_ANNOTATION"), replace=[APP])
        assert step.action is REPLACE and step.refusal is None

    def test_a_replacement_keeps_unmanaged_fields(self, three: Three) -> None:
        three.was_applied(processing(type="AUTO_TAGGING"))
        three.world.edit("processing", "app", default_cpu=16, description="theirs")
        step = three.step(processing(type="PRE_ANNOTATION"), replace=[APP])
        besides = {change.path: change.desired for change in step.changes if change.path != "type"}
        assert besides == {
            "default_cpu": 16,
            "description": "theirs",
            "default_gpu": 0,  # never returned: as at creation
            "default_parameters": {},
        }

    @given(st.sets(st.sampled_from(sorted(FACTS["processing"].rules.keys() - {"type"}))), st.data())
    def test_a_replacement_names_every_field_that_it_cannot_carry_over(
        self, managed: set[str], data: st.DataObject
    ) -> None:
        """Those that neither the files have nor the platform returns."""
        three, rules = Three(), FACTS["processing"].rules
        returned = data.draw(st.sets(st.sampled_from(sorted(rules.keys() - {"type"}))))
        old = processing(**dict.fromkeys(managed), type="AUTO_TAGGING")
        three.lives(old, **dict.fromkeys(returned), type="AUTO_TAGGING")
        three.is_recorded(old)
        plan = three.plan(processing(**dict.fromkeys(managed), type="PRE_ANNOTATION"), replace=[APP])
        expected = sorted(rules.keys() - managed - returned - {"type"})
        found = [each for each in plan.diagnostics if "cannot be carried over" in each.summary]
        assert [each.severity for each in found] == [Severity.WARNING] * bool(expected)
        assert all(f" {name}" in found[0].detail for name in expected)

    def test_drift_of_an_immutable_field_is_a_replace(self, three: Three) -> None:
        app = processing(type="AUTO_TAGGING")
        three.was_applied(app)
        three.world.edit("processing", "app", type="PRE_ANNOTATION")
        assert three.step(app).refusal is not None


SAID = {"nothing": (), "everywhere": None, "here": [APP], "elsewhere": [Address.of("processing", "other")]}
WEIGHT = {"everywhere": 1, "here": 2}


class TestConflicts:
    @pytest.fixture
    def changed_twice(self, three: Three) -> Three:
        three.was_applied(processing(default_cpu=4))
        three.world.edit("processing", "app", default_cpu=2)
        return three

    def test_a_conflict_needs_a_decision(self, changed_twice: Three) -> None:
        plan = changed_twice.plan(processing(default_cpu=8))
        assert [step.address for step in plan.conflicts] == [APP]
        assert not plan.can_apply and plan.exit_code == 12 and plan.counts["conflict"] == 1

    @pytest.mark.parametrize("ours", [None, [APP]])
    def test_the_files_win(self, changed_twice: Three, ours: Any) -> None:
        plan = changed_twice.plan(processing(default_cpu=8), ours=ours)
        [step] = plan.steps
        assert plan.can_apply and step.action is UPDATE
        assert step.reason.code is ReasonCode.OURS
        rules = FACTS["processing"].rules
        assert effective_fields({"default_cpu": 8}, step.changes, rules) == {"default_cpu": 8}

    @pytest.mark.parametrize("theirs", [None, [APP]])
    def test_the_live_value_is_kept(self, changed_twice: Three, theirs: Any) -> None:
        plan = changed_twice.plan(processing(default_cpu=8), theirs=theirs)
        [step] = plan.steps
        assert plan.can_apply and not step.writes
        rules = FACTS["processing"].rules
        assert effective_fields({"default_cpu": 8}, step.changes, rules) == {"default_cpu": 2}
        assert step.action is ADOPT, "live is kept, and recorded"

    def test_an_option_for_another_resource_does_not_apply(self, changed_twice: Three) -> None:
        other = [Address.of("processing", "other")]
        assert not changed_twice.plan(processing(default_cpu=8), ours=other, theirs=other).can_apply

    @pytest.mark.parametrize("ours", SAID)
    @pytest.mark.parametrize("theirs", SAID)
    def test_the_more_specific_option_wins(self, changed_twice: Three, ours: str, theirs: str) -> None:
        plan = changed_twice.plan(processing(default_cpu=8), ours=SAID[ours], theirs=SAID[theirs])
        [change] = plan.steps[0].changes
        for_ours, for_theirs = WEIGHT.get(ours, 0), WEIGHT.get(theirs, 0)
        expected = "ours" if for_ours > for_theirs else "theirs" if for_theirs > for_ours else ""
        assert change.resolution == expected
        assert change.write == (expected != "theirs")
        assert plan.can_apply == bool(expected)

    def test_one_key_is_kept_and_the_others_are_written(self, three: Three) -> None:
        three.was_applied(processing(default_parameters={"a": 1, "b": 1, "c": 1}))
        three.world.edit("processing", "app", default_parameters={"a": 3, "b": 1})
        app = processing(default_parameters={"a": 2, "b": 2, "c": 2})
        [step] = three.plan(app, theirs=None).steps
        fields = effective_fields(app.fields, step.changes, FACTS["processing"].rules)
        assert fields == {"default_parameters": {"a": 3, "b": 2}}, "c was deleted outside, and that is kept"


class TestOrder:
    def test_children_come_after_their_parents(self, three: Three) -> None:
        plan = three.plan(version_of("M", "v1"), input_of("app", "dataset"), model("M"), processing())
        order = addresses(plan.steps)
        assert order.index("processing/app") < order.index("input/app/dataset")
        assert order.index("model/M") < order.index("model-version/M/v1")

    def test_deletes_come_in_reverse_order(self, three: Three) -> None:
        three.was_applied(processing(), input_of("app", "a"), input_of("app", "b"))
        plan = three.plan(prune=True)
        assert addresses(plan.steps) == ["input/app/a", "input/app/b", "processing/app"]
        assert plan.steps[-1].depends_on == (plan.steps[0].address, plan.steps[1].address)

    def test_independent_steps_are_sorted_by_address(self, three: Three) -> None:
        plan = three.plan(*(model(name) for name in "cab"))
        assert addresses(plan.steps) == ["model/a", "model/b", "model/c"]

    @settings(max_examples=30)
    @given(st.randoms(use_true_random=False))
    def test_the_order_of_the_arguments_makes_no_difference(self, random: Random) -> None:
        def shuffled(items: list[Any]) -> list[Any]:
            return random.sample(items, len(items))

        base = image()
        apps = [after(processing(name, default_cpu=4), base) for name in "abc"]
        inputs = [input_of(app, name) for app in "abc" for name in "xy"]
        three = Three()
        three.was_applied(*apps, *inputs)
        three.world.objects = dict(shuffled(list(three.world.objects.items())))
        three.records = dict(shuffled(list(three.records.items())))
        desired = [base, *apps, *inputs[:-2], model("M"), version_of("M", "v1")]
        told = three.plan(*shuffled(desired))
        assert told == three.plan(*desired)
        assert addresses(told.steps)[:5] == [
            "image/reg.io/app",
            "model/M",
            "model-version/M/v1",
            "processing/a",
            "processing/b",
        ]


BECAUSE = unstated("because")
NO = Refusal(Reason(RefusalCode.SECRET))


def step_of(action: Action, name: str = "app", *changes: Change, **more: Any) -> Step:
    return Step(Address.of("processing", name), action, BECAUSE, changes, **more)


def change_of(cls: ChangeClass, *, write: bool = False, resolution: Resolution = Resolution.NONE) -> Change:
    return Change("default_cpu", cls, 1, 2, 3, BECAUSE, write, resolution)


def plan_of(*steps: Step) -> Plan:
    return Plan(STACK, "lineage-1", 7, steps)


class TestExitCode:
    @pytest.mark.parametrize(
        ("steps", "code"),
        [
            ([], 0),
            ([step_of(NOOP)], 0),
            ([step_of(NOOP, "app", change_of(ChangeClass.UNVERIFIED))], 0),
            ([step_of(ADOPT, "app", change_of(ChangeClass.CONVERGED))], 0),
            ([step_of(ADOPT, "app", change_of(ChangeClass.UNRECORDED, write=True))], 10),
            ([step_of(CREATE)], 10),
            ([step_of(DELETE)], 10),
            ([step_of(FORGET)], 10),
            ([step_of(UPDATE, "app", change_of(ChangeClass.PENDING, write=True))], 10),
            ([step_of(UPDATE, "app", change_of(ChangeClass.DRIFT, write=True))], 11),
            ([step_of(UPDATE, "app", change_of(ChangeClass.CONFLICT, write=True))], 12),
            (
                [
                    step_of(
                        UPDATE, "app", change_of(ChangeClass.CONFLICT, write=True, resolution=Resolution.OURS)
                    )
                ],
                10,
            ),
            ([step_of(REPLACE, refusal=NO)], 12),
            ([step_of(CREATE, "a"), step_of(UPDATE, "b", change_of(ChangeClass.DRIFT, write=True))], 11),
        ],
    )
    def test_the_highest_wins(self, steps: list[Step], code: int) -> None:
        assert plan_of(*steps).exit_code == code


class TestPlan:
    def test_counts_steps_and_fields(self) -> None:
        drift, conflict = change_of(ChangeClass.DRIFT, write=True), change_of(ChangeClass.CONFLICT)
        plan = plan_of(step_of(CREATE, "a"), step_of(UPDATE, "b", drift, drift), step_of(NOOP, "c", conflict))
        assert plan.counts == {
            "create": 1,
            "update": 1,
            "replace": 0,
            "delete": 0,
            "adopt": 0,
            "forget": 0,
            "noop": 1,
            "drift": 2,
            "conflict": 1,
        }

    @pytest.mark.parametrize("action", Action)
    def test_only_noops_are_empty_and_only_deletes_are_destructive(self, action: Action) -> None:
        plan = plan_of(step_of(action))
        assert plan.is_empty == (action is NOOP)
        assert plan.is_destructive == (action in (DELETE, REPLACE))

    def test_a_plan_with_an_error_cannot_be_applied(self) -> None:
        assert not Plan(STACK, "", 0, (), (Diagnostic(Severity.ERROR, "no"),)).can_apply
        assert Plan(STACK, "", 0, (), (Diagnostic(Severity.WARNING, "careful"),)).can_apply

    def test_a_plan_for_a_target_keeps_its_dependencies(self, three: Three) -> None:
        base = image()
        app, other = after(processing("app"), base), after(processing("other"), base)
        plan = three.plan(base, app, other, input_of("app", "dataset"), input_of("other", "dataset"))
        cut = plan.only([Address.parse("input/app/dataset")])
        assert addresses(cut.steps) == ["image/reg.io/app", "processing/app", "input/app/dataset"]
        assert cut.step(other.address) is None
        assert plan.only([]).steps == () == plan.only([Address.parse("model/unknown")]).steps

    def test_a_fingerprint_covers_the_id_and_normalised_fields(self, three: Three) -> None:
        facts = FACTS["processing"]
        live = three.world.put("processing", "app", default_cpu=4, docker_flags=["a", "b"])
        seen = fingerprint(live, facts)

        def changed(**fields: Any) -> str:
            three.world.edit("processing", "app", **fields)
            return fingerprint(three.world.objects["processing", ("app",)], facts)

        assert changed(default_cpu="4", docker_flags=["b", "a"], updated_at="now") == seen
        assert changed(default_cpu=5) != seen
        assert fingerprint(three.world.put("processing", "app", **live.fields), facts) != seen


words = st.text("ab/%é. ", min_size=1, max_size=4)
values = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)
sides = values | st.sampled_from([MISSING, ABSENT])
some_addresses = st.builds(
    lambda kind, name: Address(kind, tuple(name)), st.sampled_from(sorted(FACTS)), st.lists(words, min_size=1)
)
plans = st.builds(
    Plan,
    st.builds(Stack, words, words, words, words),
    words,
    st.integers(0),
    st.lists(
        st.builds(
            Step,
            some_addresses,
            st.sampled_from(Action),
            st.sampled_from(REASONS),
            st.lists(
                st.builds(
                    Change,
                    words,
                    st.sampled_from(ChangeClass),
                    sides,
                    sides,
                    sides,
                    st.sampled_from(REASONS),
                    st.booleans(),
                    st.sampled_from(Resolution),
                ),
                max_size=2,
            ).map(tuple),
            st.lists(some_addresses, max_size=2).map(tuple),
            st.none() | words,
            words,
            st.none()
            | st.builds(
                Refusal,
                st.sampled_from(REASONS),
                st.lists(st.sampled_from(WAYS), max_size=2).map(tuple),
            ),
        ),
        max_size=3,
    ).map(tuple),
    st.lists(
        st.builds(
            Diagnostic,
            st.sampled_from(Severity),
            words,
            words,
            some_addresses.map(str) | st.sampled_from(sorted(FACTS)),
            line=st.none() | st.integers(1),
        ),
        max_size=2,
    ).map(lambda found: tuple(in_order(found))),
    words,
)


class TestDocument:
    @settings(max_examples=50)
    @given(plans)
    def test_a_plan_survives_a_round_trip(self, plan: Plan) -> None:
        assert plan_from_document(plan_to_document(plan)) == plan

    def test_it_has_the_keys_that_scripts_rely_on(self, three: Three) -> None:
        document = plan_to_document(three.plan(processing(default_cpu=8)))
        assert (document["format"], document["version"]) == ("reconciler/plan", 2)
        assert document["stack"] == {
            "organization": "my-org",
            "environment": "STAGING",
            "host": "https://staging.picsellia.com",
            "pipeline": "app",
            "name": "app",
            "folder": "",
        }
        assert {"lineage", "serial", "summary", "steps", "diagnostics"} <= set(document)
        [step] = document["steps"]
        assert {"address", "kind", "action", "reason", "reason_code", "depends_on", "changes"} <= set(step)
        assert (step["address"], step["kind"], step["action"]) == ("processing/app", "processing", "create")
        assert {"path", "class", "desired", "recorded", "live", "reason", "reason_code"} <= set(
            step["changes"][0]
        )

    def test_another_format_is_refused(self) -> None:
        for document in (None, [], "plan", {}, {"format": "reconciler/plans"}):
            with pytest.raises(ValueError, match="not a"):
                plan_from_document(document)

    def test_a_newer_version_is_refused(self) -> None:
        with pytest.raises(ValueError, match="version 3"):
            plan_from_document({**plan_to_document(plan_of()), "version": 3})

    def written(self) -> Any:
        step = step_of(UPDATE, "app", change_of(ChangeClass.PENDING), refusal=NO)
        return plan_to_document(Plan(STACK, "", 0, (step,), (Diagnostic(Severity.INFO, "by the way"),)))

    @pytest.mark.parametrize("where", ["plan", "stack", "step", "change", "refusal", "diagnostic"])
    def test_unknown_keys_are_refused_not_ignored(self, where: str) -> None:
        document = self.written()
        [step], [diagnostic] = document["steps"], document["diagnostics"]
        parts = {
            "plan": document,
            "stack": document["stack"],
            "step": step,
            "change": step["changes"][0],
            "refusal": step["refusal"],
            "diagnostic": diagnostic,
        }
        parts[where]["colour"] = "red"
        with pytest.raises(ValueError, match="colour"):
            plan_from_document(document)

    def test_a_plan_of_version_1_is_read_with_its_texts(self) -> None:
        """A plan of the previous version has no codes, and its ways out are texts."""
        now = self.written()
        [step] = now["steps"]
        for part in (step, step["changes"][0]):
            del part["reason_code"], part["reason_details"]
        step["refusal"] = {"summary": "not allowed", "ways": ["allow it:  reconciler apply app"]}

        plan = plan_from_document({**now, "version": 1})

        [read] = plan.steps
        assert read.refusal is not None
        assert read.reason == read.changes[0].reason == unstated("because")
        assert phrases.reason(read.refusal.reason) == "not allowed"
        assert phrases.way_text(read.refusal.ways[0]) == "allow it:  reconciler apply app"
        assert plan_from_document(plan_to_document(plan)) == plan

    @pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.code.value)
    def test_a_reason_without_the_details_of_its_words_is_refused(self, reason: Reason) -> None:
        document = self.written()
        document["steps"][0] |= {"reason_code": reason.code.value, "reason_details": {}}
        if reason.details:
            with pytest.raises(ValueError, match=f"{reason.code.value} has unknown details"):
                plan_from_document(document)
        else:
            assert plan_from_document(document).steps[0].reason == reason

    def test_an_unknown_code_is_refused(self) -> None:
        document = self.written()
        document["steps"][0]["reason_code"] = "a-whim"
        with pytest.raises(ValueError, match="a-whim"):
            plan_from_document(document)

    def test_an_unknown_action_is_refused(self) -> None:
        document = self.written()
        document["steps"][0]["action"] = "rename"
        with pytest.raises(ValueError, match="rename"):
            plan_from_document(document)

    def test_missing_keys_are_refused(self) -> None:
        document = plan_to_document(plan_of())
        del document["serial"]
        with pytest.raises(ValueError, match="serial"):
            plan_from_document(document)
