"""The official SDK works against the sandbox as it does in its documentation."""

from collections.abc import Iterator

import picsellia
import pytest
import requests
from picsellia import exceptions
from picsellia.types import enums
from picsellia.types.enums import Framework, InferenceType, ProcessingInputType

from providers import collection
from providers.picsellia.kinds import input, processing
from providers.sandbox import Sandbox


def test_the_copied_enums_are_those_of_the_sdk():
    assert set(collection.FRAMEWORK.one_of) - {"YOLOV8"} == set(enums.Framework.values())
    assert set(collection.INFERENCE_TYPE.one_of) == set(enums.InferenceType.values())
    assert set(processing.COLLECTION.create["type"].one_of) == set(enums.ProcessingType.values())
    assert set(processing.COLLECTION.create["target"].one_of) == set(enums.ProcessingTargetType.values())
    assert set(input.COLLECTION.create["input_type"].one_of) == set(enums.ProcessingInputType.values())


def connect(sandbox: Sandbox, session: requests.Session, token: str | None = None) -> "picsellia.Client":
    return picsellia.Client(
        api_token=token or sandbox.token,
        organization_name=sandbox.organization,
        host=sandbox.url,
        session=session,
    )


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        yield session


@pytest.fixture
def client(sandbox: Sandbox, session: requests.Session) -> "picsellia.Client":
    return connect(sandbox, session)


def create(client: "picsellia.Client", name: str = "app") -> "picsellia.sdk.processing.Processing":
    return client.create_processing(
        name=name,
        target="DATASET_VERSION",
        default_cpu=4,
        default_gpu=0,
        default_parameters={"epochs": 10},
        docker_image="registry.local/team/app",
        docker_tag="1.0.0",
        type="AUTO_TAGGING",
    )


def test_a_processing_from_its_creation_to_its_deletion(sandbox, client):
    processing = create(client)
    assert client.get_processing("app") == processing
    assert client.list_processings() == [processing]

    processing.update(docker_tag="1.0.1", default_cpu=8)
    assert processing.docker == "registry.local/team/app:1.0.1"
    assert sandbox.platform.processing("app")["default_cpu"] == 8

    processing.delete()
    with pytest.raises(exceptions.ResourceNotFoundError, match="No processing has the name app"):
        client.get_processing("app")


def test_a_name_is_given_once(client):
    create(client)
    with pytest.raises(exceptions.ResourceConflictError):
        create(client)


def test_inputs_are_added_changed_and_deleted(client):
    processing = create(client)
    processing.add_processing_input(
        "dataset", ProcessingInputType.DATASET_VERSION, True, InferenceType.CLASSIFICATION, None
    )
    processing.update_processing_input("dataset", False, None, Framework.ONNX)

    (given,) = processing.list_processing_inputs()
    assert given["input_type"] == "DATASET_VERSION"
    assert given["required"] is False
    assert given["inference_type_constraint"] is None
    assert given["framework_constraint"] == "ONNX"

    processing.delete_processing_input("dataset")
    assert processing.list_processing_inputs() == []


def test_an_input_called_dot_dot_deletes_its_processing(client):
    processing = create(client)
    processing.add_processing_input("..", ProcessingInputType.TEXT, True, None, None)

    processing.delete_processing_input("..")

    assert client.list_processings() == []


def test_a_model_and_its_versions(sandbox, client):
    model = client.create_model("Apples")
    assert model.private
    assert client.get_model("Apples") == model == client.get_model_by_id(model.id)

    first = model.create_version(name="v1", framework="PYTORCH", type="OBJECT_DETECTION")
    second = model.create_version()
    assert (first.version, second.version) == (0, 1)
    assert first.origin_name == "Apples"
    assert second.framework is Framework.NOT_CONFIGURED
    assert model.get_version("v1") == model.get_version(0) == first
    assert model.list_versions() == [first, second]

    first.update(docker_image_name="registry.local/train", docker_tag="1.0.0", base_parameters={"epochs": 3})
    live = sandbox.platform.version("Apples", "v1")
    assert (live["docker_image"], live["docker_tag"]) == ("registry.local/train", "1.0.0")
    assert first.sync()["parameters"] == {"epochs": 3}
    assert first.get_tags() == []

    with pytest.raises(exceptions.ResourceConflictError):
        model.create_version(name="v1")
    model.delete()
    with pytest.raises(exceptions.ResourceNotFoundError):
        first.sync()


def test_lists_take_limit_offset_and_order(client):
    for name in ("b", "c", "a"):
        client.create_model(name)

    def names(**page) -> list[str]:
        return [model.name for model in client.list_models(**page)]

    assert names() == ["b", "c", "a"]
    assert names(limit=1, offset=1) == ["c"]
    assert names(order_by=["name"]) == ["a", "b", "c"]
    assert names(order_by=["-name"], limit=2) == ["c", "b"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, exceptions.BadRequestError),
        (402, exceptions.InsufficientResourcesError),
        (413, exceptions.RequestTooLargeError),
        (423, exceptions.ResourceLockedError),
        (429, exceptions.TooManyRequestError),
        (500, exceptions.InternalServerError),
        (502, exceptions.BadGatewayError),
        (503, exceptions.PicselliaError),
    ],
)
def test_a_status_becomes_the_exception_of_the_sdk(sandbox, client, status, error):
    sandbox.fail("GET", "/models$", status)
    with pytest.raises(error):
        client.list_models()


def test_tokens_and_organizations_are_checked(sandbox, session):
    with pytest.raises(exceptions.PicselliaError, match="Cannot connect to the platform"):
        connect(sandbox, session, token="nobody's")
    with pytest.raises(exceptions.ResourceNotFoundError, match="No organization is named elsewhere"):
        picsellia.Client(
            api_token=sandbox.token, organization_name="elsewhere", host=sandbox.url, session=session
        )
    reader = connect(sandbox, session, token=sandbox.read_only_token)
    assert reader.list_models() == []
    with pytest.raises(exceptions.ForbiddenError):
        reader.create_model("Apples")


def test_an_organization_without_a_connector_is_never_named_in_a_header(sandbox, session):
    sandbox.switch(null_connector=True)
    client = connect(sandbox, session)
    assert client.name == sandbox.organization
    assert "X-Picsellia-Organization" not in client.connection.headers


def test_one_unknown_enum_value_breaks_a_whole_list_of_the_sdk(sandbox, client):
    create(client)
    sandbox.switch(unknown_enums=True)
    with pytest.raises(ValueError, match="HOLOGRAM"):
        client.list_processings()
    assert client.get_processing("app").name == "app"
