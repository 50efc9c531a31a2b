"""Deploys with a real Docker Engine and registry: one build per source."""

import json
import os
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.commands import folders
from tests.conftest import Cli
from tests.services import BUSYBOX, Registry, engine_client

pytestmark = pytest.mark.docker


@pytest.fixture
def pipeline(
    cli: Cli,
    sandbox: Sandbox,
    docker_engine: str,
    registry: Registry,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Path:
    monkeypatch.setenv("DOCKER_HOST", docker_engine)
    return folders.processing(cli.folder / "app", f"{registry.address}/{tmp_path.name}/app", BUSYBOX)


def image_step(cli: Cli, *options: str) -> dict[str, object]:
    steps = json.loads(cli("plan", "app", "--json", *options).out)["steps"]
    found: dict[str, object] = next(step for step in steps if step["kind"] == "image")
    return found


def test_an_image_is_built_once_and_registered_with_both_tags(
    pipeline: Path, cli: Cli, sandbox: Sandbox, docker_engine: str, registry: Registry, tmp_path: Path
) -> None:
    assert image_step(cli)["reason"] == "never-published"

    applied = cli("apply", "app")

    assert applied.code == 0, applied.err
    repository = f"{registry.address}/{tmp_path.name}/app"
    with RegistryClient(repository) as client:
        assert client.digest("1.0.0") is not None
        assert client.digest("1.0.0") == client.digest("latest")
    processing = sandbox.platform.processing("app")
    assert processing is not None
    assert (processing["docker_image"], processing["docker_tag"]) == (repository, "latest")
    client = engine_client(docker_engine)
    try:
        printed = client.containers.run(f"{repository}:1.0.0", remove=True, network_mode="none")
    finally:
        client.close()
    assert printed == b'print("hello")\n'

    again = cli("apply", "app")
    assert again.code == 0
    assert "Nothing to do" in again.out
    assert image_step(cli)["reason"] == "published"


def test_a_new_time_is_not_new_source_and_a_new_byte_is(pipeline: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", "app").code == 0
    os.utime(pipeline / "pipeline.py", (0, 0))
    assert image_step(cli)["action"] == "noop"

    (pipeline / "pipeline.py").write_text('print("hellO")\n')
    sandbox.clear_requests()
    planned = cli("plan", "app", "--exit-code")
    assert planned.code == 12
    assert "source-changed: pipeline.py changed" in planned.out
    assert "reconciler apply app --organization sandbox --env CUSTOM --bump patch" in planned.err

    refused = cli("apply", "app")
    assert refused.code == 12
    assert sandbox.writes() == []

    bumped = cli("apply", "app", "--bump", "patch")
    assert bumped.code == 0, bumped.err
    assert 'version = "1.0.1"' in (pipeline / "config.toml").read_text()
    assert (pipeline / "config.toml").read_text().startswith("# stays unchanged\n")
    assert cli("plan", "app", "--exit-code").code == 0


def test_a_build_that_fails_changes_nothing_anywhere(pipeline: Path, cli: Cli, sandbox: Sandbox) -> None:
    with (pipeline / "Dockerfile").open("a") as dockerfile:
        dockerfile.write('RUN ["/bin/busybox", "false"]\n')
    before = (pipeline / "config.toml").read_bytes()

    failed = cli("apply", "app", "--bump", "patch")

    assert failed.code == 1
    assert "failed: creating image/" in failed.err
    assert "blocked: processing/app" in failed.err
    assert "Traceback" not in failed.err
    assert sandbox.writes() == []
    assert (pipeline / "config.toml").read_bytes() == before
