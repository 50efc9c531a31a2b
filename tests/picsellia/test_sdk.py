"""What we take over from the official SDK by doing it ourselves, and what we leave to it."""

import subprocess
import sys
from collections.abc import Mapping

import pytest
import requests.adapters
from picsellia import Client

from providers.picsellia import Platform
from providers.sandbox import Sandbox

Headers = Mapping[str, str]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> dict[str, Headers]:
    """The headers of the last request of each method and path, whoever sends it."""
    seen: dict[str, Headers] = {}
    send = requests.adapters.HTTPAdapter.send

    def noted(self: object, request: requests.PreparedRequest, *args: object, **rest: object) -> object:
        seen[f"{request.method} {request.path_url}"] = dict(request.headers)
        return send(self, request, *args, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", noted)
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


def test_a_command_that_only_reads_does_not_wait_for_the_sdk(sandbox: Sandbox) -> None:
    code = f"""
import sys
from providers.picsellia import Platform
with Platform({sandbox.url!r}, {sandbox.token!r}, {sandbox.organization!r}) as platform:
    platform.get(platform.organization_path("models"))
    assert "picsellia" not in sys.modules
    platform.post(platform.organization_path("models"), {{"name": "Apples"}})
    assert "picsellia.sdk.connection" in sys.modules, "this test looks at something else"
"""
    subprocess.run([sys.executable, "-c", code], check=True)
