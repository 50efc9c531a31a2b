"""The JSON document: a round trip changes nothing, and unknown content is refused."""

import json
import string
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from state.document import from_document, loads, to_json
from state.errors import CorruptStateError, NewerFormatError
from state.invariants import verify
from state.migrations import MIGRATIONS
from state.snapshot import OUTCOMES, Intent, RecordedResource, Snapshot, Verb
from tests.state.conftest import AT, STACK, intent, resource, snapshot

ANY_TEXT = st.text(st.characters())
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.text(string.digits, min_size=1), VALUES, max_size=4)
KINDS = st.sampled_from(["image", "processing", "input", "model", "model-version"])
ADDRESSES = st.builds("{}/{}".format, KINDS, st.text("abc/", min_size=1).filter(lambda s: all(s.split("/"))))


def from_json(text: str, **options: Any) -> Snapshot:
    return from_document(loads(text), **options)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    state = Snapshot(
        draw(st.text(min_size=1)),
        draw(st.text(min_size=1)),
        draw(st.integers(1)),
        written_by="0.1.0",
        written_at=AT,
        outcome=draw(st.sampled_from(OUTCOMES)),
    )
    state = replace(state, restores=draw(st.integers(0, state.serial)))
    for address in draw(st.lists(ADDRESSES, unique=True, max_size=5)):
        depends_on = tuple(draw(st.sets(st.sampled_from(sorted(state.resources))))) if state.resources else ()
        kind = address.partition("/")[0]
        state = state.with_resource(
            RecordedResource(address, kind, draw(st.text(min_size=1)), draw(FIELDS), draw(FIELDS), depends_on)
        )
    for address in draw(st.lists(ADDRESSES, unique=True, max_size=3)):
        verb: Verb = draw(st.sampled_from(get_args(Verb)))
        id = draw(st.text(min_size=1)) if verb != "create" else None
        state = state.with_intent(Intent(address, verb, id, draw(FIELDS), AT, draw(ANY_TEXT), draw(FIELDS)))
    return state


@given(snapshots())
def test_a_snapshot_survives_writing_and_reading(state: Snapshot) -> None:
    assert verify(state) == []
    text = to_json(state)
    assert from_json(text) == state
    assert to_json(from_json(text)) == text


def test_the_document_matches_its_documentation() -> None:
    state = snapshot(
        resource("processing/app", "image/app", description="é"), resource("image/app")
    ).with_intent(intent("model/M"))
    assert json.loads(to_json(state)) == {
        "format": "reconciler/state",
        "version": 4,
        "outcome": "",
        "restores": 0,
        "stack": STACK,
        "lineage": "lineage-1",
        "serial": 1,
        "written_by": "0.1.0",
        "written_at": AT,
        "resources": [
            {
                "address": "image/app",
                "kind": "image",
                "id": "id of image/app",
                "inputs": {},
                "outputs": {},
                "depends_on": [],
            },
            {
                "address": "processing/app",
                "kind": "processing",
                "id": "id of processing/app",
                "inputs": {"description": "é"},
                "outputs": {},
                "depends_on": ["image/app"],
            },
        ],
        "intents": [
            {
                "address": "model/M",
                "verb": "create",
                "id": None,
                "fields": {},
                "since": AT,
                "run": "run-1",
                "kept": {},
            }
        ],
    }


def test_the_text_does_not_depend_on_the_order_of_insertion() -> None:
    one, two = resource("model/A", b=1, a=2), resource("model/B")
    assert to_json(snapshot(one, two)) == to_json(snapshot(two, resource("model/A", a=2, b=1)))


STATE = snapshot(resource("processing/app", default_cpu=4)).with_intent(intent("model/M"))
TEXT = to_json(STATE)


@given(st.integers(0, len(TEXT) - 1))
def test_a_truncated_text_is_refused(length: int) -> None:
    with pytest.raises(CorruptStateError):
        from_json(TEXT[:length])


def changed(*path: Any, **values: Any) -> str:
    document = json.loads(TEXT)
    place = document
    for step in path:
        place = place[step]
    place.update(values)
    return json.dumps(document)


def without(*path: Any) -> str:
    document = json.loads(TEXT)
    place = document
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "not a state document"),
        ("null", "not a state document"),
        ("[" * 100_000, "cannot be read"),
        (changed(format="reconciler/plan"), "not a state document"),
        (changed(version="1"), "the invalid format version '1'"),
        (changed(version=True), "the invalid format version True"),
        (changed(version=-1), "the invalid format version -1"),
        (changed(version=0), "format version 0, which no release of reconciler wrote"),
        (without("version"), "the invalid format version None"),
        (without("serial"), "the document lacks the key 'serial'"),
        (without("resources"), "the document lacks the key 'resources'"),
        (without("resources", 0, "id"), "resources[0] lacks the key 'id'"),
        (without("intents", 0, "run"), "intents[0] lacks the key 'run'"),
        (changed(extra=1), "the document has the unknown key 'extra'"),
        (changed("resources", 0, extra=1), "resources[0] has the unknown key 'extra'"),
        (changed("intents", 0, extra=1), "intents[0] has the unknown key 'extra'"),
        (changed(serial="1"), "the document.serial has the wrong type"),
        (changed(serial=True), "the document.serial has the wrong type"),
        (changed(resources={}), "the document.resources has the wrong type"),
        (changed(resources=[1]), "resources[0] is not an object"),
        (changed("resources", 0, inputs=[]), "resources[0].inputs has the wrong type"),
        (
            changed("resources", 0, depends_on=[1]),
            "resources[0].depends_on contains a value that is not an address",
        ),
        (changed(resources=json.loads(TEXT)["resources"] * 2), "resources contains processing/app twice"),
        (changed(intents=json.loads(TEXT)["intents"] * 2), "intents contains model/M twice"),
    ],
)
def test_a_document_of_another_shape_is_refused(text: str, says: str) -> None:
    with pytest.raises(CorruptStateError) as caught:
        from_json(text)
    assert says in caught.value.message
    assert "reconciler state verify" in caught.value.hint


def test_a_broken_invariant_names_its_number_the_writer_and_the_repair() -> None:
    with pytest.raises(CorruptStateError) as caught:
        from_json(changed("resources", 0, id=""))
    assert "written by reconciler 0.1.0" in caught.value.message
    assert "I8 processing/app: has no id" in caught.value.message
    assert caught.value.problems == ("I8 processing/app: has no id",)
    assert "reconciler state verify" in caught.value.hint


def test_a_newer_format_is_refused_with_the_required_version() -> None:
    with pytest.raises(NewerFormatError) as caught:
        from_json(changed(version=5, written_by="3.1.0", shiny=True))
    assert "format version 5" in caught.value.message
    assert "reads up to 4" in caught.value.message
    assert "install reconciler 3.1.0 or newer" in caught.value.hint


def test_migrations_upgrade_an_older_format() -> None:
    """Version 0 exists only in this test: its key for the stack is `pipeline`."""

    def rename(document: dict[str, Any]) -> dict[str, Any]:
        return {"stack" if key == "pipeline" else key: value for key, value in document.items()}

    old = json.loads(TEXT) | {"version": 0, "pipeline": STACK}
    del old["stack"]
    assert from_json(json.dumps(old), migrations={0: rename, **MIGRATIONS}) == STATE


def test_version_1_has_intents_without_kept_fields() -> None:
    old = json.loads(TEXT) | {"version": 1}
    for body in old["intents"]:
        del body["kept"]
    assert from_json(json.dumps(old)) == STATE


@pytest.mark.parametrize("intents", [None, 1, "x", {}, [1], [None]])
def test_a_damaged_version_1_is_refused_as_damaged(intents: Any) -> None:
    with pytest.raises(CorruptStateError):
        from_json(json.dumps(json.loads(TEXT) | {"version": 1, "intents": intents}))


def test_a_snapshot_without_a_save_has_a_document() -> None:
    new = Snapshot.new(STACK, "lineage-1")
    assert from_json(to_json(new)) == new


def test_state_of_version_2_has_the_same_content_and_older_reconcilers_refuse_ours() -> None:
    document = json.loads(to_json(STATE))
    assert document["version"] > 2, "a reconciler that knows no claims reads up to 2"
    assert from_json(json.dumps(document | {"version": 2})) == STATE
