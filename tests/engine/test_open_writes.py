"""Writes that a run left open end with the next whole run, also if the files changed their mind since."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest

from reconciler.core.graph import Resource
from reconciler.core.plan import Action
from reconciler.core.reasons import ReasonCode
from reconciler.core.recovery import contested, settle
from reconciler.core.remote import RemoteState
from reconciler.core.values import Address
from state.invariants import verify
from state.snapshot import Intent, Snapshot
from tests.engine.conftest import APP, AT, FACTS, IMAGE, Bench, input_of, model, processing, version_of
from tests.engine.test_properties import EVERYTHING, KEPT, TOLD, Story, disturb
from tests.failing_kind import WRITES, Died, Fault, Faults

BY_HAND: Mapping[str, Mapping[str, Any]] = {
    "processing": {"default_cpu": 64},
    "input": {"required": False},
    "model-version": {"docker_tag": "changed-by-hand"},
}
"""A field of each kind that is changed outside; a model has none beside its name."""

FILES = ("the files as they are", "the edit taken back", "other names", "nothing")
WAYS: Mapping[str, Mapping[str, Any]] = {
    "apply": {},
    "apply --prune": {"prune": True},
    "destroy": {"destroy": True},
    "destroy --prune": {"destroy": True, "prune": True},
}


def present(story: Story, files: str) -> Sequence[Resource]:
    """The files of the run that follows."""
    match files:
        case "the files as they are":
            return story.now
        case "the edit taken back":
            return story.before
        case "other names":
            return [processing("other", default_cpu=4), input_of("other", "x"), model("Other")]
    return ()


def writes(story: Story) -> int:
    """The number of writes of an undisturbed run."""
    bench, _ = story.told()
    faults = Faults(verbs=WRITES)
    disturb(story, bench, faults)
    return len(faults.calls)


def killed(story: Story, number: int, *, after: bool) -> Bench:
    """A run of the story that ended at one of its writes. What it was creating was changed by hand since."""
    bench, _ = story.told()
    disturb(story, bench, Faults(Fault(number, Died(), after), verbs=WRITES))
    for text in bench.record.intents:
        address = Address.parse(text)
        if (address.kind, address.name) in bench.world.objects and address.kind in BY_HAND:
            bench.world.edit(address.kind, *address.name, **BY_HAND[address.kind])
    bench.writes()
    return bench


def problems(story: Story, bench: Bench, files: Sequence[Resource], options: Mapping[str, Any]) -> list[str]:
    """What is wrong after a whole run that decides every conflict for the files."""
    decided = {"ours": None, "replace": {resource.address for resource in story.now}}
    if not bench.apply(*files, **decided, **options).succeeded:
        return ["it failed"]
    record = bench.record
    found = [f"{text} is still open" for text in record.intents] + [str(one) for one in verify(record)]
    again = bench.plan(*files, **decided, **options).plan
    return [*found, *(f"{step.address}: {step.action} again" for step in again.steps if step.writes)]


@pytest.mark.parametrize("story", TOLD.values(), ids=TOLD)
@pytest.mark.parametrize("after", [False, True])
def test_no_write_is_open_after_a_whole_run_that_succeeds(story: Story, after: bool) -> None:
    """Killed at every write; then every command, with the files kept, taken back, renamed or gone."""
    failures = []
    for number in range(1, writes(story) + 1):
        for files in FILES:
            for way, options in WAYS.items():
                if bool(options.get("destroy")) != (files == "nothing"):
                    continue
                bench = killed(story, number, after=after)
                found = problems(story, bench, present(story, files), options)
                failures += [f"killed at write {number}, {files}, {way}: {one}" for one in found]
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize("story", [EVERYTHING, KEPT], ids=["everything", "kept"])
@pytest.mark.parametrize("files", FILES)
def test_a_write_without_an_answer_is_shown_or_is_settled(story: Story, files: str) -> None:
    """A plan that has nothing to do has nothing open."""
    for number in range(1, writes(story) + 1):
        bench = killed(story, number, after=True)
        planned = bench.plan(*present(story, files))
        steps = {step.address for step in planned.plan.steps if step.action is not Action.NOOP}
        unshown = {Address.parse(text) for text in planned.snapshot.intents} - steps
        assert not unshown, f"killed at write {number}"


class TestChangedSinceItWasCreated:
    """A run was killed after its create, the object was changed, and the files no longer declare it."""

    @pytest.fixture
    def changed(self, bench: Bench) -> Bench:
        before = [processing(), model("M"), version_of("M", "v1")]
        assert bench.apply(*before).succeeded
        story = [*before, processing("new", default_cpu=4), version_of("M", "v2", docker_tag="latest")]
        for resource in story[3:]:
            address = resource.address
            bench.world.put(address.kind, *address.name, **{**resource.fields, **BY_HAND[address.kind]})
            snapshot = bench.record.with_intent(
                Intent(str(address), "create", None, dict(resource.fields), AT, "run-0")
            )
            bench.store.save(snapshot, expected_serial=snapshot.serial, lock=None)
        bench.writes()
        return bench

    @pytest.mark.parametrize("options", [{}, {"prune": True}])
    def test_an_apply_removes_it_from_the_state(self, changed: Bench, options: Mapping[str, Any]) -> None:
        planned = changed.plan(processing(), model("M"), version_of("M", "v1"), **options)
        for address in (Address.of("processing", "new"), Address.of("model-version", "M", "v2")):
            step = planned.step(address)
            assert (step.action, step.reason.code) == (Action.FORGET, ReasonCode.UNKNOWN_ORIGIN)
        assert "an interrupted run may have created it" in planned.plan.diagnostics[0].summary
        assert changed.walk(planned).succeeded
        assert not changed.record.intents and not changed.writes()
        assert changed.plan(processing(), model("M"), version_of("M", "v1")).plan.is_empty

    def test_a_destroy_leaves_it_on_the_platform(self, changed: Bench) -> None:
        assert changed.apply(destroy=True).succeeded
        assert changed.writes() == [("delete", str(APP))]
        assert not changed.record.intents and not changed.record.resources


@pytest.mark.parametrize("verb", ["create", "update"])
@pytest.mark.parametrize("requested", [(), (IMAGE,)])
def test_an_image_that_left_the_files_does_not_have_to_be_read(
    verb: Any, requested: Collection[Address]
) -> None:
    open_write = Intent(str(IMAGE), verb, None, {"version": "1.0.0"}, AT, "run-0")
    snapshot = Snapshot.new("my-org@STAGING/app", "lineage-1").with_intent(open_write)
    world = RemoteState({}, {}, requested)
    settled = settle(snapshot, world, FACTS)
    assert not settled.intents and not settled.resources and not contested(settled, world)
