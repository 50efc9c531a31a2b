"""An image made on top of a published one has its labels, and is never mistaken for it."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from providers.docker.builders.select import BuilderName, select
from providers.docker.image import ImageKind
from providers.docker.labels import SEAL, SOURCE_KEY, VERSION
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Manifest, PublishedImage, read_image
from providers.docker.registry.seal import is_derived, is_sealed, sealed
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource
from providers.docker.verdicts import ImageWay
from providers.protocol import silent
from providers.reasons import WayOut
from tests.services import Registry

CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "created": "2025-03-01T12:00:00Z",
    "config": {
        "Env": ["PATH=/bin", "A=1"],
        "Cmd": None,
        "Entrypoint": ["sh"],
        "WorkingDir": "/experiment",
        "Labels": {SOURCE_KEY: "v2:" + "1" * 64, VERSION: "1.0.0", "team": "é"},
    },
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "a" * 64]},
    "history": [{"created_by": "COPY . /experiment"}, {"created_by": "ENV A=1", "empty_layer": True}],
    "moby.buildkit.cache.v0": "e30=",
}
BUILDERS = get_args(BuilderName)[1:]


def changed(value: Any) -> Iterator[Any]:
    """Every JSON value that differs from this one in one place: changed, left out, or added."""
    match value:
        case dict():
            yield {**value, "New": ""}
            for key, inner in value.items():
                yield {other: kept for other, kept in value.items() if other != key}
                yield from ({**value, key: other} for other in changed(inner))
        case list():
            yield [*value, *value[-1:]] if value else [""]
            for index, inner in enumerate(value):
                yield value[:index] + value[index + 1 :]
                yield from ([*value[:index], other, *value[index + 1 :]] for other in changed(inner))
        case None:
            yield []
        case bool():
            yield not value
        case str():
            yield f"{value} "


def image(config: Mapping[str, Any]) -> PublishedImage:
    content = {"schemaVersion": 2, "config": {"digest": f"sha256:{'0' * 64}", "size": 1}, "layers": []}
    manifest = Manifest(f"sha256:{'1' * 64}", "", json.dumps(content).encode())
    return read_image(manifest, manifest, json.dumps(config).encode(), "reg.io/app:1.0.0")


def test_no_image_with_another_configuration_has_its_labels() -> None:
    ours = sealed(CONFIG)
    assert image(ours).labels == ours["config"]["Labels"]
    derived = [other for other in changed(ours) if SEAL in other.get("config", {}).get("Labels", {})]
    assert len(derived) > 40
    for other in derived:
        assert is_derived(other), other
        assert image(other).labels == {}, other


def test_the_order_of_keys_and_a_second_seal_make_no_difference() -> None:
    ours = sealed(CONFIG)
    assert is_sealed(ours) and sealed(ours) == ours
    turned = dict(reversed(ours.items()))
    turned["config"] = dict(reversed(ours["config"].items()))
    assert is_sealed(json.loads(json.dumps(turned, indent=1)))


def test_an_image_from_before_seals_keeps_its_labels() -> None:
    before = copy.deepcopy(CONFIG)
    assert not is_sealed(before) and not is_derived(before)
    assert image(before).labels == CONFIG["config"]["Labels"]


@pytest.fixture(params=BUILDERS)
def name(request: pytest.FixtureRequest) -> BuilderName:
    """Each builder, set up on this machine."""
    for fixture in {"buildx": ["use_buildx"], "buildkit": ["use_old_docker"]}.get(request.param, []):
        request.getfixturevalue(fixture)
    chosen: BuilderName = request.param
    return chosen


@pytest.mark.docker
@pytest.mark.registry
def test_an_image_that_docker_makes_from_a_published_one_is_another_image(
    name: BuilderName, engine: Any, registry: Registry, push_base: Callable[..., str], folder: Path
) -> None:
    """By `FROM` and by `docker commit`. An image that is only pulled and pushed stays the same."""
    repository = f"{registry.address}/derived/{name}"
    source = ImageSource(folder=folder, base=push_base(registry, "derived/base"))
    (folder / "Dockerfile").write_text(f"FROM {source.base}\nCOPY . /experiment\n")
    key = fingerprint(source)
    kind = ImageKind(
        repository,
        source,
        key,
        lambda: select(name, source),
        dict,
        new_version=WayOut(ImageWay.NEW_VERSION),
    )
    fields = {"version": "1.0.0", "channel": "latest", "source_key": key.key, "platform": "linux/amd64"}
    kind.create(tuple(repository.split("/")), fields, parent=None, report=silent)

    engine.images.pull(repository, tag="1.0.0")
    (folder / "Dockerfile").write_text(f"FROM {repository}:1.0.0\nENV HOTFIX=1\n")
    engine.images.build(path=str(folder), tag=f"{repository}:from")
    container = engine.containers.run(f"{repository}:1.0.0", ["sh", "-c", "echo > /x"], detach=True)
    container.wait()
    container.commit(repository, "commit")
    container.remove()
    engine.images.get(f"{repository}:1.0.0").tag(repository, "same")
    for tag in ("from", "commit", "same"):
        assert "error" not in engine.images.push(repository, tag=tag)

    with RegistryClient(repository) as client:
        images = {tag: client.image(tag) for tag in ("1.0.0", "latest", "same", "from", "commit")}
    keys = {tag: found and found.labels.get(SOURCE_KEY) for tag, found in images.items()}
    assert keys == {"1.0.0": key.key, "latest": key.key, "same": key.key, "from": None, "commit": None}
    for tag in ("from", "commit"):  # otherwise the test shows nothing
        found = images[tag]
        assert found is not None and found.config["config"]["Labels"][SOURCE_KEY] == key.key
