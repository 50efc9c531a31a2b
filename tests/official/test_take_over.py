"""Beside the official CLI, which runs unchanged against the sandbox: each takes over what the other did."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands import folders
from tests.conftest import Cli
from tests.official.conftest import Deploy
from tests.services import BUSYBOX, Registry

pytestmark = [pytest.mark.docker, pytest.mark.official]


@pytest.mark.parametrize("kind", [folders.processing, folders.training])
def test_what_the_official_cli_deployed_is_taken_over_without_a_write(
    kind: Callable[..., Path],
    cli: Cli,
    sandbox: Sandbox,
    registry: Registry,
    official_deploy: Deploy,
    tmp_path: Path,
) -> None:
    kind(cli.folder / "app", f"{registry.address}/{tmp_path.name}/app", BUSYBOX)
    official_deploy("app")
    sandbox.clear_requests()

    document = json.loads(cli("plan", "app", "--json").out)

    assert {step["action"] for step in document["steps"]} <= {"adopt", "noop"}
    assert not any(change["write"] for step in document["steps"] for change in step["changes"])
    assert next(s for s in document["steps"] if s["kind"] == "image")["reason"] == "foreign"
    assert cli("apply", "app").code == 0
    assert sandbox.writes() == []
    assert _actions(cli) == {"noop"}


def test_source_that_changes_after_a_take_over_asks_for_a_version(
    cli: Cli, sandbox: Sandbox, registry: Registry, official_deploy: Deploy, tmp_path: Path
) -> None:
    folder = folders.processing(cli.folder / "app", f"{registry.address}/{tmp_path.name}/app", BUSYBOX)
    official_deploy("app")
    assert cli("apply", "app").code == 0
    (folder / "pipeline.py").write_text("print(2)\n")

    refused = cli("apply", "app")

    assert refused.code == 12
    assert "source-changed: pipeline.py changed" in refused.out
    assert cli("apply", "app", "--bump", "patch").code == 0
    assert _actions(cli) == {"noop"}


@pytest.mark.parametrize("kind", [folders.processing, folders.training])
def test_what_we_deployed_is_taken_over_by_the_official_cli_and_back(
    kind: Callable[..., Path],
    cli: Cli,
    sandbox: Sandbox,
    registry: Registry,
    official_deploy: Deploy,
    tmp_path: Path,
) -> None:
    kind(cli.folder / "app", f"{registry.address}/{tmp_path.name}/app", BUSYBOX)
    applied = cli("apply", "app", "--bump", "patch")
    assert applied.code == 0, applied.err
    before = _objects(sandbox)

    official_deploy("app")

    assert _objects(sandbox) == before, "the official deploy finds what it would have written itself"
    document = json.loads(cli("plan", "app", "--json").out)
    assert {step["action"] for step in document["steps"]} <= {"adopt", "noop"}
    assert not any(change["write"] for step in document["steps"] for change in step["changes"])
    sandbox.clear_requests()
    assert cli("apply", "app").code == 0
    assert sandbox.writes() == []


def _actions(cli: Cli) -> set[str]:
    return {step["action"] for step in json.loads(cli("plan", "app", "--json").out)["steps"]}


def _objects(sandbox: Sandbox) -> list[dict[str, object]]:
    """Everything on the platform, without who changed it when."""
    platform = sandbox.platform
    objects = [*platform.processings(), *platform.models()]
    for processing in platform.processings():
        objects += platform.inputs(processing["name"])
    for model in platform.models():
        objects += platform.versions(model["name"])
    return [
        {key: value for key, value in found.items() if not key.startswith(("updated", "created"))}
        for found in objects
    ]
