"""Puts the seal on a pushed image: see `seal`. Works in the registry, and moves no layer.

The seal changes the configuration of the image, and so its digest. BuildKit's attestations about the image,
which are in the same index, name that digest; they are stored again with the new one.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Blob, Manifest, read_object, read_parts, sha256
from providers.docker.registry.seal import is_sealed, sealed
from providers.errors import GoneError

_TYPE, _ABOUT = "vnd.docker.reference.type", "vnd.docker.reference.digest"
"""The annotations of attestations in an index.

https://github.com/moby/buildkit/blob/master/docs/attestations/attestation-storage.md
"""


def seal(registry: RegistryClient, digest: str) -> str:
    """Store an image of the repository with a seal in its configuration; the digest of that one.

    An image with a seal stays unchanged. The digest of an index stands for the images that it lists.

    Raises:
        GoneError: the image is not in the registry.
        RefusedError: it is not an image.
    """
    manifest = _manifest(registry, digest)
    return _seal_index(registry, manifest) if manifest.is_index else _seal_image(registry, manifest)


def _seal_index(registry: RegistryClient, index: Manifest) -> str:
    document = read_object(index.content, f"the index of {registry.repository}")
    entries: list[dict[str, Any]] = document.get("manifests") or []
    renamed: dict[str, str] = {}
    for entry in entries:
        if not _is_attestation(entry):
            renamed[entry["digest"]] = _seal_image(registry, _manifest(registry, entry["digest"]))
    if all(old == new for old, new in renamed.items()):
        return index.digest
    for entry in entries:
        if _is_attestation(entry):
            about = entry["annotations"].get(_ABOUT, "")
            entry["annotations"][_ABOUT] = renamed.get(about, about)
            stored = _rename_attestation(registry, _manifest(registry, entry["digest"]), renamed)
        else:
            stored = renamed[entry["digest"]]
        entry |= {"digest": stored, "size": len(_manifest(registry, stored).content)}
    return _put(registry, index.media_type, document)


def _seal_image(registry: RegistryClient, manifest: Manifest) -> str:
    name = f"{registry.repository}@{manifest.digest}"
    described = read_parts(manifest, name)[0]
    config = read_object(b"".join(registry.read_blob(described)), f"the configuration of {name}")
    if is_sealed(config):
        return manifest.digest
    document = read_object(manifest.content, f"the manifest of {name}")
    document["config"] |= _upload(registry, described.media_type, sealed(config))
    return _put(registry, manifest.media_type, document)


def _rename_attestation(registry: RegistryClient, manifest: Manifest, renamed: Mapping[str, str]) -> str:
    """Store an attestation whose statements have the new digests of their images as subjects."""
    name = f"{registry.repository}@{manifest.digest}"
    document = read_object(manifest.content, f"the manifest of {name}")
    described, layers = read_parts(manifest, name)
    written: dict[str, str] = {}
    for layer, blob in zip(document["layers"], layers, strict=True):
        statement = read_object(b"".join(registry.read_blob(blob)), f"an attestation of {name}")
        for subject in statement.get("subject") or ():
            digests = subject.get("digest") or {}
            old = f"sha256:{digests.get('sha256', '')}"
            if old in renamed:
                digests["sha256"] = renamed[old].removeprefix("sha256:")
        layer.update(_upload(registry, blob.media_type, statement))
        written[blob.digest] = layer["digest"]
    config = read_object(b"".join(registry.read_blob(described)), f"the configuration of {name}")
    diff_ids = (config.get("rootfs") or {}).get("diff_ids") or []
    diff_ids[:] = [written.get(diff_id, diff_id) for diff_id in diff_ids]  # statements are not compressed
    document["config"] |= _upload(registry, described.media_type, config)
    return _put(registry, manifest.media_type, document)


def _is_attestation(entry: Mapping[str, Any]) -> bool:
    return _TYPE in (entry.get("annotations") or {})


def _manifest(registry: RegistryClient, digest: str) -> Manifest:
    manifest = registry.manifest(digest)
    if manifest is None:
        raise GoneError(f"{registry.repository}@{digest} is not in the registry")
    return manifest


def _upload(registry: RegistryClient, media_type: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Store a JSON document; its digest and size, for a descriptor."""
    content = _encode(document)
    blob = Blob(media_type, sha256(content), len(content))
    registry.upload(blob, _content(content))
    return {"digest": blob.digest, "size": blob.size}


def _content(content: bytes) -> Callable[[int], list[bytes]]:
    return lambda start: [content[start:]]


def _put(registry: RegistryClient, media_type: str, document: Mapping[str, Any]) -> str:
    content = _encode(document)
    return registry.put_manifest(sha256(content), media_type, content)


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
