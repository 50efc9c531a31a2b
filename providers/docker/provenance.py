"""The provenance of an image: a statement about the source and the build, attached to it in the registry.

The format is an in-toto statement with SLSA's provenance, in a manifest that refers to the image. It is not
signed: it has the same weight as the image itself, which anyone who may push can replace.
https://slsa.dev/spec/v1.0/provenance · https://github.com/in-toto/attestation/blob/main/spec/v1
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from providers.docker.labels import BASE_DIGEST, BASE_NAME, REVISION, SOURCE_KEY, TITLE, VERSION
from providers.docker.origin import Origin, Revision
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import (
    OCI_MANIFEST,
    Blob,
    PublishedImage,
    read_object,
    read_parts,
    sha256,
)
from providers.docker.registry.referrers import list_referrers, referrers
from providers.errors import RefusedError
from providers.protocol import Progress, Report

STATEMENT: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://slsa.dev/provenance/v1"
PROGRAM: Final = "pkg:pypi/picsellia-reconciler"
BUILD_TYPE: Final = f"{PROGRAM}#image/v1"
IN_TOTO: Final = "application/vnd.in-toto+json"
_EMPTY_TYPE, _EMPTY = "application/vnd.oci.empty.v1+json", b"{}"
_PREDICATE_TYPE = "in-toto.io/predicate-type"
_MAX_STATEMENT = 1 << 20  # bytes


class Statement(Struct, frozen=True):
    """A statement of reconciler about an image.

    Attributes:
        digest: digest of the manifest with the statement.
        subject: digest of the image.
        builder: the program, "pkg:pypi/picsellia-reconciler@0.1.0".
        source_key: the source key of the image.
        revision: the commit of the source; None if it was in no repository.
        path, environment: as in `Origin`.
        plan: digest of the plan that was applied; "" if unknown.
        base: digest of the base image of the builder `append`; "" for the other builders.
    """

    digest: str
    subject: str
    builder: str
    source_key: str
    revision: Revision | None
    path: str
    environment: str
    plan: str
    base: str = ""


def statement(image: PublishedImage, name: str, builder: str, plan: str, origin: Origin) -> bytes:
    """The statement about an image, the same for the same image, plan and origin.

    Args:
        name: repository of the image.
        builder: name of the builder.
        plan: digest of the plan that is applied; "" if unknown.
    """
    labels = image.labels
    revision = Revision.parse(labels.get(REVISION, ""))
    external = {
        "pipeline": labels.get(TITLE),
        "version": labels.get(VERSION),
        "path": origin.path,
        "environment": origin.environment,
        "platform": image.platform,
        "builder": builder,
    }
    internal = {
        "sourceKey": labels.get(SOURCE_KEY),
        "plan": plan,
        "dirty": revision.is_dirty if revision else None,
    }
    dependencies: list[dict[str, Any]] = []
    if revision is not None:
        uri = {"uri": f"git+https://{origin.repository}"} if origin.repository else {}
        dependencies.append({"name": "source", **uri, "digest": {"gitCommit": revision.commit}})
    if builder == "append":  # images of other builders may have these labels from their base
        base = labels[BASE_DIGEST].removeprefix("sha256:")
        uri = {"uri": f"docker-image://{labels[BASE_NAME]}"}
        dependencies.append({"name": "base", **uri, "digest": {"sha256": base}})
    return _encode(
        {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": image.digest.removeprefix("sha256:")}}],
            "predicateType": PREDICATE,
            "predicate": {
                "buildDefinition": {
                    "buildType": BUILD_TYPE,
                    "externalParameters": _known(external),
                    "internalParameters": _known(internal),
                    "resolvedDependencies": dependencies,
                },
                "runDetails": {"builder": {"id": f"{PROGRAM}@{origin.program}"}},
            },
        }
    )


def attach(registry: RegistryClient, digest: str, content: bytes, report: Report) -> None:
    """Attach a statement to the image with this digest, unless it has one of the same source.

    A build that is repeated after an interruption finds the statement of the first attempt.

    Raises:
        ProviderError: an error of the registry.
    """
    ours = _parse(content, "")
    assert ours is not None
    for other in statements(registry, digest):
        if (other.source_key, other.revision) == (ours.source_key, ours.revision):
            return
    report(Progress("attest", text=f"provenance of {digest[:19]}"))
    subject = registry.manifest(digest)
    if subject is None:
        raise RefusedError(f"{registry.repository}@{digest} is not in the registry")
    config, layer = (
        Blob(_EMPTY_TYPE, sha256(_EMPTY), len(_EMPTY)),
        Blob(IN_TOTO, sha256(content), len(content)),
    )
    for blob, text in ((config, _EMPTY), (layer, content)):
        registry.upload(blob, _from(text))
    annotations = {_PREDICATE_TYPE: PREDICATE}
    manifest = _encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": IN_TOTO,
            "config": config.descriptor(),
            "layers": [{**layer.descriptor(), "annotations": annotations}],
            "subject": Blob(subject.media_type, digest, len(subject.content)).descriptor(),
            "annotations": annotations,
        }
    )
    stored = registry.put_manifest(sha256(manifest), OCI_MANIFEST, manifest)
    entry = Blob(OCI_MANIFEST, stored, len(manifest)).descriptor()
    list_referrers(registry, digest, [{**entry, "artifactType": IN_TOTO, "annotations": annotations}])


def statements(registry: RegistryClient, digest: str) -> Iterator[Statement]:
    """The statements of reconciler about the image with this digest, without those of other tools.

    Raises:
        ProviderError: an error of the registry, or a malformed response.
    """
    for entry in referrers(registry, digest):
        if entry.get("artifactType") != IN_TOTO:
            continue
        manifest = registry.manifest(entry["digest"])
        if manifest is None:
            continue  # it was deleted, and the list of a registry without referrers still has it
        name = f"{registry.repository}@{manifest.digest}"
        for blob in read_parts(manifest, name)[1]:
            if blob.media_type == IN_TOTO and blob.size <= _MAX_STATEMENT:
                found = _parse(b"".join(registry.read_blob(blob)), manifest.digest)
                if found is not None:
                    yield found


def _parse(content: bytes, digest: str) -> Statement | None:
    """The statement; None if another tool made it, or it is malformed."""
    try:
        document = read_object(content, "the statement")
        definition = document["predicate"]["buildDefinition"]
        if document["predicateType"] != PREDICATE or definition["buildType"] != BUILD_TYPE:
            return None
        external, internal = definition["externalParameters"], definition["internalParameters"]
        dependencies = {one["name"]: one for one in definition["resolvedDependencies"]}
        source, base = dependencies.get("source"), dependencies.get("base")
        revision = None
        if source is not None:
            revision = Revision(str(source["digest"]["gitCommit"]), bool(internal.get("dirty")))
        return Statement(
            digest,
            f"sha256:{document['subject'][0]['digest']['sha256']}",
            str(document["predicate"]["runDetails"]["builder"]["id"]),
            str(internal["sourceKey"]),
            revision,
            str(external.get("path", "")),
            str(external.get("environment", "")),
            str(internal.get("plan", "")),
            f"sha256:{base['digest']['sha256']}" if base else "",
        )
    except (RefusedError, LookupError, TypeError, AttributeError):
        return None


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "")}


def _from(content: bytes) -> Callable[[int], list[bytes]]:
    return lambda start: [content[start:]]


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
