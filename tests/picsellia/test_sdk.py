"""The requests are those of the official SDK, which is not imported."""

import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
import requests.adapters
from picsellia import Client
from picsellia.sdk.connection import Connection

from providers.bounded import BoundedAdapter
from providers.errors import PermanentError
from providers.picsellia.platform import Platform
from providers.sandbox import Sandbox
from tests.picsellia.conftest import Connect
from tests.picsellia.odd_host import ORGANIZATION, odd_host

Headers = Mapping[str, str]
TOKEN = "a-token"


@pytest.fixture
def bodies() -> dict[str, Any]:
    """The body of the last request of each method and path."""
    return {}


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch, bodies: dict[str, Any]) -> dict[str, Headers]:
    """The headers of the last request of each method and path."""
    seen: dict[str, Headers] = {}

    def note(adapter: type[Any]) -> None:
        send = adapter.send

        def noted(self: object, request: requests.PreparedRequest, *args: object, **rest: object) -> object:
            seen[f"{request.method} {request.path_url}"] = dict(request.headers)
            bodies[f"{request.method} {request.path_url}"] = request.body
            return send(self, request, *args, **rest)

        monkeypatch.setattr(adapter, "send", noted)

    note(requests.adapters.HTTPAdapter)  # the SDK's
    note(BoundedAdapter)  # ours
    return seen


def test_a_read_is_sent_as_the_sdk_sends_it(sandbox: Sandbox, sent: dict[str, Headers]) -> None:
    client = Client(api_token=sandbox.token, organization_name=sandbox.organization, host=sandbox.url)
    models = f"/api/organization/{client.id}/models"
    client.connection.get(models, params={"limit": 1})
    theirs = dict(sent)
    sent.clear()
    with Platform(sandbox.url, sandbox.token, sandbox.organization) as platform:
        platform.get(models, limit=1)
    assert set(sent) < set(theirs), "the same requests, but for what nobody needs"
    assert sent == {request: theirs[request] for request in sent}


@pytest.mark.parametrize("verb", ["post", "put", "patch", "delete"])
def test_a_write_is_sent_as_the_sdk_sends_it(
    connect: Connect, sent: dict[str, Headers], bodies: dict[str, Any], verb: str
) -> None:
    body = {"name": "Äpfel", "size": 1.5, "description": None}
    request = f"{verb.upper()} /api/models"
    with odd_host(200, b"{}") as (host, _), connect(host, TOKEN) as ours:
        sdk = Connection(host, TOKEN, session=requests.Session())
        sdk.organization_id = ORGANIZATION["id"]
        getattr(sdk, verb)("/api/models", **({} if verb == "delete" else {"data": orjson.dumps(body)}))
        theirs = sent.pop(request), bodies.pop(request)
        getattr(ours, verb)("/api/models", *([] if verb == "delete" else [body]))
    assert (sent[request], bodies[request]) == theirs


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_read_follows_a_redirect_without_the_token(
    connect: Connect, sent: dict[str, Headers], status: int
) -> None:
    with (
        odd_host(200, b'{"name": "Apples"}') as (elsewhere, _),
        odd_host(status, b"", {"Location": f"{elsewhere}/api/new", "Set-Cookie": "a=b"}) as (host, _),
    ):
        assert connect(host).get("/api/old") == {"name": "Apples"}
    assert "Authorization" in sent["GET /api/old"]
    assert "Authorization" not in sent["GET /api/new"]


def test_a_redirect_without_a_location_is_an_error(connect: Connect) -> None:
    with (
        odd_host(302, b"", {"Location": ""}) as (host, _),
        pytest.raises(PermanentError, match="not from a Picsellia platform"),
    ):
        connect(host).get("/api/old")


def test_no_request_waits_for_the_import_of_the_sdk(sandbox: Sandbox) -> None:
    code = f"""
import sys
from providers.picsellia.platform import Platform
with Platform({sandbox.url!r}, {sandbox.token!r}, {sandbox.organization!r}) as platform:
    platform.get(platform.organization_path("models"))
    platform.post(platform.organization_path("models"), {{"name": "Apples"}})
    assert "picsellia" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
