"""The manifests that refer to an image: statements of provenance, signatures, and so on.

A registry lists them, or its clients keep the list in an index under a tag that is made from the digest.
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#referrers-tag-schema
"""

import json
from collections.abc import Sequence

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import OCI_INDEX, Entry, read_entries, referrers_tag
from providers.errors import TransientError


def referrers(registry: RegistryClient, digest: str) -> Sequence[Entry]:
    """The descriptors of the manifests that refer to the one with this digest, in any registry.

    Raises:
        RefusedError: the list is malformed.
    """
    listed = registry.referrers(digest)
    return listed if listed is not None else _indexed(registry, referrers_tag(digest))


def list_referrers(registry: RegistryClient, digest: str, entries: Sequence[Entry]) -> None:
    """List these stored manifests as referrers of the one with this digest, where the registry does not.

    Raises:
        TransientError: another tool wrote the list at the same moment.
    """
    if not entries or registry.referrers(digest) is not None:
        return
    tag = referrers_tag(digest)
    if missing := _missing(registry, tag, entries):
        listed = [*_indexed(registry, tag), *missing]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}
        registry.put_manifest(tag, OCI_INDEX, json.dumps(document, separators=(",", ":")).encode())
        if _missing(registry, tag, missing):
            raise TransientError(f"another tool wrote {registry.repository}:{tag} at the same moment")


def _missing(registry: RegistryClient, tag: str, entries: Sequence[Entry]) -> list[Entry]:
    known = {entry["digest"] for entry in _indexed(registry, tag)}
    return [entry for entry in entries if entry["digest"] not in known]


def _indexed(registry: RegistryClient, tag: str) -> Sequence[Entry]:
    """The entries of the index under this tag; none if there is none."""
    index = registry.manifest(tag)
    return read_entries(index, f"{registry.repository}:{tag}") if index is not None and index.is_index else ()
