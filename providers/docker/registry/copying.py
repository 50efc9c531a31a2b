"""Copies an image to another repository, with everything that belongs to it.

That is, of an index, the images of all platforms; and the manifests that refer to it, such as attestations.
Blobs are mounted within a registry, and otherwise streamed from one to the other. A manifest is put after its
parts, and under its digest only. So what a killed copy leaves has no tag, and the next one goes on there.
"""

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Entry, read_blobs, read_entries, referrers_tag
from providers.docker.registry.referrers import list_referrers, referrers
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
        RefusedError: it is damaged.
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
            _check_size(source, entry, name)
            copy_image(source, target, entry["digest"], report, depth + 1)
    elif is_missing:
        for blob in read_blobs(manifest, name):
            target.copy(blob, source, report)
    if is_missing:
        target.put_manifest(digest, manifest.media_type, manifest.content)
    _copy_referrers(source, target, digest, report, depth)


def check_sizes(source: RegistryClient, digest: str) -> None:
    """Check the sizes that an index has of its images: Docker refuses to pull one of another size.

    Raises:
        RefusedError: a manifest has another size, or the index is malformed.
        ProviderError: the registry cannot be read.
    """
    manifest, name = source.manifest(digest), f"{source.repository}@{digest}"
    for entry in read_entries(manifest, name) if manifest is not None and manifest.is_index else ():
        _check_size(source, entry, name)


def _check_size(source: RegistryClient, entry: Entry, name: str) -> None:
    """Raise RefusedError if a manifest has another size than its entry in the index with this name."""
    manifest = source.manifest(entry["digest"])
    if manifest is not None and entry.get("size") != len(manifest.content):
        raise RefusedError(
            f"{name} is damaged: its index says that {entry['digest'][:19]} has {entry.get('size')} bytes, "
            f"and it has {len(manifest.content)}",
            hint="Docker cannot pull it; publish the image again, as the next version",
        )


def _copy_referrers(
    source: RegistryClient, target: RegistryClient, digest: str, report: Report, depth: int
) -> None:
    """Copy the manifests that refer to this one, and list them where the registry does not."""
    tag, entries = referrers_tag(digest), referrers(source, digest)
    for entry in entries:
        copy_image(source, target, entry["digest"], report, depth + 1)
    list_referrers(target, digest, entries)
    for end in _COSIGN:
        signed = source.digest(tag + end)
        if signed is not None and target.digest(tag + end) is None:
            copy_image(source, target, signed, report, depth + 1)
            target.tag(signed, tag + end)
