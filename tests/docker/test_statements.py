"""Statements of provenance: with registries that list referrers and without, cut at every write."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers import retries
from providers.docker.builders.append import AppendBuilder
from providers.docker.image import ImageKind
from providers.docker.labels import REVISION, SOURCE_KEY, TITLE, VERSION
from providers.docker.origin import Origin, Revision
from providers.docker.provenance import IN_TOTO, statements
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.manifests import OCI_INDEX, OCI_MANIFEST, referrers_tag, sha256
from providers.docker.registry.referrers import list_referrers, referrers
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource
from providers.docker.verdicts import ImageWay
from providers.errors import ProviderError, TransientError
from providers.protocol import LiveObject, Reference, silent
from providers.rate_limit import RateLimiter
from providers.reasons import WayOut
from providers.sandbox import Sandbox
from tests.docker.conftest import blob_of
from tests.docker.proxy import Answer, Proxy, proxy_to
from tests.services import Registry

pytestmark = pytest.mark.registry

COMMIT = "8" * 40
ORIGIN = Origin("0.1.0", "github.com/org/pipelines", "pipelines/app", "STAGING")


@pytest.fixture(params=["sandbox", "debian"])
def address(request: pytest.FixtureRequest) -> str:
    """The sandbox lists referrers; Debian's registry (distribution 2) does not."""
    if request.param == "sandbox":
        sandbox: Sandbox = request.getfixturevalue("sandbox")
        return sandbox.registry
    registry: Registry = request.getfixturevalue("registry")
    return registry.address


@pytest.fixture
def door(address: str) -> Iterator[Proxy]:
    with proxy_to(address) as started:
        yield started


class Machine:
    """A machine that publishes a folder with the builder `append`, and states its provenance."""

    def __init__(
        self, repository: str, source: ImageSource, origin: Origin | None = ORIGIN, revision: str = COMMIT
    ) -> None:
        self.repository, self.source, self.key = repository, source, fingerprint(source)
        labels = {TITLE: "app", REVISION: revision}
        self.kind = ImageKind(
            repository,
            source,
            self.key,
            builder=lambda: AppendBuilder(source, "for the test"),
            labels=lambda: labels,
            new_version=WayOut(ImageWay.NEW_VERSION),
            origin=None if origin is None else lambda: origin,
            connect=partial(RegistryClient, pause=lambda _: None),
        )

    def publish(self, version: str = "1.0.0", plan: str = "p1") -> LiveObject:
        self.kind.carry_out(plan)
        name = tuple(self.repository.split("/"))
        fields = {
            "version": version,
            "channel": "latest",
            "source_key": self.key.key,
            "platform": "linux/amd64",
        }
        live = self.kind.read(Reference(name, fields=fields))
        if live is None:
            return self.kind.create(name, fields, parent=None, report=silent)
        return self.kind.update(live, {}, fields, parent=None, report=silent)


@pytest.fixture
def source(folder: Path, address: str, push_base: Callable[..., str]) -> ImageSource:
    return ImageSource(folder=folder, base=push_base(address, f"{folder.name}/base"))


def stored(registry: RegistryClient, digest: str) -> list[dict[str, Any]]:
    """Every statement about the image, as JSON."""
    found = []
    for entry in referrers(registry, digest):
        manifest = registry.manifest(entry["digest"])
        assert manifest is not None and entry["size"] == len(manifest.content)
        document = json.loads(manifest.content)
        assert document["subject"]["digest"] == digest
        subject = registry.manifest(digest)
        assert subject is not None and document["subject"]["size"] == len(subject.content)
        [layer] = document["layers"]
        blob = replace(blob_of(b""), digest=layer["digest"], size=layer["size"])
        found.append(json.loads(b"".join(registry.read_blob(blob))))
    return found


def test_the_statement_names_image_source_commit_base_plan_and_builder(
    address: str, source: ImageSource
) -> None:
    """The fields are those of in-toto's Statement v1 and SLSA's provenance v1."""
    here = Machine(f"{address}/{source.folder.name}/app", source, revision=f"{COMMIT}+dirty")
    here.publish()
    with RegistryClient(here.repository) as registry:
        image = registry.image("1.0.0")
        assert image is not None
        [written] = stored(registry, image.digest)
        [entry] = referrers(registry, image.digest)
        [parsed] = statements(registry, image.digest)
        has_tag = registry.digest(referrers_tag(image.digest)) is not None
    with RegistryClient(f"{address}/{source.folder.name}/base") as registry:
        base = registry.digest("base")
    assert base is not None
    assert written == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": here.repository, "digest": {"sha256": image.digest[7:]}}],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "pkg:pypi/picsellia-reconciler#image/v1",
                "externalParameters": {
                    "pipeline": "app",
                    "version": "1.0.0",
                    "path": "pipelines/app",
                    "environment": "STAGING",
                    "platform": "linux/amd64",
                    "builder": "append",
                },
                "internalParameters": {"sourceKey": here.key.key, "plan": "p1", "dirty": True},
                "resolvedDependencies": [
                    {
                        "name": "source",
                        "uri": "git+https://github.com/org/pipelines",
                        "digest": {"gitCommit": COMMIT},
                    },
                    {
                        "name": "base",
                        "uri": f"docker-image://{source.base}",
                        "digest": {"sha256": base[7:]},
                    },
                ],
            },
            "runDetails": {"builder": {"id": "pkg:pypi/picsellia-reconciler@0.1.0"}},
        },
    }
    assert (entry["artifactType"], entry["mediaType"]) == ("application/vnd.in-toto+json", OCI_MANIFEST)
    assert entry["annotations"] == {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    assert (parsed.subject, parsed.source_key, parsed.plan) == (image.digest, here.key.key, "p1")
    assert (parsed.revision, parsed.path, parsed.environment) == (
        Revision(COMMIT, is_dirty=True),
        "pipelines/app",
        "STAGING",
    )
    assert has_tag == (address.startswith("127.0.0.1"))  # only the registry that lists no referrers


def test_nothing_is_stated_twice_and_nothing_unasked(address: str, source: ImageSource, door: Proxy) -> None:
    here = Machine(f"{door.address}/{source.folder.name}/app", source)
    here.publish()
    door.seen.clear()
    here.publish(plan="p2")
    writes = [seen.path for seen in door.seen if seen.method in ("PUT", "POST", "PATCH", "DELETE")]
    assert [path for path in writes if not path.endswith("manifests/latest")] == []
    here.publish("1.0.1", plan="p3")  # the same source under another version: a tag, and no build
    silent_one = Machine(f"{door.address}/{source.folder.name}/other", source, origin=None)
    silent_one.publish()
    with RegistryClient(here.repository) as registry:
        for version in ("1.0.0", "1.0.1"):
            digest = registry.digest(version)
            assert digest is not None
            [statement] = statements(registry, digest)
            assert statement.plan == "p1"
    with RegistryClient(silent_one.repository) as registry:
        digest = registry.digest("1.0.0")
        assert digest is not None
        assert list(referrers(registry, digest)) == []


def test_a_cut_at_any_write_leaves_no_tag_without_a_statement(
    source: ImageSource, door: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line breaks for good before each write in turn. The next run finishes, with one statement."""
    monkeypatch.setattr(retries, "delay", lambda problem, attempt: 0.0)
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.0)
    cuts = 0
    while True:
        here = Machine(f"{door.address}/{source.folder.name}/cut{cuts}", source)
        left = [cuts]

        def broken(method: str, path: str, body: bytes, left: list[int] = left) -> Answer | None:
            left[0] -= method not in ("GET", "HEAD")
            if left[0] < 0:
                raise ConnectionAbortedError
            return None

        door.interfere = broken
        ended = False
        try:
            here.publish()
            ended = True
        except TransientError:
            pass
        door.interfere = lambda method, path, body: None
        with RegistryClient(here.repository) as registry:
            for tag in ("1.0.0", "latest"):
                digest = registry.digest(tag)
                assert digest is None or len(list(statements(registry, digest))) == 1, (cuts, tag)
            Machine(here.repository, source).publish(plan="p2")
            for tag in ("1.0.0", "latest"):
                digest = registry.digest(tag)
                assert digest is not None
                assert len(stored(registry, digest)) == 1, (cuts, tag)
        if ended:
            break
        cuts += 1
    assert cuts > 7


def test_an_edited_file_gets_a_statement_of_its_own(address: str, source: ImageSource) -> None:
    here = Machine(f"{address}/{source.folder.name}/app", source)
    here.publish()
    (source.folder / "pipeline.py").write_text("print('other')\n")
    there = Machine(here.repository, source, revision=f"{COMMIT}+dirty")
    there.publish("1.0.1")
    with RegistryClient(here.repository) as registry:
        keys = []
        for version in ("1.0.0", "1.0.1"):
            image = registry.image(version)
            assert image is not None
            [statement] = statements(registry, image.digest)
            keys.append((statement.source_key, image.labels[SOURCE_KEY], image.labels[VERSION]))
    assert keys == [(here.key.key, here.key.key, "1.0.0"), (there.key.key, there.key.key, "1.0.1")]


def referrer(registry: RegistryClient, subject: str, number: int) -> dict[str, Any]:
    """The manifest of another tool about an image; its parts are stored."""
    blob = blob_of(b"{}")
    registry.upload(blob, lambda start: [b"{}"[start:]])
    manifest = registry.manifest(subject)
    assert manifest is not None
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/x-test",
        "config": {**blob.descriptor(), "mediaType": "application/vnd.oci.empty.v1+json"},
        "layers": [],
        "subject": {"mediaType": manifest.media_type, "size": len(manifest.content), "digest": subject},
        "annotations": {"number": str(number)},
    }


def attach_other(registry: RegistryClient, subject: str, document: dict[str, Any]) -> str:
    """Attach a manifest to an image; its digest."""
    content = json.dumps(document).encode()
    digest = registry.put_manifest(sha256(content), OCI_MANIFEST, content)
    entry = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(content)}
    list_referrers(registry, subject, [{**entry, "artifactType": document["artifactType"]}])
    return digest


def test_referrers_of_other_tools_stay(address: str, source: ImageSource) -> None:
    here = Machine(f"{address}/{source.folder.name}/app", source)
    here.publish()
    with RegistryClient(here.repository) as registry:
        digest = registry.digest("1.0.0")
        assert digest is not None
        numbers = (0, 1, 2, 0)
        others = {attach_other(registry, digest, referrer(registry, digest, number)) for number in numbers}
        found = [entry["digest"] for entry in referrers(registry, digest)]
        assert (len(others), len(found)) == (3, 4)
        assert others < {*found}
        assert len(list(statements(registry, digest))) == 1


@pytest.mark.parametrize("times", [1, 3, 4])
def test_a_list_that_another_tool_overwrites_is_written_again(
    times: int, registry: Registry, push_base: Callable[..., str], folder: Path
) -> None:
    """Without referrers in the registry, the list is a tag. A run writes it four times."""
    source = ImageSource(folder=folder, base=push_base(registry, f"{folder.name}/base"))
    with proxy_to(registry.address) as door:
        here = Machine(f"{door.address}/{folder.name}/app", source)
        with RegistryClient(f"{registry.address}/{folder.name}/app") as other:
            empty = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}).encode()
            overwritten: list[str] = []

            def overwrite(method: str, path: str, body: bytes) -> Answer | None:
                tag = path.rpartition("/")[2]
                is_list = method == "GET" and tag.startswith("sha256-")
                is_new = len(overwritten) < len(door.requests("PUT", "/manifests/sha256-"))
                if is_list and is_new and len(overwritten) < times:
                    overwritten.append(tag)
                    other.put_manifest(tag, OCI_INDEX, empty)
                return None

            door.interfere = overwrite
            if times == 4:
                with pytest.raises(TransientError, match=r"another tool wrote .* at the same moment"):
                    here.publish()
                assert other.digest("1.0.0") is None
            here.publish()
            assert len(overwritten) == times
            digest = other.digest("1.0.0")
            assert digest is not None
            assert len(list(statements(other, digest))) == 1


ENTRY = {"mediaType": OCI_MANIFEST, "size": 1, "digest": f"sha256:{'1' * 64}"}
NEXT = {"Link": '</v2/a/referrers/x?n=1>; rel="next"'}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"[]"),
        Answer(200, b'{"schemaVersion": 2, "manifests": [1]}'),
        Answer(200, b'{"schemaVersion": 2, "manifests": [{"digest": "x"}]}'),
        Answer(200, b"{"),
        Answer(200, json.dumps({"schemaVersion": 2, "manifests": [ENTRY] * 1001}).encode(), NEXT),
        Answer(403, b"{}"),
        Answer(500, b"{}"),
        Answer(200, b'{"schemaVersion": 2, "manifests": []}', NEXT),
    ],
)
def test_an_odd_list_of_referrers_is_an_error(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.0)
    with proxy_to("") as door:
        door.interfere = lambda method, path, body: answer
        with (
            ConnectionPool(RateLimiter()) as pool,
            RegistryClient(f"{door.address}/a", pool=pool, pause=lambda _: None) as registry,
            pytest.raises(ProviderError),
        ):
            registry.referrers(f"sha256:{'1' * 64}")


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"predicateType": "https://slsa.dev/provenance/v1", "predicate": None},
        {
            "predicateType": "https://slsa.dev/provenance/v1",
            "predicate": {"buildDefinition": {"buildType": 1}},
        },
        {"predicateType": "https://spdx.dev/Document", "predicate": {}, "subject": []},
        [],
        "text",
    ],
)
def test_a_statement_of_another_tool_is_none_of_ours(address: str, source: ImageSource, content: Any) -> None:
    here = Machine(f"{address}/{source.folder.name}/app", source, origin=None)
    here.publish()
    text = json.dumps(content).encode()
    with RegistryClient(here.repository) as registry:
        digest = registry.digest("1.0.0")
        assert digest is not None
        blob = replace(blob_of(text), media_type=IN_TOTO)
        registry.upload(blob, lambda start: [text[start:]])
        other = {"artifactType": IN_TOTO, "layers": [blob.descriptor()]}
        attach_other(registry, digest, {**referrer(registry, digest, 1), **other})
        assert len(referrers(registry, digest)) == 1
        assert list(statements(registry, digest)) == []
