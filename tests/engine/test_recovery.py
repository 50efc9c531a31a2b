"""Settling open writes of an earlier run by the live objects."""

from collections.abc import Collection
from typing import Any

import pytest
from msgspec.structs import replace

from providers.errors import ProviderError, TransientError
from providers.protocol import LiveObject
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Action
from reconciler.core.reasons import ReasonCode
from reconciler.core.recovery import contested, settle, unfinished_replaces
from reconciler.core.values import Address
from reconciler.engine.earlier_states import _was_carried_out
from reconciler.engine.refresh import RemoteState
from reconciler.engine.rollback import find_earlier
from state.snapshot import Intent, RecordedResource, Snapshot, Verb
from state.stores.base import HistoryEntry
from state.stores.sqlite import SqliteStore
from tests.engine.conftest import APP, AT, FACTS, STACK, Bench, processing
from tests.failing_kind import WRITES, Died, Fault, Faults, FaultyKind

OTHER = Address.of("processing", "other")


def intent(verb: Verb, address: Address = APP, **fields: Any) -> Intent:
    return Intent(str(address), verb, None if verb == "create" else "id-1", fields, AT, "run-0")


def recorded(**inputs: Any) -> RecordedResource:
    return RecordedResource("processing/app", "processing", "id-1", inputs)


def lives(id: str = "id-1", **fields: Any) -> LiveObject:
    return LiveObject(id, ("app",), fields, {"page": "https://…"})


def settled(
    open: Intent,
    record: RecordedResource | None,
    live: LiveObject | None,
    *,
    unreadable: Collection[Address] = (),
    requested: Collection[Address] = (APP,),
) -> Snapshot:
    snapshot = Snapshot.new("my-org@STAGING/app", "lineage-1").with_intent(open)
    snapshot = snapshot.with_resource(record) if record else snapshot
    problems: dict[Address, ProviderError] = dict.fromkeys(unreadable, TransientError("busy"))
    return settle(snapshot, RemoteState({} if live is None else {APP: live}, problems, requested), FACTS)


def left(snapshot: Snapshot) -> RecordedResource | None:
    """The recorded resource afterwards; no intent may be open."""
    assert not snapshot.intents
    return snapshot.resources.get("processing/app")


class TestCreate:
    def test_it_was_carried_out(self) -> None:
        sent = intent("create", default_cpu=8, docker_flags=["a", "b"])
        record = left(settled(sent, None, lives("id-7", default_cpu="8", docker_flags=["b", "a"], more=1)))
        assert record is not None
        assert (record.id, dict(record.inputs)) == ("id-7", {"default_cpu": 8, "docker_flags": ["a", "b"]})
        assert record.outputs == {"page": "https://…"}

    def test_it_was_carried_out_with_unreadable_fields(self) -> None:
        record = left(
            settled(intent("create", default_cpu=8, docker_tag="latest"), None, lives(default_cpu=8))
        )
        assert record is not None and record.inputs == {"default_cpu": 8, "docker_tag": "latest"}

    @pytest.mark.parametrize("before", [None, recorded(default_cpu=8)])
    def test_a_different_object_has_an_unknown_origin(self, before: RecordedResource | None) -> None:
        snapshot = settled(intent("create", default_cpu=8), before, lives("id-7", default_cpu=4))
        assert set(snapshot.intents) == {"processing/app"}
        assert snapshot.resources.get("processing/app") == before

    def test_it_was_not_carried_out(self) -> None:
        assert left(settled(intent("create", default_cpu=8), None, None)) is None

    def test_a_deleted_object_that_was_not_created_again_stays_recorded(self) -> None:
        before = recorded(default_cpu=8)
        assert left(settled(intent("create", default_cpu=8), before, None)) == before

    def test_a_deleted_object_was_created_again(self) -> None:
        record = left(
            settled(intent("create", default_cpu=8), recorded(default_cpu=8), lives("id-7", default_cpu=8))
        )
        assert record is not None and record.id == "id-7"


def test_a_settled_child_depends_on_its_parent_and_on_what_the_files_say() -> None:
    """Otherwise a rollback, which has only the state, could create it before its parent."""
    field = Address.of("input", "app", "size")
    sent = Intent(str(field), "create", None, {}, AT, "run-0")
    snapshot = Snapshot.new(str(STACK), "lineage-1").with_resource(recorded()).with_intent(sent)
    remote = RemoteState({field: LiveObject("id-2", field.name, {}, {})}, {}, (field,))
    image = Resource(Address.of("image", "reg.io/app"), {})
    app = Resource(APP, {}, depends_on=(image.address,))
    for desired in (None, Graph(), Graph([image, app, Resource(field, {}, depends_on=(APP, image.address))])):
        found = settle(snapshot, remote, FACTS, desired).resources[str(field)]
        assert found.depends_on == (str(APP),), "the image is not recorded"


class TestUpdate:
    def test_it_was_carried_out(self) -> None:
        record = left(settled(intent("update", default_cpu=8), recorded(default_cpu=4), lives(default_cpu=8)))
        assert record == recorded(default_cpu=8)

    def test_it_was_not_carried_out(self) -> None:
        record = left(settled(intent("update", default_cpu=8), recorded(default_cpu=4), lives(default_cpu=4)))
        assert record == recorded(default_cpu=4)

    def test_it_was_carried_out_in_part(self) -> None:
        sent = intent("update", default_cpu=8, description="pears")
        before = recorded(default_cpu=4, description="apples")
        record = left(settled(sent, before, lives(default_cpu=8, description="apples")))
        assert record == recorded(default_cpu=8, description="apples")

    def test_unreadable_fields_are_not_recorded(self) -> None:
        record = left(settled(intent("update", docker_tag="test"), recorded(docker_tag="latest"), lives()))
        assert record == recorded(docker_tag="latest")

    def test_the_object_is_gone(self) -> None:
        before = recorded(default_cpu=4)
        assert left(settled(intent("update", default_cpu=8), before, None)) == before

    def test_an_unfinished_adoption_is_not_recorded(self) -> None:
        assert left(settled(intent("update", default_cpu=8), None, lives(default_cpu=8))) is None


class TestDelete:
    def test_it_was_carried_out(self) -> None:
        assert left(settled(intent("delete"), recorded(default_cpu=4), None)) is None

    def test_it_was_not_carried_out(self) -> None:
        before = recorded(default_cpu=4)
        assert left(settled(intent("delete"), before, lives(default_cpu=4))) == before


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
class TestUnknownResultsStayOpen:
    def test_a_resource_that_was_not_requested(self, verb: Verb) -> None:
        snapshot = settled(intent(verb), recorded(default_cpu=4), None, requested=[OTHER])
        assert set(snapshot.intents) == {"processing/app"}
        assert snapshot.resources["processing/app"] == recorded(default_cpu=4)

    def test_an_unreadable_resource(self, verb: Verb) -> None:
        snapshot = settled(intent(verb), recorded(default_cpu=4), None, unreadable=[APP])
        assert set(snapshot.intents) == {"processing/app"}
        assert snapshot.resources["processing/app"] == recorded(default_cpu=4)


def replacing(id: str | None, **fields: Any) -> Intent:
    return Intent(str(APP), "replace", id, fields, AT, "run-0", {"description": "apples"})


class TestReplace:
    def test_the_old_object_is_still_there(self) -> None:
        before = recorded(type="A")
        assert left(settled(replacing("id-1", type="B"), before, lives(type="A"))) == before

    @pytest.mark.parametrize("before", [None, recorded(type="A")])
    def test_the_old_object_is_gone(self, before: RecordedResource | None) -> None:
        snapshot = settled(replacing("id-1", type="B"), before, None)
        assert not snapshot.resources
        assert snapshot.intents["processing/app"] == replacing(None, type="B")
        world = RemoteState({}, {}, [APP])
        assert unfinished_replaces(snapshot, world) == {APP: replacing(None, type="B")}
        assert settle(snapshot, world, FACTS) == snapshot, "until it is made"

    def test_the_new_object_is_there(self) -> None:
        record = left(settled(replacing(None, type="B"), None, lives("id-2", type="B", description="apples")))
        assert record is not None and (record.id, record.inputs) == ("id-2", {"type": "B"})

    def test_a_new_object_with_values_of_the_old_one_stays_open_until_they_are_resolved(self) -> None:
        kept = replacing(None, type="B", description="apples")
        live = lives("id-2", type="B", description="apples")
        snapshot = settled(kept, None, live)
        record = snapshot.resources["processing/app"]
        assert (record.id, snapshot.intents) == ("id-2", {"processing/app": kept})
        world = RemoteState({APP: live}, {}, [APP])
        assert contested(snapshot, world) == {APP}
        assert settle(snapshot, world, FACTS) == snapshot, "until the user says who wins"

    def test_a_different_object_has_an_unknown_origin(self) -> None:
        snapshot = settled(replacing(None, type="B"), None, lives("id-2", type="C"))
        assert set(snapshot.intents) == {"processing/app"} and not snapshot.resources
        world = RemoteState({APP: lives("id-2", type="C")}, {}, [APP])
        assert contested(snapshot, world) == {APP} and unfinished_replaces(snapshot, world) == {}


class TestWasCarriedOut:
    """Whether rollback counts a write of a finished run as carried out."""

    @pytest.mark.parametrize(
        ("begun", "record", "done"),
        [
            (intent("create", default_cpu=1), recorded(default_cpu=1), True),
            (intent("create", default_cpu=1), None, False),
            (intent("update", default_cpu=True), recorded(default_cpu=1), False),
            (intent("update", default_cpu="1"), recorded(default_cpu=1), False),
            (intent("delete"), None, True),
            (intent("delete"), recorded(), False),
            (replacing("id-1", type="B"), recorded(type="B"), True),
            (replacing("id-1", type="B"), recorded(type="A"), False),
            (replacing("id-1", type="B"), None, False),
            (replacing(None, type="B"), None, True),
        ],
    )
    def test_all_verbs(self, begun: Intent, record: RecordedResource | None, done: bool) -> None:
        snapshot = Snapshot.new("my-org@STAGING/app", "lineage-1")
        assert _was_carried_out(begun, snapshot.with_resource(record) if record else snapshot) is done


class TestRecoveryAfterAKill:
    @pytest.mark.parametrize("after", [False, True])
    def test_a_run_that_was_killed_while_creating_is_settled(self, bench: Bench, after: bool) -> None:
        healthy = bench.kinds["processing"]
        bench.kinds["processing"] = FaultyKind(healthy, Faults(Fault(1, Died(), after=after), verbs=WRITES))
        with pytest.raises(Died):
            bench.apply(processing(description="apples"))
        assert set(bench.record.intents) == {"processing/app"}
        bench.kinds["processing"] = healthy
        step = bench.plan(processing(description="apples")).step(APP)
        expected = (Action.NOOP, ReasonCode.IN_SYNC) if after else (Action.CREATE, ReasonCode.NOT_CREATED)
        assert (step.action, step.reason.code) == expected


IMAGE = "image/reg.io/app"


def refreshed(image: dict[str, Any], app: dict[str, Any], digest: str = "sha256:1") -> Snapshot:
    made = RecordedResource(IMAGE, "image", digest, {"version": "1.0.0", **image}, {"digest": digest})
    snapshot = Snapshot.new(str(STACK), "lineage-1").with_resource(made)
    return snapshot.with_resource(recorded(default_cpu=8, **app))


FIRST = refreshed({"source_key": "v2:1"}, {}).with_resource(recorded(default_cpu=4))
SECOND = refreshed({"source_key": "v2:1"}, {"description": "apples"})


def gone_back_to(store: SqliteStore, last: Snapshot) -> Snapshot:
    """The state version that a rollback selects of three runs, from the state of the last one."""
    for serial, snapshot in enumerate([FIRST, SECOND, last], start=1):
        saved = snapshot.written(serial=serial, by="0.1.0", at=AT)
        store.copy_in(saved, HistoryEntry.of(saved, None), expected_serial=serial - 1)
    return find_earlier(store, STACK, None).snapshot


@pytest.mark.parametrize(
    "last",
    [
        SECOND,
        refreshed({"source_key": "sha256:1"}, {"description": "apples"}),
        refreshed({"source_key": "v2:1"}, {}),
        refreshed({"source_key": "v2:1"}, {"description": "apples", "default_gpu": 1}),
    ],
)
def test_a_rollback_skips_states_that_differ_in_state_only(store: SqliteStore, last: Snapshot) -> None:
    assert gone_back_to(store, last).serial == 1


@pytest.mark.parametrize(
    "last",
    [
        SECOND.with_intent(intent("update", default_cpu=16)),
        SECOND.without_resource(IMAGE),
        SECOND.with_resource(replace(recorded(default_cpu=8), address="processing/b")),
        refreshed({"source_key": "v2:1"}, {"description": "pears"}),
        refreshed({"source_key": "v2:1", "version": "1.0.1"}, {"description": "apples"}),
        refreshed({"source_key": "v2:1"}, {"description": "apples"}, digest="sha256:2"),
        SECOND.with_resource(recorded(default_cpu="8", description="apples")),
    ],
)
def test_any_other_difference_counts(store: SqliteStore, last: Snapshot) -> None:
    assert gone_back_to(store, last).serial == 2
