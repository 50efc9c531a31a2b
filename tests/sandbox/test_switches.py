"""Each switch shows another platform that the known facts allow."""

import json

import pytest
import requests

from providers.sandbox import Fault, SandboxError
from tests.sandbox.helpers import NEW_PROCESSING


def create(http, **fields) -> str:
    """The path of a new processing."""
    answer = http("POST", http.organization("processings"), json={**NEW_PROCESSING, **fields})
    assert answer.status_code == 201, answer.text
    return f"/api/processing/{answer.json()['id']}"


def test_a_certain_echo_leaves_out_what_nobody_has_seen(sandbox, http):
    sandbox.switch(echo="certain")
    processing = create(http)
    http("POST", f"{processing}/inputs", json={"name": "text", "input_type": "TEXT", "required": True})
    model = http("POST", http.organization("models"), json={"name": "Apples"}).json()
    version = http("POST", f"/api/model/{model['id']}/versions", json={"docker_image": "a"}).json()

    assert http("GET", processing).json().keys() == {
        "id",
        "name",
        "target",
        "type",
        "docker_image",
        "docker_tag",
    }
    assert http("GET", f"{processing}/inputs").json()["items"] == [{"name": "text"}]
    assert model.keys() == {"id", "name", "private"}
    assert "docker_image" not in version
    assert sandbox.platform.processing("app")["default_cpu"] == 4  # kept all the same


def test_pages_have_a_default_size_and_a_cap(sandbox, http):
    for name in "abcde":
        sandbox.platform.create_model(name)

    def size(query: str = "") -> int:
        return len(http("GET", http.organization(f"models{query}")).json()["items"])

    assert size() == 5
    sandbox.switch(page_default=3)
    assert (size(), size("?limit=5")) == (3, 5)
    sandbox.switch(page_cap=2)
    assert (size(), size("?limit=5"), size("?limit=1")) == (2, 2, 1)


def test_latency_makes_a_client_wait(sandbox, http):
    sandbox.switch(latency=0.05)
    assert http("GET", "/api/home/ping").elapsed.total_seconds() >= 0.05


def test_a_locked_path_is_read_but_not_written(sandbox, http):
    processing = create(http)
    sandbox.switch(locked="^/api/processing/")
    assert http("GET", processing).status_code == 200
    assert http("PATCH", processing, json={"docker_tag": "2"}).status_code == 423
    assert http("POST", http.organization("models"), json={"name": "a"}).status_code == 201


def test_a_legacy_processing_may_be_born_with_inputs(sandbox, http):
    sandbox.switch(legacy_inputs=True)
    create(http)
    create(http, name="modern", type=None)
    assert [given["name"] for given in sandbox.platform.inputs("app")] == ["input_dataset_version"]
    assert sandbox.platform.inputs("modern") == []


def test_a_newer_platform_knows_other_enum_values(sandbox, http):
    sandbox.switch(unknown_enums=True)
    (foreign,) = sandbox.platform.processings()
    assert (foreign["target"], foreign["type"]) == ("HOLOGRAM", "TIME_TRAVEL")
    create(http, type="TELEPORTATION")
    sandbox.switch(unknown_enums=False)
    assert [live["name"] for live in sandbox.platform.processings()] == ["app"]
    assert sandbox.platform.models() == []
    assert http("PATCH", "/api/model/version/x", json={}).status_code == 404


def test_a_loose_find_answers_the_oldest_name_that_contains_the_one_asked_for(sandbox, http):
    sandbox.platform.create_processing("my-APP-2")
    sandbox.platform.create_processing("app")
    find = http.organization("processings/find?name=app")
    assert http("GET", find).json()["name"] == "app"
    sandbox.switch(loose_find=True)
    assert http("GET", find).json()["name"] == "my-APP-2"


def test_a_strict_platform_refuses_unknown_keys(sandbox, http):
    body = {"name": "Apples", "colour": "red"}
    sandbox.switch(strict_bodies=True)
    answer = http("POST", http.organization("models"), json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "colour"]
    sandbox.switch(strict_bodies=False)
    assert http("POST", http.organization("models"), json=body).status_code == 201


def test_a_platform_may_accept_a_change_and_not_take_it(sandbox, http):
    processing = create(http)
    sandbox.switch(ignored_fields=["docker_flags"])
    answer = http("PATCH", processing, json={"docker_flags": [], "docker_tag": "2"}).json()
    assert (answer["docker_flags"], answer["docker_tag"]) == (NEW_PROCESSING["docker_flags"], "2")


@pytest.mark.parametrize(
    ("numbers", "cpu", "parameters"),
    [
        ("text", "4", {"epochs": "10", "rate": "0.5", "fast": True, "sizes": ["1", "2"]}),
        ("float", 4.0, {"epochs": 10.0, "rate": 0.5, "fast": True, "sizes": [1.0, 2.0]}),
    ],
)
def test_numbers_may_come_back_in_another_dress(sandbox, http, numbers, cpu, parameters):
    processing = create(http)
    sandbox.switch(numbers=numbers)
    live = http("GET", processing).json()
    assert repr((live["default_cpu"], live["default_parameters"])) == repr((cpu, parameters))


def test_lists_may_come_back_in_another_order(sandbox, http):
    processing = create(http)
    sandbox.platform.create_processing("second")
    sandbox.switch(reorder=True)
    assert http("GET", processing).json()["docker_flags"] == NEW_PROCESSING["docker_flags"][::-1]
    names = [live["name"] for live in http("GET", http.organization("processings")).json()["items"]]
    assert names == ["second", "app"]


def test_answers_may_hold_fields_nobody_has_heard_of(sandbox, http):
    processing = create(http)
    sandbox.switch(extra_fields=True)
    assert "visibility" in http("GET", processing).json()


def test_switches_stay_until_turned_and_reset_turns_all(sandbox):
    sandbox.switch(echo="certain")
    sandbox.switch(page_cap=2)
    switches = sandbox.call("GET", "/_sandbox/switches")
    assert (switches["echo"], switches["page_cap"]) == ("certain", 2)
    sandbox.reset()
    assert sandbox.call("GET", "/_sandbox/switches")["echo"] == "all"


@pytest.mark.parametrize(
    "switch",
    [
        *({"echo": "some"}, {"lights": True}, {"locked": "("}, {"page_cap": 0}, {"page_default": -1}),
        *({"latency": value} for value in (-1, float("inf"), float("nan"), 1e300)),
        *({"faults": [{"path": "x", "action": action}]} for action in ("explode", 99999, 99, -1)),
        *({"faults": [{"path": "x", "action": 500, key: 0}]} for key in ("nth", "times", "every")),
        {"faults": [{"path": "(", "action": 500}]},
        {"faults": [{"path": "x", "action": "hang", "seconds": float("nan")}]},
        {"faults": [{"path": "x", "action": 500, "headers": {"a b": "c"}}]},
        {"faults": [{"path": "x", "action": 500, "headers": {"a": "b\nc"}}]},
    ],
    ids=str,
)
def test_a_switch_that_does_not_exist_is_refused(sandbox, http, cli, switch):
    body = json.dumps(switch)  # NaN and Infinity as the Python interface writes them, too
    headers = {
        "Authorization": "Bearer " + sandbox._settings.control_token,
        "Content-Type": "application/json",
    }
    answer = requests.patch(f"{sandbox.url}/_sandbox/switches", data=body, headers=headers, timeout=60)
    assert answer.status_code == 422, answer.text
    assert http("GET", "/api/home/ping").status_code == 200
    for name, value in switch.items():
        ended = cli("sandbox", "--port", "0", "--switch", f"{name}={json.dumps(value)}")
        assert ended.code == 2, ended.err
        assert "--switch" in ended.err and "a bug in reconciler" not in ended.err, ended.err


def test_a_rule_that_does_not_exist_is_refused(sandbox):
    with pytest.raises(SandboxError, match="often"):
        sandbox.fail("GET", "/", 500, often=True)


def test_rules_can_be_given_as_a_switch(sandbox, http):
    sandbox.switch(faults=[Fault("ping", 503, times=None)])
    assert [http("GET", "/api/home/ping").status_code for _ in range(2)] == [503, 503]
    sandbox.switch(faults=[])
    assert http("GET", "/api/home/ping").status_code == 200


def test_somebody_else_is_neither_logged_nor_held_up(sandbox):
    sandbox.switch(locked=".", echo="certain", faults=[Fault(".", "drop-before", times=None)])
    sandbox.platform.create_processing("app")
    live = sandbox.platform.edit_processing("app", description="changed")
    assert (live["description"], live["updated_by"]) == ("changed", "another-user")
    assert sandbox.requests() == []


def test_somebody_else_looks_and_edits_by_name(sandbox):
    platform = sandbox.platform
    platform.create_model("Äpfel & Birnen")
    platform.create_version("Äpfel & Birnen", "v 1", docker_tag="1")
    assert platform.edit_version("Äpfel & Birnen", "v 1", docker_tag="2")["docker_tag"] == "2"
    platform.delete_version("Äpfel & Birnen", "v 1")
    assert platform.versions("Äpfel & Birnen") == []
    assert platform.edit_model("Äpfel & Birnen", name="Obst")["name"] == "Obst"
    assert platform.model("Äpfel & Birnen") is None
    platform.delete_model("Obst")
    platform.create_processing("app")
    platform.delete_processing("app")
    assert platform.processings() == platform.models() == []
    with pytest.raises(SandboxError, match="the platform has no object named app"):
        platform.edit_processing("app", docker_tag="2")
