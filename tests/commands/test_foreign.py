"""Versions that another tool published: questions, refusals, and the scope of an acceptance."""

import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from providers.docker.labels import SOURCE_KEY
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Blob, sha256
from providers.sandbox import Sandbox
from reconciler.cli import stores
from reconciler.core.events import ignore
from reconciler.engine.requests import PlanRequest, ReadOptions
from reconciler.engine.run_identity import this_run
from reconciler.engine.validate import validate
from state.state_writer import StateWriter
from tests.commands.terminal import terminal
from tests.conftest import Cli, copy_example, stack_of

APP, OTHER = "dataset_cleanup", "single_training"
QUESTION = "Accept 1.0.0 as made from these files? [y/N]: "


def publish(sandbox: Sandbox, name: str, *tags: str) -> None:
    """Publish an image without the source key label."""
    with RegistryClient(f"{sandbox.registry}/base/python") as base:
        content = base.manifest("3.11")
    assert content is not None
    document = json.loads(content.content)
    with RegistryClient(f"{sandbox.registry}/examples/{name}") as client:
        for blob in (document["config"], *document["layers"]):
            assert client.mount(blob["digest"], base.repository)
        for tag in tags:
            client.put_manifest(tag, content.media_type, content.content)


def put_on_top(sandbox: Sandbox, name: str, *tags: str) -> None:
    """Give the tags to an image made from 1.0.0, with all its labels, as `docker commit` makes one."""
    with RegistryClient(f"{sandbox.registry}/examples/{name}") as client:
        content, image = client.manifest("1.0.0"), client.image("1.0.0")
        assert content is not None and image is not None and SOURCE_KEY in image.labels
        config = {**image.config, "history": [*image.config["history"], {"comment": "a hotfix"}]}
        written = json.dumps(config).encode()
        document = json.loads(content.content)
        blob = Blob(document["config"]["mediaType"], sha256(written), len(written))
        client.upload(blob, lambda start: [written[start:]])
        document["config"] = blob.descriptor()
        for tag in tags:
            client.put_manifest(tag, content.media_type, json.dumps(document).encode())


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    publish(sandbox, APP, "1.0.0", "latest")
    sandbox.clear_requests()
    return folder


def image_action(cli: Cli, *more: str) -> str:
    document = json.loads(cli("plan", APP, "--json", *more).out)
    return next(str(step["action"]) for step in document["steps"] if step["kind"] == "image")


@pytest.mark.parametrize(("answer", "code"), [("n", 12), ("", 12), ("y", 0)])
def test_apply_asks_at_a_terminal(answer: str, code: int, folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    with terminal("apply", APP, cwd=cli.folder, environment=os.environ) as screen:
        screen.expect(QUESTION)
        screen.type(answer)
        if code == 0:
            screen.expect("Apply this?")
            screen.type("y")
        else:
            screen.expect("--bump patch")
            screen.expect("--accept-foreign")
        assert screen.end() == code
    if code:
        assert sandbox.writes() == []
    else:
        assert sandbox.writes(service="registry") == []
        assert cli("plan", APP, "--exit-code").code == 0


def test_yes_does_not_accept_a_foreign_version(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    with terminal("apply", APP, "--yes", cwd=cli.folder, environment=os.environ) as screen:
        assert screen.end() == 12
    assert QUESTION not in screen.shown
    assert sandbox.writes() == []


@pytest.mark.parametrize(("answer", "version"), [("keep", "1.0.0"), ("patch", "1.0.1")])
def test_deploy_offers_a_new_version_or_the_foreign_one(
    answer: str, version: str, folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    with terminal("deploy", APP, cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("1.0.0 was published by another tool")
        screen.expect("? Version bump")
        screen.expect("accept 1.0.0 as made from these files")
        screen.answer(answer)
        screen.expect("Deploy this?")
        screen.type("")
        assert screen.end() == 0
    assert cli("plan", APP, "--exit-code").code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as client:
        assert client.digest("latest") == client.digest(version)


def test_a_whole_repository_is_accepted_at_once_and_each_edit_asks_afterwards(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(OTHER, cli.folder, sandbox.registry)
    publish(sandbox, OTHER, "1.0.0", "latest")
    sandbox.clear_requests()
    refused = cli("apply", "--all", "--yes")
    assert refused.code == 12
    assert sandbox.writes() == []

    assert cli("apply", "--all", "--yes", "--accept-foreign").code == 0
    assert sandbox.writes(service="registry") == []
    assert cli("plan", "--all", "--exit-code").code == 0
    assert cli("drift", "--all").code == 0

    (folder / "pipeline.py").write_text("print('edited')\n")
    assert cli("plan", "--all", "--exit-code", "--accept-foreign").code == 12
    assert "source-changed: pipeline.py changed" in cli("plan", APP).out


def test_only_the_inspected_image_is_accepted(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", APP, "--accept-foreign").code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as client:
        content = client.manifest("1.0.0")
        assert content is not None
        client.put_manifest("1.0.0", content.media_type, content.content + b"\n")
    assert image_action(cli) != "noop"
    assert cli("apply", APP).code == 12


def test_a_saved_plan_contains_the_acceptance(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    saved = cli.folder.parent / "plan.json"
    assert cli("plan", APP, "--accept-foreign", "--out", str(saved)).code == 0
    document = json.loads(saved.read_text())
    assert document["asked"]["accept_foreign"] is True
    assert cli("apply", "--plan", str(saved)).code == 0
    assert image_action(cli) == "noop"


def test_a_plan_of_an_earlier_version_has_neither_option() -> None:
    asked = PlanRequest().to_document()
    earlier = {name: value for name, value in asked.items() if name not in ("force_bump", "accept_foreign")}
    assert PlanRequest.from_document(earlier) == PlanRequest()
    with pytest.raises(ValueError, match="unexpected plan options"):
        PlanRequest.from_document({**asked, "more": True})


def test_rollback_restores_an_accepted_version(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", APP, "--accept-foreign").code == 0
    (folder / "pipeline.py").write_text("print('edited')\n")
    assert cli("apply", APP, "--bump", "patch").code == 0
    sandbox.clear_requests()

    ended = cli("rollback", APP, "--to", "1.0.0", "--yes")

    assert ended.code == 0, ended.out + ended.err
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as client:
        assert client.digest("latest") == client.digest("1.0.0") != client.digest("1.0.1")


def test_a_version_accepted_by_an_earlier_release_stays_accepted(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    """It stored the source under another name, with the first version of the key."""
    assert cli("apply", APP, "--accept-foreign").code == 0
    (folder / "config.toml").write_text((folder / "config.toml").read_text() + "\n# same source\n")
    key = validate(folder, ReadOptions(environment="CUSTOM")).key
    assert key is not None
    stack = stack_of(APP)
    with stores.store(ignore) as store:
        snapshot = store.load(stack)
        assert snapshot is not None
        (image,) = [one for one in snapshot.resources.values() if one.kind == "image"]
        outputs = {name: value for name, value in image.outputs.items() if name != "stands_for"}
        inputs = {name: value for name, value in image.inputs.items() if name != "source_key"}
        before = replace(image, inputs=inputs, outputs={**outputs, "taken_over_from": key.first})
        with store.lock(stack, this_run(["test"], ""), timeout=0) as lock:
            writer = StateWriter(store, snapshot, lock=lock, written_by="0")
            writer.update(lambda one: one.with_resource(before))

    assert cli("plan", APP, "--exit-code").code == 0
    assert cli("apply", APP).code == 0
    (folder / "pipeline.py").write_text("print('edited')\n")
    assert cli("apply", APP).code == 12
    assert cli("apply", APP, "--bump", "patch").code == 0
    ended = cli("rollback", APP, "--to", "1.0.0", "--yes")
    assert ended.code == 0, ended.out + ended.err


@pytest.mark.parametrize("knows", ["with its state", "without state"])
@pytest.mark.parametrize("tags", [("1.0.0",), ("1.0.0", "latest")])
def test_an_image_made_on_top_of_a_version_is_never_taken_for_it(
    tags: tuple[str, ...], knows: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has all labels of that version, the source key included."""
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    put_on_top(sandbox, APP, *tags)
    if knows == "without state":
        monkeypatch.setenv("RECONCILER_STATE", str(cli.folder.parent / "other.db"))
    sandbox.clear_requests()

    assert cli("drift", APP).code in (10, 11)
    assert "1.0.0 was published by another tool, from unknown source" in cli("plan", APP).err
    assert cli("apply", APP, "--yes").code == 12
    assert [one for one in sandbox.requests() if one["method"] not in ("GET", "HEAD")] == []

    ended = cli("apply", APP, "--yes", "--bump", "patch")
    assert ended.code == 0, ended.err
    assert cli("drift", APP).code == 0
