"""Failures come when they were ordered, and a lost answer is not a lost write."""

import pytest
import requests

from providers.sandbox import Sandbox
from tests.waits import until


def test_the_nth_matching_request_fails_and_as_often_as_told(sandbox, http):
    sandbox.fail("GET", "/ping$", 503, nth=2, times=2, headers={"Retry-After": "7"})
    answers = [http("GET", "/api/home/ping") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 503, 503, 200]
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[1].json().keys() == {"message", "detail"}


def test_a_rule_counts_only_what_it_matches(sandbox, http):
    sandbox.fail("POST", "/models$", 500)
    assert http("GET", http.organization("models")).status_code == 200
    assert http("POST", http.organization("models"), json={"name": "a"}).status_code == 500
    assert sandbox.platform.models() == []


def test_a_second_rule_leaves_the_count_of_the_first(sandbox, http):
    sandbox.fail("GET", "/ping$", 500, nth=2)
    assert http("GET", "/api/home/ping").status_code == 200
    sandbox.fail("GET", "/models$", 502)
    assert http("GET", "/api/home/ping").status_code == 500


def test_drop_before_does_nothing(sandbox, http):
    models = http.organization("models")
    sandbox.fail("POST", "/models$", "drop-before")
    with pytest.raises(requests.ConnectionError):
        http("POST", models, json={"name": "Apples"})
    assert sandbox.platform.models() == []
    assert http("POST", models, json={"name": "Apples"}).status_code == 201


def test_drop_after_did_the_work(sandbox, http):
    models = http.organization("models")
    sandbox.fail("POST", "/models$", "drop-after")
    with pytest.raises(requests.ConnectionError):
        http("POST", models, json={"name": "Apples"})
    assert sandbox.platform.model("Apples") is not None
    assert http("POST", models, json={"name": "Apples"}).status_code == 409


def test_a_gateway_may_give_up_on_work_that_is_done(sandbox, http):
    sandbox.fail("POST", "/models$", 504, after=True)
    assert http("POST", http.organization("models"), json={"name": "Apples"}).status_code == 504
    assert sandbox.platform.model("Apples") is not None


@pytest.mark.parametrize("after", [False, True])
def test_a_client_that_leaves_a_hanging_request(sandbox, http, after):
    models = http.organization("models")
    sandbox.fail("POST", "/models$", "hang", after=after)
    with pytest.raises(requests.ReadTimeout):
        http("POST", models, json={"name": "Apples"}, timeout=0.2)
    if after:
        until(lambda: sandbox.platform.model("Apples") is not None)
    else:
        assert sandbox.platform.model("Apples") is None


@pytest.mark.parametrize("after", [False, True])
def test_a_request_that_hangs_is_answered_in_the_end(sandbox, http, after):
    sandbox.fail("POST", "/models$", "hang", seconds=0.05, after=after)
    answer = http("POST", http.organization("models"), json={"name": "Apples"})
    assert answer.status_code == 201
    assert answer.elapsed.total_seconds() >= 0.05


def test_a_hanging_request_does_not_hold_up_the_end():
    with Sandbox() as sandbox, requests.Session() as session:
        sandbox.fail("GET", "/ping$", "hang")
        with pytest.raises(requests.ReadTimeout):
            session.get(f"{sandbox.url}/api/home/ping", timeout=0.1)


def test_the_registry_fails_too(sandbox, docker):
    sandbox.fail("GET", "^/v2", 429, headers={"Retry-After": "1"})
    sandbox.fail("POST", "/blobs/uploads", "drop-after", nth=1)
    refused = docker("GET", "/v2/")
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert refused.json().keys() == {"errors"}
    assert docker("GET", "/v2/").status_code == 200
    with pytest.raises(requests.ConnectionError):
        docker("POST", "/v2/app/blobs/uploads/")


def test_the_log_tells_what_was_asked_and_never_the_token(sandbox, http):
    models = http.organization("models")
    http("POST", models, json={"name": "Apples"})
    http("GET", "/v2/base/python/tags/list?n=1")
    sandbox.fail("DELETE", "/model/", "drop-before")
    with pytest.raises(requests.ConnectionError):
        http("DELETE", "/api/model/x")

    ping, create, tags, delete = sandbox.requests()
    assert (ping["method"], ping["path"], ping["status"]) == ("GET", "/api/home/ping", 200)
    assert create["path"] == models
    assert (create["status"], create["size"], create["body"]) == (201, 18, {"name": "Apples"})
    assert (tags["service"], tags["query"]) == ("registry", "n=1")
    assert (delete["status"], delete["fault"]) == (None, "drop-before")
    assert sandbox.token not in str(sandbox.requests())

    assert sandbox.writes() == [create, delete]
    assert sandbox.requests(since=create["number"], service="registry") == [tags]
    sandbox.clear_requests()
    assert sandbox.requests() == []
