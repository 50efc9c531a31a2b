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
def test_what_the_official_cli_deployed_is_taken_over_without_a_write_once_it_is_accepted(
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

    planned = cli("plan", "app", "--exit-code")
    for ended in (planned, cli("apply", "app", "--yes"), cli("deploy", "app", "--yes")):
        assert ended.code == 12
        assert "1.0.1 was published by another tool" in ended.err
        assert "--bump patch" in ended.err
        assert "--accept-foreign" in ended.err
    assert cli("drift", "app").code == 10, "not in sync, and changed by nobody"

    document = json.loads(cli("plan", "app", "--accept-foreign", "--json").out)

    assert {step["action"] for step in document["steps"]} <= {"adopt", "noop"}
    assert not any(change["write"] for step in document["steps"] for change in step["changes"])
    image = next(step for step in document["steps"] if step["kind"] == "image")
    assert image["reason"].startswith("foreign: published by another tool, and accepted")
    assert cli("apply", "app", "--accept-foreign").code == 0
    assert sandbox.writes() == []
    assert _actions(cli) == {"noop"}
    assert cli("drift", "app").code == 0


def test_source_that_changes_after_a_take_over_asks_for_a_version(
    cli: Cli, sandbox: Sandbox, registry: Registry, official_deploy: Deploy, tmp_path: Path
) -> None:
    folder = folders.processing(cli.folder / "app", f"{registry.address}/{tmp_path.name}/app", BUSYBOX)
    official_deploy("app")
    assert cli("apply", "app", "--accept-foreign").code == 0
    (folder / "pipeline.py").write_text("print(2)\n")

    for more in ([], ["--accept-foreign"]):  # which may stand in a workflow for good
        refused = cli("apply", "app", *more)
        assert refused.code == 12
        assert "source-changed: pipeline.py changed" in refused.out
    assert cli("apply", "app", "--bump", "patch").code == 0
    assert _actions(cli) == {"noop"}


@pytest.mark.parametrize("verb", ["apply", "deploy"])
def test_an_edit_after_an_official_deploy_is_never_called_deployed(
    verb: str, cli: Cli, sandbox: Sandbox, registry: Registry, official_deploy: Deploy, tmp_path: Path
) -> None:
    """The version that we published is followed by one of the other tool, and then somebody edits a file."""
    folder = folders.processing(cli.folder / "app", f"{registry.address}/{tmp_path.name}/app", BUSYBOX)
    assert cli("apply", "app").code == 0
    official_deploy("app")
    (folder / "pipeline.py").write_text("print(2)\n")
    sandbox.clear_requests()

    ended = cli(verb, "app", "--yes")

    assert ended.code == 12
    assert "Deployed" not in ended.out
    assert "1.0.1 was published by another tool" in ended.err
    assert sandbox.writes() == []
    assert cli(verb, "app", "--yes", "--bump", "patch").code == 0
    assert "1.0.2" in (folder / "config.toml").read_text()
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
    document = json.loads(cli("plan", "app", "--accept-foreign", "--json").out)
    assert {step["action"] for step in document["steps"]} <= {"adopt", "noop"}
    assert not any(change["write"] for step in document["steps"] for change in step["changes"])
    sandbox.clear_requests()
    assert cli("apply", "app").code == 12
    assert cli("apply", "app", "--accept-foreign").code == 0
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
