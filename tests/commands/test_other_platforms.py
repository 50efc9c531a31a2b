"""Versions that are published for another platform than the files ask for, or as no image at all."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import OCI_INDEX, OCI_MANIFEST, Blob, fits, sha256
from providers.sandbox import Sandbox
from reconciler.cli import stores
from reconciler.core.events import ignore
from reconciler.engine.run_identity import this_run
from state.state_writer import StateWriter
from tests.commands.test_foreign import publish
from tests.conftest import Cli, copy_example, stack_of

APP = "dataset_cleanup"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_ATTESTATION = {"os": "unknown", "architecture": "unknown"}
Made = tuple[str, bytes]
"""A media type and a manifest or index."""


def image(client: RegistryClient, config: Mapping[str, Any], config_type: str = _CONFIG) -> Made:
    """A manifest with one layer, whose blobs are uploaded."""

    def upload(media_type: str, content: bytes) -> dict[str, Any]:
        blob = Blob(media_type, sha256(content), len(content))
        client.upload(blob, lambda start: [content[start:]])
        return blob.descriptor()

    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": upload(config_type, json.dumps(config).encode()),
        "layers": [upload("application/vnd.oci.image.layer.v1.tar", b"a layer")],
    }
    return OCI_MANIFEST, json.dumps(document).encode()


def index(client: RegistryClient, *entries: tuple[Mapping[str, Any], Made]) -> Made:
    """An index with these platforms, whose manifests are stored."""
    listed = []
    for platform, (media_type, content) in entries:
        digest = client.put_manifest(sha256(content), media_type, content)
        listed.append({"mediaType": media_type, "digest": digest, "size": len(content), "platform": platform})
    return OCI_INDEX, json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


def platform(architecture: str, system: str = "linux", **more: str) -> dict[str, Any]:
    return {"os": system, "architecture": architecture, **more}


def _arm(client: RegistryClient) -> Made:
    return image(client, platform("arm64"))


PUBLISHED: Mapping[str, tuple[Callable[[RegistryClient], Made], str]] = {
    "another architecture": (_arm, "for linux/arm64, not for"),
    "another system": (lambda it: image(it, platform("amd64", "windows")), "for windows/amd64, not for"),
    "no platform": (lambda it: image(it, {}), "without an image for"),
    "an index": (lambda it: index(it, (platform("arm64"), _arm(it))), "for linux/arm64, not for"),
    "an index with several": (
        lambda it: index(it, (platform("arm64"), _arm(it)), (platform("arm", variant="v7"), _arm(it))),
        "for linux/arm64, linux/arm/v7, not for",
    ),
    "an index with an attestation": (
        lambda it: index(it, (platform("arm64"), _arm(it)), (_ATTESTATION, image(it, {}))),
        "for linux/arm64, not for",
    ),
    "only an attestation": (lambda it: index(it, (_ATTESTATION, image(it, {}))), "without an image for"),
    "an empty index": (index, "without an image for"),
    "an index in an index": (lambda it: index(it, (platform("amd64"), index(it))), "without an image for"),
    "an artifact": (
        lambda it: image(it, {}, "application/vnd.oci.empty.v1+json"),
        "without an image for",
    ),
    "a chart": (
        lambda it: image(it, platform("amd64"), "application/vnd.cncf.helm.config.v1+json"),
        "without an image for",
    ),
}
"""What is published as 1.0.0, and how a plan says that."""


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(APP, cli.folder, sandbox.registry)


def put(sandbox: Sandbox, made: Callable[[RegistryClient], Made], *tags: str) -> str:
    """Publish it under these tags. Returns its digest."""
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as client:
        media_type, content = made(client)
        for tag in tags:
            client.put_manifest(tag, media_type, content)
    return sha256(content)


def digest(sandbox: Sandbox, tag: str) -> str | None:
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as client:
        return client.digest(tag)


def assert_only_a_bump_helps(cli: Cli, sandbox: Sandbox, folder: Path, said: str) -> None:
    """Each run refuses what is published as 1.0.0 before it writes, and a new version ends that."""
    published, config = digest(sandbox, "1.0.0"), (folder / "config.toml").read_text()
    sandbox.clear_requests()
    for arguments in (
        ("plan", APP, "--exit-code"),
        ("plan", APP, "--exit-code", "--accept-foreign"),
        ("apply", APP, "--yes", "--accept-foreign"),
        ("apply", APP, "--yes"),
        ("deploy", APP, "--yes", "--accept-foreign"),
    ):
        ended = cli(*arguments)
        assert ended.code == 12, (arguments, ended.out, ended.err)
        assert said in " ".join(ended.err.split()), ended.err
        assert "--bump patch" in ended.err
        assert "--accept-foreign" not in ended.err
    assert cli("drift", APP).code in (10, 11)
    assert "other-platform" in cli("image", APP).out
    assert sandbox.writes() == []
    assert (folder / "config.toml").read_text() == config

    applied = cli("apply", APP, "--yes", "--bump", "patch")

    assert applied.code == 0, applied.err
    assert digest(sandbox, "1.0.0") == published
    assert digest(sandbox, "latest") == digest(sandbox, "1.0.1") != published
    assert (cli("plan", APP, "--exit-code").code, cli("drift", APP).code) == (0, 0)


@pytest.mark.parametrize("tags", [("1.0.0",), ("1.0.0", "latest")], ids=" ".join)
@pytest.mark.parametrize("published", PUBLISHED)
def test_what_cannot_run_here_cannot_be_accepted(
    published: str, tags: tuple[str, ...], folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    made, said = PUBLISHED[published]
    put(sandbox, made, *tags)
    assert_only_a_bump_helps(cli, sandbox, folder, f"1.0.0 is published {said} linux/amd64")


def test_an_accepted_image_of_another_platform_in_an_earlier_state(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    """An earlier release accepted it."""
    publish(sandbox, APP, "1.0.0", "latest")
    assert cli("apply", APP, "--yes", "--accept-foreign").code == 0
    other = put(sandbox, _arm, "1.0.0", "latest")
    stack = stack_of(APP)
    with stores.store(ignore) as store:
        snapshot = store.load(stack)
        assert snapshot is not None
        (recorded,) = [one for one in snapshot.resources.values() if one.kind == "image"]
        outputs = {**recorded.outputs, "digest": other, "platform": "linux/arm64", "channel_points_to": other}
        accepted = replace(recorded, id=f"1.0.0@{other}", outputs=outputs)
        with store.lock(stack, this_run(["test"], ""), timeout=0) as lock:
            writer = StateWriter(store, snapshot, lock=lock, written_by="0")
            writer.update(lambda one: one.with_resource(accepted))

    assert_only_a_bump_helps(cli, sandbox, folder, "1.0.0 is published for linux/arm64, not for linux/amd64")


@pytest.mark.parametrize("knows", ["with its state", "without state"])
@pytest.mark.parametrize("form", ["an image", "an index with an attestation"])
def test_a_changed_platform_needs_one_new_version(
    form: str, knows: str, folder: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BuildKit publishes an index as soon as there is an attestation."""
    give_the_base_two_platforms(sandbox)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("base/python:3.11", "base/python:both"))
    assert cli("apply", APP, "--yes").code == 0
    if form != "an image":
        put(sandbox, with_attestation, "1.0.0", "latest")
        assert cli("apply", APP, "--yes").code == 0
    assert cli("plan", APP, "--exit-code").code == 0
    if knows == "without state":
        monkeypatch.setenv("RECONCILER_STATE", str(cli.folder.parent / "other.db"))
    config.write_text(f'{config.read_text()}platform = "linux/arm64"\n')

    planned = cli("plan", APP, "--exit-code")
    assert planned.code == 12
    said = "platform changed" if knows == "with its state" else "for linux/amd64, not for linux/arm64"
    assert said in " ".join(planned.err.split())
    applied = cli("apply", APP, "--yes", "--bump", "patch")

    assert applied.code == 0, applied.err
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as client:
        found = client.image("latest", "linux/arm64")
    assert found is not None and found.platform == "linux/arm64/v8"
    assert digest(sandbox, "latest") == digest(sandbox, "1.0.1")
    assert (cli("plan", APP, "--exit-code").code, cli("drift", APP).code) == (0, 0)
    assert cli("apply", APP, "--yes", "--bump", "patch").code == 0
    assert digest(sandbox, "1.0.2") is None, "it costs one build"


def with_attestation(client: RegistryClient) -> Made:
    content = client.manifest("1.0.0")
    assert content is not None
    made = content.media_type, content.content
    return index(client, (platform("amd64"), made), (_ATTESTATION, image(client, {})))


def give_the_base_two_platforms(sandbox: Sandbox) -> None:
    """As official images have them: their configuration for ARM has a variant."""
    with RegistryClient(f"{sandbox.registry}/base/python") as client:
        content, base = client.manifest("3.11"), client.image("3.11")
        assert content is not None and base is not None
        config = json.dumps({**base.config, **platform("arm64", variant="v8")}).encode()
        document = json.loads(content.content)
        blob = Blob(document["config"]["mediaType"], sha256(config), len(config))
        client.upload(blob, lambda start: [config[start:]])
        arm = content.media_type, json.dumps({**document, "config": blob.descriptor()}).encode()
        amd = content.media_type, content.content
        media_type, both = index(client, (platform("amd64"), amd), (platform("arm64", variant="v8"), arm))
        client.put_manifest("both", media_type, both)


@pytest.mark.parametrize(
    ("published", "asked", "expected"),
    [
        ("linux/amd64", "linux/amd64", True),
        ("linux/x86_64", "linux/amd64", True),
        ("linux/arm64/v8", "linux/arm64", True),
        ("linux/arm64", "linux/arm64/v8", True),
        ("linux/arm/v6", "linux/arm/v7", False),
        ("linux/arm64", "linux/amd64", False),
        ("windows/amd64", "linux/amd64", False),
        ("linux", "linux/amd64", False),
        ("", "linux/amd64", False),
    ],
)
def test_a_variant_counts_if_both_have_one(published: str, asked: str, expected: bool) -> None:
    assert fits(published, asked) is expected
