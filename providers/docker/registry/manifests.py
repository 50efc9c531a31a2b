"""Manifests, indexes and image configurations as data.

Pure: parses the responses that `client` reads. The formats are the OCI image specification's and Docker's
schema 2: https://github.com/opencontainers/image-spec · https://distribution.github.io/distribution/spec/
"""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

from msgspec import Struct

from providers.answers import MalformedAnswerError, json_object
from providers.docker.registry.reference import is_digest
from providers.docker.registry.seal import is_derived
from providers.errors import RefusedError

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
MEDIA_TYPES = (OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST)

_MAX_CONFIG_SIZE = 8 << 20  # bytes
_MAX_BLOB_SIZE = 1 << 50  # bytes
_PLATFORM = ("os", "architecture", "variant")
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
# Those that Docker takes for an image's: https://github.com/distribution/distribution/issues/1621
_CONFIG_TYPES = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
    "application/json",
    "",
)


class OtherContentError(RefusedError):
    """The registry has something else under a name than an image for the platform.

    Args:
        platforms: those that it has an image for; none if it is not an image.
    """

    def __init__(self, message: str, *, platforms: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.platforms = platforms


class Blob(Struct, frozen=True):
    """The descriptor of a layer or configuration; `size` is the stored size in bytes."""

    media_type: str
    digest: str
    size: int
    urls: tuple[str, ...] = ()

    def descriptor(self) -> dict[str, Any]:
        """The JSON descriptor for a manifest."""
        written: dict[str, Any] = {"mediaType": self.media_type, "size": self.size, "digest": self.digest}
        if self.urls:
            written["urls"] = list(self.urls)
        return written


class Manifest(Struct, frozen=True):
    """A manifest or index, byte for byte."""

    digest: str
    media_type: str
    content: bytes

    @property
    def is_index(self) -> bool:
        """Whether this is an index, with one manifest per platform."""
        return self.media_type in (DOCKER_INDEX, OCI_INDEX)


class PublishedImage(Struct, frozen=True, kw_only=True):
    """An image in a registry.

    Attributes:
        digest: digest that the tag points to, that of the index if there is one.
        media_type: media type of that index or manifest.
        manifest_digest: digest of this platform's manifest.
        manifest_media_type: media type of this platform's manifest.
        platform: "os/architecture[/variant]", from the image's configuration.
        config: the raw configuration (labels, environment, history, …).
        layers: the layers, lowest first.
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
        """The image's labels that have a text; none if they are those of the image that it was made from."""
        labels = {} if is_derived(self.config) else (self.config.get("config") or {}).get("Labels") or {}
        return {name: text for name, text in labels.items() if text}

    @property
    def size(self) -> int:
        """Stored size of all layers in bytes."""
        return sum(layer.size for layer in self.layers)


def sha256(content: bytes) -> str:
    """The digest of `content`: "sha256:…"."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def read_manifest(content: bytes, content_type: str, name: str) -> Manifest:
    """Parses a registry's response for the image `name`.

    Args:
        content_type: the response's header, for a manifest without a media type.

    Raises:
        RefusedError: it is not a manifest, or has the format from before 2016.
    """
    written = read_object(content, f"the manifest of {name}")
    if written.get("schemaVersion") != 2:
        raise RefusedError(
            f"{name} is stored in a manifest format from before 2016",
            hint="push it again with a current version of Docker",
        )
    media_type = written.get("mediaType")
    if not isinstance(media_type, str) or not media_type:
        media_type = content_type.partition(";")[0]
    return Manifest(sha256(content), media_type, content)


Entry = Mapping[str, Any]
"""The descriptor of a manifest in an index. It has a valid digest."""


def referrers_tag(digest: str) -> str:
    """The tag of the index with the referrers of a manifest, in a registry that does not list them."""
    return digest.replace(":", "-", 1)


def read_entries(index: Manifest, name: str) -> tuple[Entry, ...]:
    """The descriptors in an index.

    Raises:
        RefusedError: it is malformed.
    """
    entries = read_object(index.content, f"the index of {name}").get("manifests") or []
    if not _are_objects(entries) or not all(is_digest(_text(entry.get("digest"))) for entry in entries):
        raise RefusedError(f"{name} is not an image: its index has a malformed list of manifests")
    return tuple(entries)


def read_blobs(manifest: Manifest, name: str) -> tuple[Blob, ...]:
    """Every blob that the registry must have before it has this manifest, also one that is no image.

    Raises:
        RefusedError: it is malformed.
    """
    written = read_object(manifest.content, f"the manifest of {name}")
    config, listed = written.get("config"), written.get("layers")
    described = [*([] if config is None else [config]), *([] if listed is None else listed)]
    if not _are_objects(described):
        raise RefusedError(f"{name} is not an image: its manifest has a malformed list of blobs")
    blobs = {blob.digest: blob for blob in (_blob(one, name) for one in described)}
    return tuple(blob for blob in blobs.values() if not blob.urls)  # others are not distributable


def select_manifest(index: Manifest, platform: str, name: str) -> str:
    """The digest of the manifest for `platform`.

    Raises:
        OtherContentError: the index has no manifest for it.
        RefusedError: the index is malformed.
    """
    available: list[str] = []
    entries = read_object(index.content, f"the index of {name}").get("manifests") or []
    if not _are_objects(entries):
        raise RefusedError(f"{name} is not an image: its index has a malformed list of manifests")
    for entry in entries:
        parts = entry.get("platform")
        parts = parts if isinstance(parts, dict) else {}
        found = _joined(parts)
        if fits(found, platform):
            digest = _text(entry.get("digest"))
            if not is_digest(digest):
                raise RefusedError(f"{name} is not an image: its index has a manifest without a digest")
            return digest
        if found and not found.startswith("unknown"):  # attestations are listed under unknown/unknown
            available.append(found)
    raise OtherContentError(
        f"{name} has no image for {platform}, only for {', '.join(available) or 'no platform at all'}",
        platforms=tuple(dict.fromkeys(available)),
        hint="publish it for that platform, or choose another platform",
    )


def read_parts(manifest: Manifest, name: str) -> tuple[Blob, tuple[Blob, ...]]:
    """The configuration and the layers listed in a manifest.

    Raises:
        OtherContentError: it is the manifest of something else.
        RefusedError: it is malformed.
    """
    written = read_object(manifest.content, f"the manifest of {name}")
    described, listed = written.get("config"), written.get("layers")
    if not isinstance(described, dict) or not _are_objects(listed):
        raise OtherContentError(
            f"{name} is not an image: it is a {manifest.media_type or 'manifest without a media type'}"
        )
    config = _blob(described, name)
    layers = tuple(_blob(layer, name) for layer in listed)
    if config.size > _MAX_CONFIG_SIZE:
        raise RefusedError(f"{name} is not an image: its configuration is too large")
    return config, layers


def read_configuration(manifest: Manifest, name: str) -> Blob:
    """The configuration that an image's manifest lists. Raises as `read_parts`."""
    config, _ = read_parts(manifest, name)
    if config.media_type not in _CONFIG_TYPES:
        raise OtherContentError(f"{name} is not an image: its configuration is a {config.media_type}")
    return config


def read_image(top: Manifest, manifest: Manifest, config: bytes, name: str) -> PublishedImage:
    """Builds an image from a registry's responses.

    Args:
        top: the manifest or index that the tag points to.
        manifest: the manifest of the platform.
        config: the content of the configuration.

    Raises:
        RefusedError: the responses are malformed.
    """
    written = read_object(config, f"the configuration of {name}")
    _check_config(written, name)
    return PublishedImage(
        digest=top.digest,
        media_type=top.media_type,
        manifest_digest=manifest.digest,
        manifest_media_type=manifest.media_type,
        platform=_joined(written),
        config=written,
        layers=read_parts(manifest, name)[1],
    )


def read_object(content: bytes, what: str) -> dict[str, Any]:
    """Parses a JSON object.

    Raises:
        RefusedError: it is not a JSON object.
    """
    try:
        return json_object(content, dict)
    except MalformedAnswerError as problem:
        raise RefusedError(f"{what} is not readable: {problem}") from None


def fits(published: str, platform: str) -> bool:
    """Whether an image for the one platform is one for the other. A variant only counts if both have one."""
    (*found, found_variant), (*target, target_variant) = _parts(published), _parts(platform)
    return found == target and found_variant in ("", target_variant or found_variant)


def _parts(platform: str) -> tuple[str, str, str]:
    system, architecture, variant = (*platform.split("/", 2), "", "")[:3]
    return system, _ARCHITECTURES.get(architecture, architecture), variant


def _joined(described: Mapping[str, Any]) -> str:
    """The platform in a configuration or an index; "" without one."""
    return "/".join(part for key in _PLATFORM if (part := _text(described.get(key))))


def _check_config(written: Mapping[str, Any], name: str) -> None:
    """Checks the types of the used keys of an image's configuration.

    Raises:
        RefusedError: a key has the wrong type. Null counts as absent, as Docker writes it.
    """
    run = written.get("config")
    run = {} if run is None else run
    rootfs = written.get("rootfs")
    rootfs = {} if rootfs is None else rootfs
    if not isinstance(run, dict):
        raise RefusedError(f"the configuration of {name} is not readable: config is not an object")
    if not isinstance(rootfs, dict):
        raise RefusedError(f"the configuration of {name} is not readable: rootfs is not an object")
    labels = run.get("Labels")
    if labels is not None and not (isinstance(labels, dict) and _are_texts([*labels.values()])):
        raise RefusedError(f"the configuration of {name} is not readable: Labels is not an object of strings")
    checks: list[tuple[str, Any, Callable[[Any], bool], str]] = [
        ("Env", run.get("Env"), _are_texts, "a list of strings"),
        ("diff_ids", rootfs.get("diff_ids"), _are_texts, "a list of strings"),
        ("history", written.get("history"), _are_objects, "a list of objects"),
        ("WorkingDir", run.get("WorkingDir"), _is_text, "a string"),
        ("created", written.get("created"), _is_text, "a string"),
        *((key, written.get(key), _is_text, "a string") for key in _PLATFORM),
    ]
    for key, value, is_valid, expected in checks:
        if value is not None and not is_valid(value):
            raise RefusedError(f"the configuration of {name} is not readable: {key} is not {expected}")


def _blob(descriptor: Mapping[str, Any], name: str) -> Blob:
    digest, size, urls = (descriptor.get(key) for key in ("digest", "size", "urls"))
    if not isinstance(digest, str) or not is_digest(digest):
        raise RefusedError(f"{name} is not an image: its manifest has an entry without a digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < _MAX_BLOB_SIZE:
        raise RefusedError(f"{name} is not an image: its manifest has no valid size for {digest[:19]}")
    if urls is not None and not _are_texts(urls):
        raise RefusedError(f"{name} is not an image: its manifest has no valid urls for {digest[:19]}")
    return Blob(_text(descriptor.get("mediaType")), digest, size, tuple(urls or ()))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _are_objects(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
