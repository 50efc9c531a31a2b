"""The platform's answers, one request at a time."""

import http.client

import pytest

from tests.sandbox.helpers import NEW_PROCESSING


@pytest.fixture
def processing(http) -> str:
    """The path of a new processing."""
    answer = http("POST", http.organization("processings"), json=NEW_PROCESSING)
    assert answer.status_code == 201
    return f"/api/processing/{answer.json()['id']}"


def test_what_was_given_is_what_is_answered(http, processing):
    live = http("GET", processing).json()
    assert NEW_PROCESSING.items() <= live.items()
    assert live["created_at"] == live["updated_at"]


def test_a_change_takes_the_keys_it_names_and_null_clears(http, processing):
    answer = http(
        "PATCH", processing, json={"description": None, "default_gpu": 1, "docker_flags": ["--gpus=all"]}
    )
    assert answer.status_code == 200
    live = http("GET", processing).json()
    assert (live["description"], live["default_gpu"], live["docker_flags"]) == (None, 1, ["--gpus=all"])
    assert live["default_cpu"] == NEW_PROCESSING["default_cpu"]


def test_name_type_and_target_cannot_be_changed(http, processing):
    answer = http("PATCH", processing, json={"name": "b", "type": "PRE_ANNOTATION", "target": "DATALAKE"})
    assert answer.status_code == 200
    assert NEW_PROCESSING.items() <= http("GET", processing).json().items()


def test_the_type_of_an_input_cannot_be_changed(http, processing):
    new = {"name": "text", "input_type": "TEXT", "required": True}
    assert http("POST", f"{processing}/inputs", json=new).status_code == 201
    assert http("POST", f"{processing}/inputs", json=new).status_code == 409
    answer = http("PUT", f"{processing}/inputs/text", json={"required": False, "input_type": "NUMBER"})
    assert answer.status_code == 200
    (live,) = http("GET", f"{processing}/inputs").json()["items"]
    assert (live["input_type"], live["required"]) == ("TEXT", False)


def test_deleting_answers_nothing_and_takes_the_inputs_along(http, processing):
    http("POST", f"{processing}/inputs", json={"name": "text", "input_type": "TEXT", "required": True})
    answer = http("DELETE", processing)
    assert (answer.status_code, answer.content) == (204, b"")
    assert http("GET", processing).status_code == 404
    assert http("GET", f"{processing}/inputs").status_code == 404


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": None}, "name"),
        ({"name": ""}, "name"),
        ({"target": "MOON"}, "target"),
        ({"type": "auto_tagging"}, "type"),
        ({"default_cpu": "4"}, "default_cpu"),
        ({"default_cpu": 4.5}, "default_cpu"),
        ({"default_gpu": True}, "default_gpu"),
        ({"default_parameters": []}, "default_parameters"),
        ({"docker_flags": "--gpus"}, "docker_flags"),
    ],
)
def test_a_bad_body_is_answered_with_the_place_of_every_problem(http, change, place):
    answer = http("POST", http.organization("processings"), json={**NEW_PROCESSING, **change})
    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert problem["loc"] == ["body", place]


def test_everything_that_is_missing_is_listed(http):
    answer = http("POST", http.organization("processings"), json={"name": "app"})
    missing = {problem["loc"][1] for problem in answer.json()["detail"]}
    assert missing == {
        "target",
        "default_cpu",
        "default_gpu",
        "default_parameters",
        "docker_image",
        "docker_tag",
    }


NOT_JSON = {
    "empty": b"",
    "open": b"{",
    "a constant": b'{"name": NaN}',
    "half a character": rb'{"name": "\ud800"}',
    "half a character below": rb'{"name": "x", "docker_flags": [{"\udfff": 1}]}',
    "bytes": b'{"name": "\xff"}',
    "too deep": b"[" * 100_000,
    "a long number": b'{"name": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("content", NOT_JSON.values(), ids=NOT_JSON)
@pytest.mark.parametrize(("method", "path"), [("POST", "models"), ("PATCH", "processing")])
def test_what_is_not_json_is_a_bad_request(http, processing, method, path, content):
    path = processing if path == "processing" else http.organization(path)
    answer = http(method, path, data=content)
    assert answer.status_code == 400
    assert answer.json().keys() == {"message", "detail"}


def test_unknown_things_are_not_found(http):
    for path in (
        "/api/processing/none",
        "/api/model/none/versions",
        "/api/organization/none/models",
        "/api/moon",
    ):
        answer = http("GET", path)
        assert answer.status_code == 404, path
        assert answer.json().keys() == {"message", "detail"}
    assert http("PUT", "/api/home/ping").status_code == 405


def test_find_wants_to_know_what(http):
    assert http("GET", http.organization("models/find")).status_code == 422
    assert http("GET", http.organization("models/find"), params={"id": "none"}).status_code == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "offset=-1", 'order_by=a"b'])
def test_a_bad_page_is_refused(http, query):
    assert http("GET", http.organization(f"models?{query}")).status_code == 422


def test_a_page_says_how_many_there_are(http):
    for name in "abc":
        http("POST", http.organization("models"), json={"name": name})
    page = http("GET", http.organization("models?limit=2&offset=2")).json()
    assert [model["name"] for model in page["items"]] == ["c"]
    assert page["count"] == 3


def test_a_version_without_a_name_gets_one_and_numbers_go_on(http):
    model = http("POST", http.organization("models"), json={"name": "Apples"}).json()
    versions = f"/api/model/{model['id']}/versions"
    first = http("POST", versions, json={}).json()
    second = http("POST", versions, json={"framework": None, "type": "MASK"}).json()
    assert (first["version"], second["version"]) == (0, 1)
    assert first["name"] != second["name"]
    assert first["origin"] == {"id": model["id"], "name": "Apples", "private": True}
    assert second["framework"] == "NOT_CONFIGURED"
    found = http("GET", f"{versions}/find?version=1").json()
    assert found["id"] == second["id"]
    assert http("GET", f"{versions}/find?version=x").status_code == 404


def test_a_model_can_be_renamed_but_not_to_a_name_that_is_taken(http):
    first = http("POST", http.organization("models"), json={"name": "Apples"}).json()
    http("POST", http.organization("models"), json={"name": "Pears"})
    assert http("PATCH", f"/api/model/{first['id']}", json={"name": "Pears"}).status_code == 409
    assert http("PATCH", f"/api/model/{first['id']}", json={"name": "Plums"}).json()["name"] == "Plums"


# Names in the path


@pytest.mark.parametrize("name", ["a%2Fb", "a b", "naïve", "50%", "a?b", "a#b", "a/b", "日本"])
def test_a_quoted_name_is_a_name(sandbox, http, processing, name):
    sandbox.platform.add_input("app", name)
    sandbox.platform.edit_input("app", name, required=False)
    (live,) = http("GET", f"{processing}/inputs").json()["items"]
    assert (live["name"], live["required"]) == (name, False)
    sandbox.platform.delete_input("app", name)
    assert sandbox.platform.inputs("app") == []


def test_dots_that_arrive_encoded_are_a_name(sandbox, processing):
    sandbox.platform.add_input("app", "..")
    assert raw_delete(sandbox, f"{processing}/inputs/%2E%2E") == 204
    assert sandbox.platform.inputs("app") == []
    assert sandbox.platform.processing("app") is not None


def test_dots_as_they_are_climb(sandbox, processing):
    assert raw_delete(sandbox, f"{processing}/inputs/..") == 204
    assert sandbox.platform.processing("app") is None


def test_an_empty_name_deletes_nothing(sandbox, http, processing):
    assert http("DELETE", f"{processing}/inputs/").status_code == 405
    assert sandbox.platform.processing("app") is not None


def raw_delete(sandbox, path: str) -> int:
    """A request whose path no library touches."""
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port)
    try:
        connection.request("DELETE", path, headers={"Authorization": f"Bearer {sandbox.token}"})
        return connection.getresponse().status
    finally:
        connection.close()
