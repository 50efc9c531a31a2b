"""An image is copied with everything that belongs to it, and no cut leaves a tag without its blobs."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.copying import check_sizes, copy_image
from providers.docker.registry.manifests import OCI_INDEX, OCI_MANIFEST, Blob, referrers_tag
from providers.errors import GoneError, PermanentError, RefusedError, TransientError
from providers.protocol import Progress
from tests.docker.conftest import blob_of
from tests.docker.proxy import Answer, Proxy, proxy_to
from tests.services import Registry

pytestmark = pytest.mark.registry

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
IN_TOTO = "application/vnd.in-toto+json"


@dataclass
class Made:
    """An image for two platforms with an attestation and signatures, and the digests of its parts.

    Attributes:
        manifests: every manifest that a copy must have.
        blobs: every blob of them.
        tags: the tags that belong to the image.
    """

    digest: str
    manifests: list[str] = field(default_factory=list)
    blobs: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def push_blob(client: RegistryClient, content: bytes, media_type: str) -> Blob:
    blob = Blob(media_type, blob_of(content).digest, len(content))
    client.upload(blob, lambda start: [content[start:]])
    return blob


def push_manifest(client: RegistryClient, document: dict[str, Any], media_type: str = OCI_MANIFEST) -> str:
    content = json.dumps({"schemaVersion": 2, "mediaType": media_type, **document}).encode()
    return client.put_manifest(f"sha256:{hashlib.sha256(content).hexdigest()}", media_type, content)


def size_of(client: RegistryClient, digest: str) -> int:
    manifest = client.manifest(digest)
    assert manifest is not None
    return len(manifest.content)


def made_image(client: RegistryClient, seed: str, architectures: Sequence[str] = ("amd64", "arm64")) -> Made:
    """Publish an index as 1.0.0. Its first image has an attestation, which is signed in cosign's way."""
    children, made = [], Made("")
    for architecture in architectures:
        config = json.dumps({"os": "linux", "architecture": architecture, "config": {}}).encode()
        parts = [
            push_blob(client, config, CONFIG_TYPE),
            push_blob(client, f"{seed} {architecture}".encode() * 9_000, LAYER_TYPE),
            push_blob(client, f"{seed} shared".encode(), LAYER_TYPE),
        ]
        layers = [part.descriptor() for part in parts[1:]]
        digest = push_manifest(client, {"config": parts[0].descriptor(), "layers": layers})
        platform = {"os": "linux", "architecture": architecture}
        size = size_of(client, digest)
        children.append({"mediaType": OCI_MANIFEST, "digest": digest, "size": size, "platform": platform})
        made.manifests.append(digest)
        made.blobs += [part.digest for part in parts]
    made.digest = push_manifest(client, {"manifests": children}, OCI_INDEX)
    empty = push_blob(client, b"{}", "application/vnd.oci.empty.v1+json")
    statement = push_blob(client, f"{seed} statement".encode(), IN_TOTO)
    subject = {"mediaType": OCI_MANIFEST, "digest": made.manifests[0], "size": 1}
    attestation = push_manifest(
        client,
        {
            "artifactType": IN_TOTO,
            "config": empty.descriptor(),
            "layers": [statement.descriptor()],
            "subject": subject,
        },
    )
    entry = {"mediaType": OCI_MANIFEST, "digest": attestation, "size": 1, "artifactType": IN_TOTO}
    listing = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    client.put_manifest(referrers_tag(made.manifests[0]), OCI_INDEX, json.dumps(listing).encode())
    signature = push_blob(client, f"{seed} signature".encode(), "application/octet-stream")
    signed = push_manifest(client, {"config": empty.descriptor(), "layers": [signature.descriptor()]})
    client.tag(signed, referrers_tag(attestation) + ".sig")
    made.manifests += [made.digest, attestation, signed]
    made.blobs += [empty.digest, statement.digest, signature.digest]
    made.tags = [referrers_tag(made.manifests[0]), referrers_tag(attestation) + ".sig"]
    client.tag(made.digest, "1.0.0")
    return made


def assert_complete(client: RegistryClient, made: Made) -> None:
    assert [digest for digest in made.manifests if client.digest(digest) != digest] == []
    for digest in made.blobs:
        assert client.has_blob(digest)
    for tag in made.tags:
        assert client.digest(tag), tag


@pytest.fixture
def proxy(secured_registry: Registry) -> Iterator[Proxy]:
    with proxy_to(secured_registry.address) as started:
        yield started


@pytest.fixture
def target(secured_registry: Registry, proxy: Proxy, log_in: Any) -> str:
    """The address of a registry that requires a login, behind the proxy."""
    log_in(proxy.address, secured_registry.username, secured_registry.password)
    return proxy.address


def test_everything_of_an_image_is_mounted_in_another_repository(registry: Registry) -> None:
    reported: list[Progress] = []
    with (
        RegistryClient(f"{registry.address}/copying/mounted-from") as source,
        RegistryClient(f"{registry.address}/copying/mounted-to") as copy,
    ):
        made = made_image(source, "mounted")
        copy_image(source, copy, made.digest, reported.append)
        assert_complete(copy, made)
        assert copy.digest("1.0.0") is None
    assert {step.text for step in reported} <= {f"mounted from {source.repository}", "already there"}


def test_everything_of_an_image_is_sent_to_another_registry(registry: Registry, target: str) -> None:
    with (
        RegistryClient(f"{registry.address}/copying/from") as source,
        RegistryClient(f"{target}/copying/sent") as copy,
    ):
        made = made_image(source, "sent")
        copy_image(source, copy, made.digest)
        assert_complete(copy, made)
        for digest in made.blobs:
            assert list(copy.read_blob(Blob("", digest, 1 << 20)))


def test_a_second_copy_writes_nothing(registry: Registry, target: str, proxy: Proxy) -> None:
    with (
        RegistryClient(f"{registry.address}/copying/again") as source,
        RegistryClient(f"{target}/copying/again") as copy,
    ):
        made = made_image(source, "again")
        copy_image(source, copy, made.digest)
        proxy.seen.clear()
        copy_image(source, copy, made.digest)
    assert {seen.method for seen in proxy.seen} <= {"GET", "HEAD"}


def test_a_cut_at_every_request_leaves_no_tag_and_the_next_copy_finishes(
    registry: Registry, target: str, proxy: Proxy
) -> None:
    """The line is cut at the k-th request for good, for every k, as when the process is killed there."""
    with RegistryClient(f"{registry.address}/copying/cut") as source:
        made, number, is_cut = made_image(source, "cut", ["amd64"]), 0, True
        while is_cut:
            number += 1
            is_cut = _copy_cut_at(source, f"{target}/copying/cut-{number}", proxy, made, number)
    assert number > 20


def _copy_cut_at(source: RegistryClient, target: str, proxy: Proxy, made: Made, number: int) -> bool:
    count = 0

    def cut(method: str, path: str, body: bytes) -> None:
        nonlocal count
        count += 1
        if count >= number:
            raise ConnectionAbortedError

    with RegistryClient(target, pause=lambda _: None) as copy:
        proxy.interfere = cut
        try:
            copy_image(source, copy, made.digest)
        except TransientError:
            is_cut = True
        else:
            is_cut = False
        proxy.interfere = lambda method, path, body: None
        # A tag that exists is complete: what it lists is there.
        for tag in made.tags:
            index = copy.manifest(tag)
            for entry in json.loads(index.content).get("manifests", []) if index else []:
                assert copy.digest(entry["digest"])
        copy_image(source, copy, made.digest)
        assert_complete(copy, made)
    return is_cut


def test_a_line_that_breaks_within_a_layer_is_resumed(registry: Registry, target: str, proxy: Proxy) -> None:
    """The source breaks in the middle of the first large layer; the rest is read from there."""
    starts: list[int] = []
    with (
        RegistryClient(f"{registry.address}/copying/broken") as source,
        RegistryClient(f"{target}/copying/broken", pause=lambda _: None) as copy,
    ):
        made = made_image(source, "broken")
        read = source._content

        def breaking(response: requests.Response, blob: Blob, start: int) -> Iterator[bytes]:
            content = b"".join(read(response, blob, start))
            if blob.size > 1_000:
                starts.append(start)
                if start == 0:
                    yield content[:1_000]
                    raise TransientError("the line broke", waits=True)
            yield content

        source._content = breaking  # type: ignore[method-assign]
        copy_image(source, copy, made.digest)
        assert_complete(copy, made)
    assert starts == [0, 1_000, 0, 1_000]


def test_a_layer_with_other_bytes_is_refused(registry: Registry, target: str) -> None:
    with (
        RegistryClient(f"{registry.address}/copying/wrong") as source,
        RegistryClient(f"{target}/copying/wrong", pause=lambda _: None) as copy,
    ):
        made = made_image(source, "wrong")
        source._content = lambda _, blob, start: iter([b"x" * (blob.size - start)])  # type: ignore[method-assign]
        with pytest.raises(PermanentError):
            copy_image(source, copy, made.digest)
        assert copy.digest(made.digest) is None
        assert not any(copy.has_blob(digest) for digest in made.blobs)


def test_referrers_that_the_registry_lists_are_copied(registry: Registry, target: str, proxy: Proxy) -> None:
    """The source lists them in two pages; the target lists what it has, so gets no index of its own."""
    with RegistryClient(f"{registry.address}/copying/listed") as client:
        made = made_image(client, "listed")
        index = client.manifest(made.tags[0])
        assert index is not None
        entry = json.loads(index.content)["manifests"][0]
    with proxy_to(registry.address) as lists:

        def referrers(method: str, path: str, body: bytes) -> Answer | None:
            if "/referrers/" not in path:
                return None
            is_first = "page" not in path
            entries = [entry] if made.manifests[0] in path and not is_first else []
            headers = {"Content-Type": OCI_INDEX}
            if is_first:
                headers["Link"] = f'<{path}?page=2>; rel="next"'
            document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
            return Answer(200, json.dumps(document).encode(), headers)

        lists.interfere = proxy.interfere = referrers
        with (
            RegistryClient(f"{lists.address}/copying/listed") as source,
            RegistryClient(f"{target}/copying/listed") as copy,
        ):
            copy_image(source, copy, made.digest)
            assert copy.digest(entry["digest"]) == entry["digest"]
            assert copy.digest(made.tags[0]) is None


def test_a_list_of_referrers_is_extended(registry: Registry, target: str) -> None:
    with (
        RegistryClient(f"{registry.address}/copying/more") as source,
        RegistryClient(f"{target}/copying/more") as copy,
    ):
        made = made_image(source, "more")
        config = push_blob(copy, b"{}", "application/vnd.oci.empty.v1+json")
        own = push_manifest(copy, {"config": config.descriptor(), "layers": []})
        listing = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [{"mediaType": OCI_MANIFEST, "digest": own, "size": 1}],
        }
        copy.put_manifest(made.tags[0], OCI_INDEX, json.dumps(listing).encode())
        copy_image(source, copy, made.digest)
        index = copy.manifest(made.tags[0])
        assert index is not None
        assert [entry["digest"] for entry in json.loads(index.content)["manifests"]] == [
            own,
            made.manifests[3],
        ]


def test_an_image_that_is_gone_is_named(registry: Registry) -> None:
    gone = blob_of(b"gone").digest
    with (
        RegistryClient(f"{registry.address}/copying/gone") as source,
        RegistryClient(f"{registry.address}/copying/gone-to") as copy,
        pytest.raises(GoneError, match=gone),
    ):
        copy_image(source, copy, gone)


@pytest.mark.parametrize("size", [-1, 0, 1, "more", None])
def test_an_index_with_another_size_of_its_image_is_damaged(
    registry: Registry, size: int | str | None
) -> None:
    """https://github.com/opencontainers/image-spec/blob/main/descriptor.md: content of another size is not
    trusted, so no client could pull the copy."""
    with (
        RegistryClient(f"{registry.address}/copying/sizes") as source,
        RegistryClient(f"{registry.address}/copying/sizes-to") as copy,
    ):
        made = made_image(source, "sizes")
        index = source.manifest(made.digest)
        assert index is not None
        document = json.loads(index.content)
        right = document["manifests"][1]["size"]
        document["manifests"][1]["size"] = right + 1 if size == "more" else size
        damaged = push_manifest(source, {"manifests": document["manifests"]}, OCI_INDEX)
        check_sizes(source, made.digest)
        for refused in (lambda: copy_image(source, copy, damaged), lambda: check_sizes(source, damaged)):
            with pytest.raises(RefusedError, match=f"is damaged: its index says .* and it has {right}"):
                refused()
        assert copy.digest(damaged) is None


def test_manifests_that_nest_without_end_are_refused(registry: Registry) -> None:
    with (
        RegistryClient(f"{registry.address}/copying/deep") as source,
        RegistryClient(f"{registry.address}/copying/deep-to") as copy,
    ):
        entries: list[dict[str, Any]] = []
        for _ in range(12):
            digest = push_manifest(source, {"manifests": entries}, OCI_INDEX)
            entries = [{"mediaType": OCI_INDEX, "digest": digest, "size": size_of(source, digest)}]
        with pytest.raises(RefusedError, match="nested too deeply"):
            copy_image(source, copy, digest)
        assert copy.digest(digest) is None
