"""The life of each kind on the platform: create, find, change, delete; and similar names."""

import pytest

from providers.errors import ExistsError, GoneError, PermanentError, RefusedError
from providers.protocol import LiveObject, Reference, silent
from providers.sandbox import Sandbox
from tests.picsellia.conftest import INPUT, PROCESSING, VERSION, Connect, Kinds
from tests.picsellia.odd_host import odd_host

AWKWARD = ["a/b", "ü x", "%2F", "a%2Fb", "?a=b&c", "#1", "...", " app ", "+", "日本"]


def stored(found: dict[str, object] | None) -> dict[str, object]:
    assert found is not None, "it is not on the platform"
    return found


# A processing


def test_a_processing_from_its_creation_to_its_deletion(sandbox: Sandbox, kinds: Kinds) -> None:
    assert kinds.read_processing() is None

    made = kinds.new_processing()
    assert made.name == ("app",)
    assert made.fields == PROCESSING
    assert kinds.read_processing() == made
    assert stored(sandbox.platform.processing("app"))["id"] == made.id

    changed = kinds.change_processing(made, docker_tag="test", default_cpu=8)
    assert changed.id == made.id
    assert kinds.read_processing() == changed
    assert changed.fields == {**PROCESSING, "docker_tag": "test", "default_cpu": 8}

    kinds.processing.delete(changed, parent=None)
    assert kinds.read_processing() is None
    with pytest.raises(GoneError):
        kinds.processing.delete(changed, parent=None)


def test_an_update_sends_only_the_changes(sandbox: Sandbox, kinds: Kinds) -> None:
    made = kinds.new_processing()
    sandbox.clear_requests()
    kinds.change_processing(made, docker_tag="test")
    (sent,) = sandbox.writes()
    assert (sent["method"], sent["body"]) == ("PATCH", {"docker_tag": "test"})


def test_docker_flags_of_a_processing_can_be_changed_and_removed(sandbox: Sandbox, kinds: Kinds) -> None:
    made = kinds.new_processing(docker_flags=[])
    with_gpu = kinds.change_processing(made, docker_flags=["--ipc=host", "--gpus=all"])
    assert stored(sandbox.platform.processing("app"))["docker_flags"] == ["--ipc=host", "--gpus=all"]
    kinds.change_processing(with_gpu, docker_flags=[])
    assert stored(sandbox.platform.processing("app"))["docker_flags"] == []


def test_explicit_empty_values_clear(sandbox: Sandbox, kinds: Kinds) -> None:
    made = kinds.new_processing()
    cleared = kinds.change_processing(made, description="", default_parameters={}, default_gpu=0)
    live = stored(sandbox.platform.processing("app"))
    assert (live["description"], live["default_parameters"], live["default_gpu"]) == ("", {}, 0)
    assert cleared.fields == {**PROCESSING, "description": "", "default_parameters": {}, "default_gpu": 0}


def test_a_name_is_unique(kinds: Kinds) -> None:
    kinds.new_processing()
    with pytest.raises(ExistsError) as taken:
        kinds.new_processing()
    assert not taken.value.outcome_unknown
    kinds.new_model()
    with pytest.raises(ExistsError):
        kinds.new_model()


# Inputs


def test_an_input_from_its_creation_to_its_deletion(sandbox: Sandbox, kinds: Kinds) -> None:
    app = kinds.new_processing()
    assert kinds.read_input(app) is None
    assert list(kinds.input.siblings(app)) == []

    made = kinds.new_input(app)
    assert (made.id, made.name, made.fields) == ("dataset", ("app", "dataset"), INPUT)
    other = kinds.new_input(app, "title", input_type="TEXT", inference_type_constraint=None)
    assert list(kinds.input.siblings(app)) == [made, other]

    changed = kinds.change_input(app, made, required=False, inference_type_constraint="SEGMENTATION")
    assert kinds.read_input(app) == changed
    assert changed.fields == {**INPUT, "required": False, "inference_type_constraint": "SEGMENTATION"}

    kinds.input.delete(changed, parent=app)
    assert [live["name"] for live in sandbox.platform.inputs("app")] == ["title"]
    with pytest.raises(GoneError):
        kinds.input.delete(changed, parent=app)


def test_changing_one_constraint_keeps_the_other_though_the_platform_wants_both(
    sandbox: Sandbox, kinds: Kinds
) -> None:
    app = kinds.new_processing()
    made = kinds.new_input(app, framework_constraint="ONNX")
    kinds.input.update(
        made,
        {"required": False},
        {**INPUT, "framework_constraint": "ONNX", "required": False},
        parent=app,
        report=silent,
    )
    (live,) = sandbox.platform.inputs("app")
    assert (live["required"], live["inference_type_constraint"], live["framework_constraint"]) == (
        False,
        "CLASSIFICATION",
        "ONNX",
    )


def test_a_constraint_is_cleared_by_null(sandbox: Sandbox, kinds: Kinds) -> None:
    app = kinds.new_processing()
    made = kinds.new_input(app)
    kinds.change_input(app, made, inference_type_constraint=None)
    assert sandbox.platform.inputs("app")[0]["inference_type_constraint"] is None


def test_an_input_without_its_processing_is_neither_read_nor_created(sandbox: Sandbox, kinds: Kinds) -> None:
    assert kinds.input.read(Reference(("app", "dataset"))) is None
    with pytest.raises(PermanentError, match="its processing does not exist"):
        kinds.input.create(["app", "dataset"], INPUT, parent=None, report=silent)
    assert sandbox.requests() == []


# Models and their versions


def test_a_model_from_its_creation_to_its_deletion(sandbox: Sandbox, kinds: Kinds) -> None:
    assert kinds.read_model() is None
    made = kinds.new_model()
    assert (made.name, made.fields) == (("Apples",), {"name": "Apples", "description": ""})
    assert made.outputs["page"] == f"{sandbox.url}/model/{made.id}"
    assert kinds.read_model() == made
    kinds.model.delete(made, parent=None)
    assert kinds.read_model(id=made.id) is None
    assert sandbox.platform.models() == []


def test_a_renamed_model_is_found_by_its_id_and_renamed_back(sandbox: Sandbox, kinds: Kinds) -> None:
    made = kinds.new_model()
    sandbox.platform.edit_model("Apples", name="Pears")

    assert kinds.read_model() is None, "without state it cannot be found"
    renamed = kinds.read_model(id=made.id)
    assert renamed is not None
    assert (renamed.id, renamed.name) == (made.id, ("Pears",))

    kinds.model.update(renamed, {"name": "Apples"}, {"name": "Apples"}, parent=None, report=silent)
    assert stored(sandbox.platform.model("Apples"))["id"] == made.id


def test_a_new_object_with_the_name_wins_over_the_recorded_id(sandbox: Sandbox, kinds: Kinds) -> None:
    old = kinds.new_model()
    sandbox.platform.edit_model("Apples", name="Pears")
    new = sandbox.platform.create_model("Apples")
    found = kinds.read_model(id=old.id)
    assert found is not None
    assert found.id == new["id"]


def test_a_version_from_its_creation_to_its_deletion(sandbox: Sandbox, kinds: Kinds) -> None:
    apples = kinds.new_model()
    assert kinds.read_version(apples) is None

    made = kinds.new_version(apples)
    assert (made.name, made.fields) == (("Apples", "v1"), VERSION)
    assert made.outputs["number"] == 0
    assert kinds.new_version(apples, "v2").outputs["number"] == 1
    assert kinds.read_version(apples) == made

    changed = kinds.change_version(apples, made, docker_tag="1.0.1", parameters={}, docker_flags=[])
    assert changed.fields == {**VERSION, "docker_tag": "1.0.1", "parameters": {}, "docker_flags": []}
    assert kinds.read_version(apples) == changed

    kinds.version.delete(changed, parent=apples)
    assert [live["name"] for live in sandbox.platform.versions("Apples")] == ["v2"]


def test_a_renamed_version_is_found_by_its_id(sandbox: Sandbox, kinds: Kinds) -> None:
    apples = kinds.new_model()
    made = kinds.new_version(apples)
    sandbox.platform.edit_version("Apples", "v1", name="final")
    renamed = kinds.read_version(apples, id=made.id)
    assert renamed is not None
    assert (renamed.id, renamed.name) == (made.id, ("Apples", "final"))
    sandbox.platform.delete_version("Apples", "final")
    assert kinds.read_version(apples, id=made.id) is None


def test_a_version_without_its_model_is_neither_read_nor_created(sandbox: Sandbox, kinds: Kinds) -> None:
    assert kinds.version.read(Reference(("Apples", "v1"), "x")) is None
    with pytest.raises(PermanentError, match="its model does not exist"):
        kinds.version.create(["Apples", "v1"], VERSION, parent=None, report=silent)
    assert sandbox.requests() == []


def test_a_type_that_is_not_configured_is_left_out_of_a_create(sandbox: Sandbox, kinds: Kinds) -> None:
    apples = kinds.new_model()
    sandbox.clear_requests()
    made = kinds.new_version(apples, type="NOT_CONFIGURED", framework="NOT_CONFIGURED")
    (sent,) = sandbox.writes()
    assert "type" not in sent["body"]
    assert sent["body"]["framework"] == "NOT_CONFIGURED"
    assert made.fields["type"] == "NOT_CONFIGURED"

    sandbox.clear_requests()
    kinds.change_version(apples, made, type="MASK")
    kinds.change_version(apples, made, type="NOT_CONFIGURED")
    assert [sent["body"]["type"] for sent in sandbox.writes()] == ["MASK", "NOT_CONFIGURED"]


@pytest.mark.parametrize("type", ["MASK", "MULTI"])
def test_a_value_that_the_sdk_refuses_is_sent_as_text(sandbox: Sandbox, kinds: Kinds, type: str) -> None:
    apples = kinds.new_model()
    made = kinds.new_version(apples, type=type, framework="YOLOV8")
    live = stored(sandbox.platform.version("Apples", "v1"))
    assert (live["type"], live["framework"], live["docker_image"]) == (type, "YOLOV8", "team/train")
    changed = kinds.change_version(apples, made, docker_tag="2.0.0", type=type)
    assert (changed.fields["type"], changed.fields["docker_tag"]) == (type, "2.0.0")


def test_a_refused_value_is_reported_with_the_platforms_message(kinds: Kinds) -> None:
    apples = kinds.new_model()
    with pytest.raises(RefusedError, match="must be one of TENSORFLOW") as refused:
        kinds.new_version(apples, framework="CAFFE")
    assert not refused.value.outcome_unknown


# Finding the right one


@pytest.mark.parametrize("wanted", ["app", "App", "application"])
def test_find_may_match_loosely_and_returns_the_exact_name(
    sandbox: Sandbox, kinds: Kinds, wanted: str
) -> None:
    for name in ("my-app-old", "application", "App", "app"):
        sandbox.platform.create_processing(name)
        sandbox.platform.create_model(name)
    models = {live["name"]: live["id"] for live in sandbox.platform.models()}
    sandbox.switch(loose_find=True)

    processing = kinds.read_processing(wanted)
    assert processing is not None
    assert processing.name == (wanted,)
    model = kinds.read_model(wanted)
    assert model is not None
    assert (model.name, model.id) == ((wanted,), models[wanted])


def test_a_loose_match_is_not_the_object(sandbox: Sandbox, kinds: Kinds) -> None:
    sandbox.platform.create_processing("my-app-old")
    apples = kinds.new_model("Green Apples")
    kinds.new_version(apples, "v10")
    sandbox.switch(loose_find=True)
    assert kinds.read_processing("app") is None
    assert kinds.read_model("Apples") is None
    assert kinds.read_version(apples, "v1") is None
    assert kinds.read_version(apples, "v10") is not None


@pytest.mark.parametrize(
    "pages", [{"page_cap": 7}, {"page_cap": 1}, {"page_default": 3}, {"page_cap": 7, "reorder": True}]
)
def test_an_object_is_found_on_any_page(sandbox: Sandbox, kinds: Kinds, pages: dict[str, object]) -> None:
    names = [f"app-{number:02}" for number in range(20)]
    for name in [*names, "app"]:
        sandbox.platform.create_processing(name)
    sandbox.switch(loose_find=True, **pages)
    for name in ("app", "app-00", "app-13", "app-19"):
        found = kinds.read_processing(name)
        assert found is not None, name
        assert found.name == (name,)
    assert kinds.read_processing("app-2") is None


# Platforms that differ from the sandbox


def test_unknown_values_do_not_break_a_read(sandbox: Sandbox, kinds: Kinds) -> None:
    sandbox.switch(unknown_enums=True, extra_fields=True, loose_find=True)
    newer = "from-a-newer-platform"

    processing = kinds.read_processing(newer)
    assert processing is not None
    assert (processing.fields["target"], processing.fields["type"]) == ("HOLOGRAM", "TIME_TRAVEL")
    (given,) = kinds.input.siblings(processing)
    assert given.fields["input_type"] == "HOLOGRAM"
    model = kinds.read_model(newer)
    assert model is not None
    version = kinds.read_version(model)
    assert version is not None
    assert (version.fields["type"], version.fields["framework"]) == ("HOLOGRAM", "YOLOV99")
    assert "quota" not in processing.fields | given.fields | model.fields | version.fields
    assert kinds.read_processing("platform") is None, "the whole list is read, unknown values and all"


def test_a_field_that_is_not_returned_is_absent_not_null(sandbox: Sandbox, kinds: Kinds) -> None:
    sandbox.switch(echo="certain")
    app = kinds.new_processing()
    apples = kinds.new_model()
    certain = {"target", "type", "docker_image", "docker_tag"}
    assert app.fields == {name: PROCESSING[name] for name in certain}
    assert kinds.read_processing() == app
    assert kinds.new_input(app).fields == {}
    read = kinds.read_input(app)
    assert read is not None
    assert (read.id, read.fields) == ("dataset", {})
    version = kinds.new_version(apples)
    assert version.fields == {
        name: VERSION[name] for name in ("name", "framework", "type", "parameters", "labels")
    }
    assert kinds.read_version(apples) == version


def test_null_is_a_value_and_not_absent(sandbox: Sandbox, kinds: Kinds) -> None:
    made = kinds.new_processing(description=None, docker_flags=None)
    assert made.fields["description"] is None
    assert made.fields["docker_flags"] is None


def test_an_organization_without_a_connector_works(sandbox: Sandbox, connect: Connect) -> None:
    sandbox.switch(null_connector=True)
    kinds = Kinds(connect())
    assert kinds.new_processing().fields == PROCESSING
    assert kinds.read_processing() is not None


# Names


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_reaches_the_platform_as_it_is_written(sandbox: Sandbox, kinds: Kinds, name: str) -> None:
    app = kinds.new_processing(name)
    assert app.name == (name,)
    assert kinds.read_processing(name) == app
    kinds.new_input(app, "neighbour")
    made = kinds.new_input(app, name)
    assert (made.id, made.name) == (name, (name, name))

    kinds.change_input(app, made, required=False)
    required = {live["name"]: live["required"] for live in sandbox.platform.inputs(name)}
    assert required == {"neighbour": True, name: False}
    kinds.input.delete(made, parent=app)
    assert [live["name"] for live in sandbox.platform.inputs(name)] == ["neighbour"]

    model = kinds.new_model(name)
    version = kinds.new_version(model, name)
    assert kinds.read_version(model, name) == version
    assert version.name == (name, name)


@pytest.mark.parametrize("name", ["..", ".", ""])
def test_a_name_that_would_change_the_path_is_refused_before_sending(
    sandbox: Sandbox, kinds: Kinds, name: str
) -> None:
    app = kinds.new_processing()
    if name:
        sandbox.platform.add_input("app", name)
    live = next((live for live in kinds.input.siblings(app) if live.id == name), None)
    sandbox.clear_requests()
    dangerous = live or LiveObject(id=name, name=("app", name), fields={})

    with pytest.raises(RefusedError, match="cannot be a name on the platform"):
        kinds.input.delete(dangerous, parent=app)
    with pytest.raises(RefusedError):
        kinds.change_input(app, dangerous, required=False)

    assert sandbox.requests() == []
    assert sandbox.platform.processing("app") is not None, "unquoted, `..` deletes the processing"


@pytest.mark.parametrize("written", ["1e999", "-1e999", "1e-999", "NaN", "Infinity", "-Infinity"])
def test_a_number_beyond_a_float_is_kept_as_written(connect: Connect, written: str) -> None:
    """As null it would be in sync with a parameter without a value, as 0 with one that is 0."""
    content = f'{{"a": {written}, "zeros": [0e5, -0.0, 0.00], "b": 1.5}}'.encode()
    with odd_host(200, content) as (host, _):
        assert connect(host).get("/api/anything") == {"a": written, "zeros": [0, 0, 0], "b": 1.5}
