"""Properties of apply for generated stacks, edits and failures: idempotent, convergent, correct state.

A run that fails or is killed is repeated, as a user would. Afterwards the platform and the state must be
those of an undisturbed run.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.errors import RefusedError, TransientError
from reconciler.core.diff import normalised
from reconciler.core.events import Event, Status, StepFinished, StepStarted
from reconciler.core.graph import Resource
from reconciler.core.plan import Action, Step
from reconciler.core.reasons import ReasonCode, RefusalCode
from reconciler.core.values import Address
from state.invariants import verify
from state.snapshot import Snapshot
from state.stores.base import Store
from tests.engine.conftest import (
    FACTS,
    Bench,
    PlanResult,
    after,
    image,
    input_of,
    model,
    processing,
    version_of,
)
from tests.failing_kind import READS, WRITES, Died, Fault, Faults, FaultyKind


class FragileStore:
    """Stores one state in memory, and raises at the k-th save: before it, or right after."""

    def __init__(self) -> None:
        self.kept: Snapshot | None = None
        self.saves = 0
        self.dies_at = 0
        self.dies_after = False
        self.dead = False

    def load(self, stack: str) -> Snapshot | None:
        return self.kept

    def save(self, snapshot: Snapshot, *, expected_serial: int, lock: object) -> Snapshot:
        assert self.dead or expected_serial == (self.kept.serial if self.kept else 0)
        assert verify(snapshot) == []
        self.saves += 1
        if self.dead or (self.saves == self.dies_at and not self.dies_after):
            self.dead = True
            raise Died
        self.kept = snapshot.written(
            serial=expected_serial + 1, by=snapshot.written_by, at=snapshot.written_at
        )
        if self.saves == self.dies_at:
            self.dead = True
            raise Died
        return self.kept


Edit = tuple[Any, ...]


@dataclass(frozen=True)
class Story:
    """What was applied, the edits made outside since, and the present files.

    Attributes:
        before: applied first.
        edits: ("edit", address, fields), ("delete", address), ("recreate", address) or ("add", resource).
        now: the present files.
        prune: whether resources that left the files are deleted.
        lost: whether the state was lost in between.
        hidden: fields that the provider never returns.
        ignored: fields and keys whose live values stay.
        theirs: whether live values win conflicts.
    """

    before: Sequence[Resource]
    edits: Sequence[Edit]
    now: Sequence[Resource]
    prune: bool = False
    lost: bool = False
    hidden: tuple[str, ...] = ()
    ignored: Mapping[Address, Sequence[str]] = field(default_factory=dict)
    theirs: bool = False

    def told(self) -> tuple[Bench, FragileStore]:
        """A bench just before the present files are applied; equal every time."""
        store = FragileStore()
        bench = Bench(cast(Store, store))
        bench.world.hidden = self.hidden
        bench.world.habit = habit
        assert bench.apply(*self.before).succeeded
        for edit in self.edits:
            someone_else(bench, *edit)
        if self.lost:
            store.kept = None
        bench.writes()
        store.saves = 0
        return bench, store

    def plan(self, bench: Bench) -> PlanResult:
        """The plan of the present files, with options that allow replaces and resolve conflicts."""
        return bench.plan(
            *self.now,
            prune=self.prune,
            ours=() if self.theirs else None,
            theirs=None if self.theirs else (),
            replace={resource.address for resource in self.now},
            ignored=self.ignored,
        )

    def apply(self, bench: Bench, events: list[Event] | None = None) -> bool:
        told = [] if events is None else events
        return bench.walk(self.plan(bench), emit=told.append).succeeded

    def world(self, bench: Bench) -> dict[str, Any]:
        """All objects with their readable fields, managed or not."""
        return {
            str(Address(*key)): self.visible(Address(*key), live.fields, live.fields)
            for key, live in sorted(bench.world.objects.items())
        }

    def record(self, bench: Bench) -> dict[str, Any]:
        return {
            text: self.visible(Address.parse(text), entry.inputs, entry.inputs)
            for text, entry in bench.record.resources.items()
        }

    def visible(
        self, address: Address, fields: Mapping[str, Any], names: Mapping[str, Any]
    ) -> dict[str, Any]:
        rules = FACTS[address.kind].rules
        return {name: normalised(fields[name], rules[name]) for name in names if name not in self.hidden}


def habit(name: str, value: Any) -> Any:
    """A platform with its own formatting of values."""
    match name:
        case "default_cpu":
            return str(value)
        case "docker_flags":
            return list(reversed(value)) or None
        case "input_type" | "type":
            return value.lower()
        case "description" | "default_parameters" | "parameters":
            return value or None
    return value


def someone_else(bench: Bench, what: str, where: Any, fields: Mapping[str, Any] = {}) -> None:
    address = where.address if isinstance(where, Resource) else where
    key = (address.kind, address.name)
    exists, parent = key in bench.world.objects, FACTS[address.kind].parent
    match what:
        case "edit" if exists:
            bench.world.edit(address.kind, *address.name, **fields)
        case "delete" if exists:
            bench.world.remove(key)
        case "recreate" if exists:
            bench.world.put(address.kind, *address.name, **bench.world.objects[key].fields)
        case "add" if not exists and (parent is None or (parent, address.name[:-1]) in bench.world.objects):
            bench.world.put(address.kind, *address.name, **where.fields)


def check_claims(story: Story, bench: Bench, before: Snapshot, record: Snapshot) -> None:
    """Every recorded value was recorded before, or is live now."""
    assert verify(record) == []
    for text, entry in record.resources.items():
        address, known = Address.parse(text), before.resources.get(text)
        live = bench.world.objects.get((address.kind, address.name))
        for name, value in entry.inputs.items():
            rule = FACTS[address.kind].rules[name]
            before_it = known.inputs.get(name) if known is not None else None
            now = normalised(live.fields.get(name), rule) if live is not None else None
            for claim, *sources in parts(normalised(value, rule), before_it, now):
                assert claim in sources, f"{text} {name}: {claim} of {value} was never taken"


def parts(value: Any, *others: Any) -> list[tuple[Any, ...]]:
    """The values of the keys of a table, each with the same key of `others`; any other value unchanged."""
    if not isinstance(value, dict) or not value:
        return [(value, *others)]
    tables = [other if isinstance(other, dict) else {} for other in others]
    return [(item, *(table.get(key) for table in tables)) for key, item in value.items()]


def check_honest(story: Story, bench: Bench, before: Snapshot, events: Sequence[Event]) -> None:
    """Recorded values are live, also after settling; every write is recorded or has an open intent."""
    record = bench.record
    check_claims(story, bench, before, record)
    check_claims(story, bench, before, story.plan(bench).snapshot)
    for kind, name in {(kind, name) for _, kind, name in bench.world.writes}:
        text, live = str(Address(kind, name)), bench.world.objects.get((kind, name))
        if text not in record.intents and live is not None:
            assert record.resources[text].id == live.id, f"{text} was written, and nobody remembers"
        elif text not in record.intents:
            assert text not in record.resources, f"{text} was deleted, and is still recorded"
    for event in events:
        if isinstance(event, StepFinished) and event.outcome.status is Status.DONE:
            step = event.outcome.step
            recorded = str(step.address) in record.resources
            assert recorded == (step.action not in (Action.DELETE, Action.FORGET))
            assert str(step.address) not in record.intents


def disturb(story: Story, bench: Bench, faults: Faults) -> list[Event]:
    """One run with faults, which do not affect planning and end afterwards."""
    planned, healthy, events = story.plan(bench), bench.kinds, list[Event]()
    bench.kinds = {name: FaultyKind(kind, faults) for name, kind in healthy.items()}
    with suppress(Died):
        bench.walk(planned, emit=events.append)
    bench.kinds = healthy
    return events


@dataclass(frozen=True)
class GoodRun:
    """The result of a run without faults, with its number of calls and saves.

    Attributes:
        gone: objects that were deleted outside before it.
    """

    world: Mapping[str, Any]
    record: Mapping[str, Any]
    calls: int
    saves: int
    gone: set[Address]


def deleted_outside(story: Story, bench: Bench) -> set[Address]:
    """The resources that a plan reports as deleted outside."""
    return {
        step.address
        for step in story.plan(bench).plan.steps
        if step.reason.code is ReasonCode.DELETED_OUTSIDE
    }


def undisturbed(story: Story) -> GoodRun:
    bench, store = story.told()
    faults, gone = Faults(), deleted_outside(story, bench)
    disturb(story, bench, faults)
    return GoodRun(story.world(bench), story.record(bench), len(faults.calls), store.saves, gone)


def check_recovery(story: Story, bench: Bench, good: GoodRun) -> None:
    """Only real outside deletes are reported, the next run succeeds, and one more does nothing."""
    assert deleted_outside(story, bench) <= good.gone
    if story.theirs and story.record(bench) == good.record:  # it got through: the next run obeys the files
        assert story.world(bench) == good.world
        return
    assert story.apply(bench)
    assert story.world(bench) == good.world
    assert story.record(bench) == good.record
    assert not bench.record.intents
    assert story.theirs or story.plan(bench).plan.is_empty, "what is kept is for the files to say"


LOST = TransientError("the connection dropped", outcome_unknown=True)
# What goes wrong, after the work was done or before, and how often. A clear no is given before the work only.
FAILURES = {
    "refused": (RefusedError("no"), False, 1),
    "busy": (TransientError("busy"), False, 9),
    "never arrived": (LOST, False, 9),
    "answer lost": (LOST, True, 1),
    "answers lost": (LOST, True, 9),
    "died before": (Died(), False, 1),
    "died after": (Died(), True, 1),
}

CPU = FACTS["processing"].rules["default_cpu"]
A, B, X = Address.of("processing", "a"), Address.of("processing", "b"), Address.of("input", "a", "x")
EVERYTHING = Story(
    before=[
        image(),
        processing("a", type="AUTO_TAGGING", default_cpu=4),
        input_of("a", "x"),
        input_of("a", "dropped"),
        processing("b", default_cpu=4, docker_tag="latest", description="apples"),
        input_of("b", "x"),
        processing("left", default_cpu=4),
        input_of("left", "x"),
        model("M"),
        version_of("M", "v1", docker_tag="latest"),
    ],
    edits=[
        ("edit", A, {"description": "by hand", "default_gpu": 2}),
        ("edit", B, {"default_cpu": 2}),
        ("recreate", Address.of("model", "M")),
        ("delete", Address.of("model-version", "M", "v1")),
        ("add", input_of("b", "theirs")),
    ],
    now=[
        image(),
        processing("a", type="PRE_ANNOTATION", default_cpu=4),
        input_of("a", "x"),
        input_of("a", "new"),
        processing("b", default_cpu=4, docker_tag="test"),
        input_of("b", "x", input_type="MODEL_VERSION"),
        model("M"),
        version_of("M", "v1", docker_tag="test"),
        version_of("M", "v2", docker_tag="test"),
    ],
    prune=True,
)

LEFT_ALONE = Story(
    before=[
        image(),
        processing("a", type="AUTO_TAGGING", default_cpu=4, default_parameters={"x": 1, "y": 1}),
        input_of("a", "x"),
    ],
    edits=[
        ("edit", A, {"default_cpu": 16, "default_parameters": {"x": 2, "y": 1, "z": 3}}),
        ("edit", X, {"required": False}),
    ],
    now=[
        image(),
        processing("a", type="PRE_ANNOTATION", default_cpu=4, default_parameters={"x": 1, "y": 5}),
        input_of("a", "x"),
    ],
    ignored={A: ["default_cpu", "default_parameters.x", "default_parameters.z"], X: ["required"]},
)
"""A replace of an object with ignored values of the platform."""

KEPT = Story(
    before=[
        processing("a", default_cpu=4, default_parameters={"x": 1, "y": 1}, docker_tag="latest"),
        processing("b", type="AUTO_TAGGING", default_cpu=4),
        input_of("b", "x"),
    ],
    edits=[
        ("edit", A, {"default_cpu": 16, "default_parameters": {"x": 2, "y": 1}}),
    ],
    now=[
        processing("a", default_cpu=8, default_parameters={"x": 3, "y": 3}, docker_tag="test"),
        input_of("a", "x"),
        processing("b", type="PRE_ANNOTATION", default_cpu=8),
        input_of("b", "x"),
    ],
    theirs=True,
)
"""Conflicts in which the live value is kept, with other changes of the same objects."""

TOLD = {"everything": EVERYTHING, "left alone": LEFT_ALONE, "kept": KEPT}


def test_values_kept_in_a_conflict_stay_beside_written_ones() -> None:
    bench, _ = KEPT.told()
    assert KEPT.apply(bench)
    made = bench.live(A)
    assert normalised(made["default_cpu"], CPU) == 16 and made["docker_tag"] == "test"
    assert made["default_parameters"] == {"x": 2, "y": 3}


def test_a_replace_keeps_ignored_values() -> None:
    bench, _ = LEFT_ALONE.told()
    assert LEFT_ALONE.apply(bench)
    made = bench.live(A)
    assert made["type"] == "PRE_ANNOTATION" and normalised(made["default_cpu"], CPU) == 16
    assert made["default_parameters"] == {"x": 2, "y": 5, "z": 3}
    assert bench.live(X)["required"] is False


def test_an_ignored_unreadable_value_is_not_recorded_as_written() -> None:
    """It is written as soon as it is no longer ignored."""
    story = Story(
        before=[processing("a", docker_tag="latest", default_parameters={"x": 1})],
        edits=[],
        now=[processing("a", docker_tag="test", default_parameters={"x": 2})],
        hidden=("default_parameters",),
        ignored={A: ["default_parameters"]},
    )
    bench, _ = story.told()
    assert story.apply(bench) and story.plan(bench).plan.is_empty
    assert bench.recorded(A).inputs["default_parameters"] == {"x": 1} == bench.live(A)["default_parameters"]
    assert replace(story, ignored={}).apply(bench)
    assert bench.recorded(A).inputs["default_parameters"] == {"x": 2} == bench.live(A)["default_parameters"]


def test_the_largest_story_has_every_action() -> None:
    bench, _ = EVERYTHING.told()
    plan = EVERYTHING.plan(bench).plan
    assert {step.action for step in plan.steps} == set(Action) - {Action.FORGET}
    assert EVERYTHING.apply(bench) and EVERYTHING.plan(bench).plan.is_empty


@pytest.mark.parametrize("story", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("failure", FAILURES)
def test_every_call_may_fail_or_be_the_last(story: Story, failure: str) -> None:
    error, afterwards, times = FAILURES[failure]
    good = undisturbed(story)
    for number in range(1, good.calls + 1):
        bench, _ = story.told()
        before = bench.record
        events = disturb(story, bench, Faults(Fault(number, error, afterwards, times)))
        check_honest(story, bench, before, events)
        check_recovery(story, bench, good)


@pytest.mark.parametrize("story", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("afterwards", [False, True])
def test_every_save_may_be_the_last(story: Story, afterwards: bool) -> None:
    good = undisturbed(story)
    for number in range(1, good.saves + 1):
        bench, store = story.told()
        before = bench.record
        store.dies_at, store.dies_after = number, afterwards
        events = disturb(story, bench, Faults())
        store.dead = False
        check_honest(story, bench, before, events)
        check_recovery(story, bench, good)


@pytest.mark.parametrize("story", TOLD.values(), ids=TOLD)
def test_every_step_may_be_the_last_that_starts(story: Story) -> None:
    """A run that is stopped finishes the steps that it started, and leaves nothing open."""
    good = undisturbed(story)
    starts = sum(step.action is not Action.NOOP for step in steps_of(story))
    for number in range(1, starts + 1):
        bench, _ = story.told()
        before, events = bench.record, list[Event]()

        def stop_at_the_last(event: Event, number: int = number) -> None:
            events.append(event)  # noqa: B023 - called in this round only
            if sum(isinstance(one, StepStarted) for one in events) == number:  # noqa: B023
                bench.stop.set()  # noqa: B023

        bench.walk(story.plan(bench), emit=stop_at_the_last)
        bench.stop.clear()
        assert sum(isinstance(one, StepStarted) for one in events) == number
        finished = [one.outcome.status for one in events if isinstance(one, StepFinished)]
        assert set(finished) <= {Status.DONE, Status.SKIPPED}
        check_honest(story, bench, before, events)
        assert {intent.verb for intent in bench.record.intents.values()} <= {"replace"}
        check_recovery(story, bench, good)


def steps_of(story: Story) -> Sequence[Step]:
    """The steps of the plan of a story."""
    return story.plan(story.told()[0]).plan.steps


fields_of_a_processing = st.fixed_dictionaries(
    {"type": st.sampled_from(["AUTO_TAGGING", "PRE_ANNOTATION"])},
    optional={
        "default_cpu": st.sampled_from([2, 4, 8]),
        "description": st.sampled_from(["", "apples", "pears"]),
        "default_parameters": st.dictionaries(st.sampled_from("ab"), st.sampled_from([1, 2])),
        "docker_flags": st.sampled_from([[], ["--gpus=all", "--ipc=host"]]),
    },
)
fields_of_an_input = st.fixed_dictionaries(
    {
        "input_type": st.sampled_from(["DATASET_VERSION", "MODEL_VERSION"]),
        "required": st.booleans(),
    }
)
fields_of_a_version = st.fixed_dictionaries(
    {}, optional={"docker_tag": st.sampled_from(["latest", "test"]), "framework": st.just("PYTORCH")}
)


@st.composite
def stacks(draw: Any) -> list[Resource]:
    """An image, processings that may depend on each other, their inputs; a model and its versions."""
    base = image(draw(st.sampled_from(["1.0.0", "1.1.0"])))
    made = [base]
    for name in draw(st.sets(st.sampled_from("abc"))):
        owns = draw(st.sampled_from([(), ("input",)]))
        first = draw(st.sampled_from(made))
        app = after(processing(name, owns=owns, **draw(fields_of_a_processing)), first)
        names = draw(st.sets(st.sampled_from("xy")))
        made += [app, *(input_of(app.address.name[-1], name, **draw(fields_of_an_input)) for name in names)]
    if draw(st.booleans()):
        names = draw(st.sets(st.sampled_from(["v1", "v2"])))
        made += [model("M"), *(version_of("M", name, **draw(fields_of_a_version)) for name in names)]
    return draw(st.permutations(made))


some_processing = st.sampled_from([Address.of("processing", name) for name in "abc"])
some_input = st.sampled_from([Address.of("input", app, name) for app in "abc" for name in "xy"])
some_address = some_processing | some_input | st.sampled_from([Address.of("model", "M")])
edits = st.one_of(
    st.tuples(st.just("edit"), some_processing, fields_of_a_processing),
    st.tuples(st.just("edit"), some_input, fields_of_an_input),
    st.tuples(st.sampled_from(["delete", "recreate"]), some_address),
    st.tuples(
        st.just("add"),
        st.builds(input_of, st.sampled_from("abc"), st.sampled_from("xyz"))
        | st.builds(
            lambda name, fields: processing(name, **fields), st.sampled_from("abc"), fields_of_a_processing
        ),
    ),
)
stories = st.builds(
    Story,
    stacks(),
    st.lists(edits, max_size=4),
    stacks(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(), ("docker_tag",), ("description", "type"), ("default_parameters",)]),
)

some_fields = st.sampled_from(
    ["default_cpu", "description", "default_parameters", "default_parameters.a", "required"]
)


@st.composite
def stories_with_ignored_fields(draw: Any) -> Story:
    """Stories that can be applied: a refused rule is taken back, as its user would do it.

    A write that would overwrite an ignored, unreadable value is refused. A field that was never set is one of
    these, as the platform in memory does not return it.
    """
    ignored = draw(
        st.dictionaries(some_processing | some_input, st.lists(some_fields, max_size=3), min_size=1)
    )
    story = replace(draw(stories), ignored=ignored)
    refused = {step.address: step.refusal for step in story.plan(story.told()[0]).plan.steps if step.refusal}
    assert {refusal.reason.code for refusal in refused.values()} <= {RefusalCode.OVERWRITES_IGNORED}
    story = replace(story, ignored={where: ignored[where] for where in ignored.keys() - refused.keys()})
    assert story.plan(story.told()[0]).plan.can_apply
    return story


any_stories = stories | stories_with_ignored_fields()


@settings(max_examples=60)
@given(stories)
def test_apply_reaches_the_files_values_and_then_does_nothing(story: Story) -> None:
    bench, store = story.told()
    assert story.apply(bench)
    for resource in story.now:
        seen = story.visible(resource.address, bench.live(resource.address), resource.fields)
        assert seen == story.visible(resource.address, resource.fields, resource.fields)
    bench.writes()
    saves = store.saves
    assert story.plan(bench).plan.is_empty
    assert story.apply(bench)
    assert bench.writes() == [] and store.saves == saves


@settings(max_examples=60)
@given(any_stories, st.sampled_from(sorted(FAILURES)), st.data())
def test_the_next_run_recovers_from_any_failing_call(story: Story, failure: str, data: st.DataObject) -> None:
    error, afterwards, times = FAILURES[failure]
    good = undisturbed(story)
    number = data.draw(st.integers(1, max(1, good.calls)), label="call")
    verbs = data.draw(st.sampled_from([WRITES, (*READS, *WRITES)]), label="verbs")
    bench, _ = story.told()
    before = bench.record
    events = disturb(story, bench, Faults(Fault(number, error, afterwards, times), verbs=verbs))
    check_honest(story, bench, before, events)
    check_recovery(story, bench, good)


@settings(max_examples=40)
@given(any_stories, st.booleans(), st.data())
def test_the_next_run_recovers_from_a_kill_after_any_save(
    story: Story, afterwards: bool, data: st.DataObject
) -> None:
    good = undisturbed(story)
    number = data.draw(st.integers(1, max(1, good.saves)), label="save")
    bench, store = story.told()
    before = bench.record
    store.dies_at, store.dies_after = number, afterwards
    events = disturb(story, bench, Faults())
    store.dead = False
    check_honest(story, bench, before, events)
    check_recovery(story, bench, good)
