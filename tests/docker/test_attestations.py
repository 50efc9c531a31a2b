"""Attestations of a real BuildKit: in the index of the image, and about it even after it is sealed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.docker.builders.buildx import BuildxBuilder
from providers.docker.image import ImageKind
from providers.docker.labels import SOURCE_KEY
from providers.docker.origin import Origin
from providers.docker.provenance import statements
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import OCI_INDEX, OCI_MANIFEST
from providers.docker.registry.seal import is_sealed
from providers.docker.registry.sealing import seal
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource
from providers.docker.verdicts import ImageWay
from providers.errors import SettingError
from providers.protocol import Reference, silent
from providers.reasons import WayOut
from tests.docker.conftest import blob_of
from tests.services import BUSYBOX, Registry, engine_client, run_image

pytestmark = [pytest.mark.docker, pytest.mark.registry]

FIELDS = {"version": "1.0.0", "channel": "latest", "platform": "linux/amd64"}
SCAN = (
    "#!/bin/busybox sh\n"
    'echo \'{"predicateType":"https://spdx.dev/Document","predicate":{"name":"scanned"}}\''
    ' > "$BUILDKIT_SCAN_DESTINATION/found.spdx.json"\n'
)


@pytest.fixture
def attesting(attesting_engine: str, use_buildx: None, monkeypatch: pytest.MonkeyPatch) -> str:
    """`docker buildx` with an Engine that stores attestations."""
    monkeypatch.setenv("DOCKER_HOST", attesting_engine)
    return attesting_engine


@pytest.fixture
def tools(folder: Path) -> Path:
    (folder / "Dockerfile").write_text(
        "FROM scratch\nARG TOKEN\nCOPY busybox /bin/sh\nCOPY . /experiment\nRUN echo built > /built\n"
    )
    (folder / "busybox").write_bytes(BUSYBOX.read_bytes())
    (folder / "busybox").chmod(0o755)
    return folder


def kind_of(repository: str, source: ImageSource) -> ImageKind:
    key = fingerprint(source)
    return ImageKind(
        repository,
        source,
        key,
        lambda: BuildxBuilder(source, "for the test"),
        dict,
        new_version=WayOut(ImageWay.NEW_VERSION),
        origin=lambda: Origin("0.1.0"),
    )


def attestations(repository: str, tag: str) -> tuple[str, list[dict[str, Any]]]:
    """The digest of the image in the index, and BuildKit's statements about it."""
    with RegistryClient(repository) as registry:
        top = registry.manifest(tag)
        assert top is not None and top.media_type == OCI_INDEX
        image, attestation = json.loads(top.content)["manifests"]
        assert attestation["platform"] == {"architecture": "unknown", "os": "unknown"}
        assert attestation["annotations"] == {
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        found = []
        for entry in (image, attestation):
            manifest = registry.manifest(entry["digest"])
            assert manifest is not None
            assert (manifest.media_type, entry["size"]) == (OCI_MANIFEST, len(manifest.content))
        parts = json.loads(manifest.content)
        for layer in parts["layers"]:
            found.append(json.loads(read(registry, layer)))
        config = json.loads(read(registry, parts["config"]))
        assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in parts["layers"]]
    return image["digest"], found


def read(registry: RegistryClient, descriptor: dict[str, Any]) -> bytes:
    blob = blob_of(b"")
    found = type(blob)(descriptor["mediaType"], descriptor["digest"], descriptor["size"])
    return b"".join(registry.read_blob(found))


def test_an_attested_image_is_sealed_recognized_and_runs(
    attesting: str, registry: Registry, tools: Path
) -> None:
    repository = f"{registry.address}/attested/app"
    source = ImageSource(folder=tools, provenance=True, build_args={"TOKEN": "hunter2"})
    kind, name = kind_of(repository, source), tuple(repository.split("/"))
    fields = {**FIELDS, "source_key": fingerprint(source).key}
    kind.check(name, None, fields)
    written = kind.create(name, fields, parent=None, report=silent)

    digest, [provenance] = attestations(repository, "1.0.0")
    assert provenance["predicateType"].startswith("https://slsa.dev/provenance/")
    assert [subject["digest"] for subject in provenance["subject"]] == [{"sha256": digest[7:]}]
    assert "hunter2" not in json.dumps(provenance)
    live = kind_of(repository, source).read(Reference(name, fields=fields))
    assert live is not None and live.id == written.id
    assert live.fields == fields
    with RegistryClient(repository) as client:
        image = client.image("1.0.0")
        assert image is not None and is_sealed(image.config)
        assert image.labels[SOURCE_KEY] == fields["source_key"]
        assert (image.digest, image.manifest_digest) == (written.id.partition("@")[2], digest)
        [ours] = statements(client, image.digest)
        assert ours.subject == image.digest
        assert seal(client, image.digest) == image.digest  # a second time changes nothing
    client_of_engine = engine_client(attesting)
    try:
        assert run_image(
            client_of_engine, f"{repository}:1.0.0", "/bin/sh", "-c", "read a </built; echo $a"
        ) == ("built\n")
    finally:
        client_of_engine.close()


def test_a_list_of_packages_comes_from_the_generator_in_the_settings(
    attesting: str, registry: Registry, tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A stand-in for the scanner of BuildKit, which has the same interface.

    https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md
    """
    scanner = tmp_path_factory.mktemp("scanner")
    (scanner / "busybox").write_bytes(BUSYBOX.read_bytes())
    (scanner / "scan").write_text(SCAN)
    for file in scanner.iterdir():
        file.chmod(0o755)
    (scanner / "Dockerfile").write_text(
        'FROM scratch\nCOPY busybox /bin/busybox\nCOPY scan /scan\nENTRYPOINT ["/scan"]\n'
    )
    generator = f"{registry.address}/attested/scanner"
    with RegistryClient(generator) as client:
        pushed = BuildxBuilder(ImageSource(folder=scanner), "").publish(
            ImageSource(folder=scanner), generator, "1", {}, silent
        )
        client.tag(pushed, "1")
    repository = f"{registry.address}/attested/listed"
    source = ImageSource(folder=tools, sbom=True, sbom_generator=f"{generator}:1")
    kind, name = kind_of(repository, source), tuple(repository.split("/"))
    kind.create(name, {**FIELDS, "source_key": fingerprint(source).key}, parent=None, report=silent)
    digest, [packages] = attestations(repository, "1.0.0")
    assert packages["predicateType"] == "https://spdx.dev/Document"
    assert packages["predicate"] == {"name": "scanned"}
    assert [subject["digest"] for subject in packages["subject"]] == [{"sha256": digest[7:]}]


@pytest.mark.parametrize("setting", ["provenance", "sbom"])
def test_an_engine_that_cannot_store_attestations_is_refused_before_the_build(
    setting: str, docker_engine: str, use_buildx: None, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", docker_engine)
    source = ImageSource(folder=tools, **{setting: True})
    with pytest.raises(SettingError, match="cannot store") as refused:
        BuildxBuilder(source, "").check()
    assert refused.value.setting == setting
    assert "docker buildx create --use" in refused.value.hint
    BuildxBuilder(ImageSource(folder=tools), "").check()


def test_only_buildx_lists_packages(tools: Path, push_base: Callable[..., str], registry: Registry) -> None:
    from providers.docker.builders.select import select

    base = push_base(registry, "attested/base")
    for name in ("append", "engine", "buildkit"):
        with pytest.raises(SettingError, match="does not support sbom") as refused:
            select(name, ImageSource(folder=tools, base=base, sbom=True)).check()
        assert refused.value.setting == "sbom"
