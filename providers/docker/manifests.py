"""What a registry stores of an image: manifests, indexes, configurations, as data.

Pure: takes apart what `registry` has read, and asks nobody. The formats are the OCI image specification's and
Docker's schema 2: https://github.com/opencontainers/image-spec · https://distribution.github.io/distribution/spec/
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.errors import RefusedError

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPES = (OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST)

_LARGEST_CONFIG = 8 << 20  # bytes
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Blob:
    """A layer or configuration as a manifest names it; `size` in bytes, as stored."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()

    def descriptor(self) -> dict[str, Any]:
        """As it is written in a manifest."""
        written: dict[str, Any] = {"mediaType": self.media_type, "size": self.size, "digest": self.digest}
        if self.urls:
            written["urls"] = list(self.urls)
        return written


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or index, byte for byte."""

    digest: str
    media_type: str
    content: bytes

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests, one per platform."""
        return self.media_type in (DOCKER_INDEX, OCI_INDEX)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedImage:
    """An image in a registry.

    Attributes:
        digest: what the tag points to; of the index when there is one.
        media_type: of that.
        manifest_digest: of this platform's manifest.
        manifest_media_type: of that.
        platform: "os/architecture[/variant]", as the image itself says.
        config: its configuration, as written (labels, environment, history, …).
        layers: lowest first.
    """

    digest: str
    media_type: str
    manifest_digest: str
    manifest_media_type: str
    platform: str
    config: Mapping[str, Any]
    layers: tuple[Blob, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """The image's labels; empty when it has none."""
        return (self.config.get("config") or {}).get("Labels") or {}

    @property
    def size(self) -> int:
        """Bytes of all layers, as stored."""
        return sum(layer.size for layer in self.layers)


def sha256(content: bytes) -> str:
    """The digest of `content`: "sha256:…"."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_manifest(content: bytes, content_type: str, name: str) -> Manifest:
    """What a registry answered for `name`.

    Args:
        content_type: the answer's header, for a manifest that does not say what it is.

    Raises:
        RefusedError: it is no manifest, or one of the format before 2016.
    """
    written = read_object(content, f"the manifest of {name}")
    if written.get("schemaVersion") != 2:
        raise RefusedError(
            f"{name} is stored in the registry's format of before 2016",
            hint="push it again with a current Docker",
        )
    media_type = written.get("mediaType") or content_type.partition(";")[0]
    return Manifest(sha256(content), str(media_type), content)


def choose(index: Manifest, platform: str, name: str) -> str:
    """The digest of this platform's manifest.

    Raises:
        RefusedError: the index has none for it.
    """
    wanted = _platform(*platform.split("/"))
    offered = []
    for entry in json.loads(index.content).get("manifests", ()):
        parts = entry.get("platform") or {}
        found = _platform(parts.get("os", ""), parts.get("architecture", ""), parts.get("variant", ""))
        if found[:2] == wanted[:2] and (not wanted[2] or not found[2] or wanted[2] == found[2]):
            return str(entry["digest"])
        if found[0] != "unknown":  # attestations are listed under unknown/unknown
            offered.append("/".join(part for part in found if part))
    raise RefusedError(
        f"{name} has nothing for {platform}, only for {', '.join(offered) or 'no platform at all'}",
        hint="publish it for that platform, or ask for another one",
    )


def read_parts(manifest: Manifest, name: str) -> tuple[Blob, tuple[Blob, ...]]:
    """The configuration and the layers that a manifest names.

    Raises:
        RefusedError: it is the manifest of something else than an image.
    """
    written = json.loads(manifest.content)
    try:
        config = _blob(written["config"])
        layers = tuple(_blob(layer) for layer in written["layers"])
    except (KeyError, TypeError):
        raise RefusedError(f"{name} is no image: it is a {manifest.media_type}") from None
    if config.size > _LARGEST_CONFIG:
        raise RefusedError(f"{name} is no image: its configuration is too large")
    return config, layers


def read_image(top: Manifest, manifest: Manifest, config: bytes, name: str) -> PublishedImage:
    """An image from what a registry gave: `top` is what the tag points to, `manifest` this platform's.

    Raises:
        RefusedError: they are not those of an image.
    """
    written = read_object(config, f"the configuration of {name}")
    return PublishedImage(
        digest=top.digest,
        media_type=top.media_type,
        manifest_digest=manifest.digest,
        manifest_media_type=manifest.media_type,
        platform="/".join(str(written[key]) for key in ("os", "architecture", "variant") if written.get(key)),
        config=written,
        layers=read_parts(manifest, name)[1],
    )


def read_object(content: bytes, what: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        RefusedError: it is none.
    """
    try:
        written = json.loads(content)
    except ValueError:
        written = None
    if not isinstance(written, dict):
        raise RefusedError(f"{what} is not readable: it is no JSON object")
    return written


def _platform(system: str, architecture: str = "", variant: str = "") -> tuple[str, str, str]:
    return system, _ARCHITECTURES.get(architecture, architecture), variant


def _blob(descriptor: Mapping[str, Any]) -> Blob:
    return Blob(
        descriptor.get("mediaType", ""),
        descriptor["digest"],
        descriptor["size"],
        tuple(descriptor.get("urls") or ()),
    )
