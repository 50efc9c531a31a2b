"""A real Docker Engine pulls from the sandbox's registry and pushes to it, with a password."""

import docker
import pytest

from providers.sandbox import Sandbox
from tests.services import engine_client


@pytest.mark.docker
def test_an_engine_pulls_and_pushes(sandbox: Sandbox, docker_engine: str) -> None:
    engine = engine_client(docker_engine)
    sandbox.switch(registry_auth=True)
    me = {"username": "me", "password": sandbox.token}
    base, app = f"{sandbox.registry}/base/python:3.11", f"{sandbox.registry}/team/app"
    try:
        engine.images.pull(base, auth_config=me).tag(app, "1.0.0")
        pushed = list(engine.images.push(app, "1.0.0", stream=True, decode=True, auth_config=me))
        assert not [line for line in pushed if "error" in line]
        answer = sandbox.call("GET", "/v2/team/app/manifests/1.0.0")
        assert len(answer["layers"]) == 3
        assert any("mount=" in write["query"] for write in sandbox.writes(service="registry"))
    finally:
        for name in (base, f"{app}:1.0.0"):
            try:
                engine.images.remove(name)
            except docker.errors.ImageNotFound:
                pass
        engine.close()
