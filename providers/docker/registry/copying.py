"""Copies an image to another repository, with everything that belongs to it.

That is, of an index, the images of all platforms; and the manifests that refer to it, such as attestations.
Blobs are mounted within a registry, and otherwise streamed from one to the other. A manifest is put after its
parts, and under its digest only. So what a killed copy leaves has no tag, and the next one goes on there.

Referrers: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
"""

import json
from collections.abc import Sequence

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import (
    OCI_INDEX,
    Entry,
    read_blobs,
    read_entries,
    referrers_tag,
)
from providers.errors import GoneError, RefusedError
from providers.protocol import Report, silent

_MAX_DEPTH = 8
"""An index of indexes, or a signature of an attestation, is no deeper than this."""
_COSIGN = (".sig", ".att", ".sbom")
"""The ends of the tags under which cosign stores what belongs to an image, without referring to it."""


def copy_image(
    source: RegistryClient, target: RegistryClient, digest: str, report: Report = silent, depth: int = 0
) -> None:
    """Copy the manifest or index with this digest, and what belongs to it. Puts no tag on it.

    Raises:
        GoneError: the source does not have the image, or a part of it.
        ProviderError: one of the registries cannot be read or written.
    """
    name = f"{source.repository}@{digest}"
    if depth > _MAX_DEPTH:
        raise RefusedError(f"{name} is not an image: its manifests are nested too deeply")
    manifest = source.manifest(digest)
    if manifest is None:
        raise GoneError(f"{name} is not in the registry")
    is_missing = target.digest(digest) is None
    if manifest.is_index:
        for entry in read_entries(manifest, name):
            copy_image(source, target, entry["digest"], report, depth + 1)
    elif is_missing:
        for blob in read_blobs(manifest, name):
            target.copy(blob, source, report)
    if is_missing:
        target.put_manifest(digest, manifest.media_type, manifest.content)
    _copy_referrers(source, target, digest, report, depth)


def _copy_referrers(
    source: RegistryClient, target: RegistryClient, digest: str, report: Report, depth: int
) -> None:
    """Copy the manifests that refer to this one, and list them where the registry does not."""
    tag = referrers_tag(digest)
    listed = source.referrers(digest)
    entries = listed if listed is not None else _indexed(source, tag)
    for entry in entries:
        copy_image(source, target, entry["digest"], report, depth + 1)
    if entries and target.referrers(digest) is None:
        _list_under_tag(target, tag, entries)
    for end in _COSIGN:
        signed = source.digest(tag + end)
        if signed is not None and target.digest(tag + end) is None:
            copy_image(source, target, signed, report, depth + 1)
            target.tag(signed, tag + end)


def _indexed(registry: RegistryClient, tag: str) -> Sequence[Entry]:
    """The entries of the index under this tag; none if there is none."""
    index = registry.manifest(tag)
    return read_entries(index, f"{registry.repository}:{tag}") if index is not None and index.is_index else ()


def _list_under_tag(target: RegistryClient, tag: str, entries: Sequence[Entry]) -> None:
    """Add the entries to the index under this tag."""
    existing = _indexed(target, tag)
    known = {entry["digest"] for entry in existing}
    missing = [entry for entry in entries if entry["digest"] not in known]
    if missing:
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*existing, *missing]}
        target.put_manifest(tag, OCI_INDEX, json.dumps(document, separators=(",", ":")).encode())
