"""The builder without Docker: appends the folder to a base image in a registry.

The folder is one layer, or two if it has large files. Runs no Dockerfile and no code. The same source on the
same base gives the same bytes, and so the same digest, on any machine with the same zlib: sorted entries, no
times, no owners, a fixed compression level. A Python built with zlib-ng produces other bytes and another
digest. Nothing depends on it, as published images are identified by their source key.

Layers of the base are not transferred if the registry can mount them.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import PurePosixPath
from typing import IO, Any

from msgspec import Struct

from providers.docker.builders.builder_requirements import refuse_settings
from providers.docker.builders.layer_packing import pack
from providers.docker.labels import BASE_DIGEST, BASE_NAME, CREATED
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.layers import appended_mark
from providers.docker.registry.logins import login_beside, push_login
from providers.docker.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST, Blob, PublishedImage, sha256
from providers.docker.registry.reference import (
    Repository,
    check_tag,
    is_digest,
    parse_image,
    parse_repository,
)
from providers.docker.registry.seal import sealed
from providers.docker.source.archive import LARGE, Piece, archives
from providers.docker.source.key import Entry, ImageSource, context, is_folder_in_image, whiteouts
from providers.errors import GoneError, RefusedError
from providers.protocol import Report

_MAX_IN_MEMORY = 64 << 20  # bytes; more of a layer goes to a temporary file
_EPOCH = "1970-01-01T00:00:00Z"
_DOCKERFILE_SETTINGS = ("target", "build_args", "secrets", "cache_from", "cache_to", "sbom")
_DEFAULT_FOLDER = "/experiment"
# Folders with special modes in images, which a layer must preserve.
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}


class _Family(Struct, frozen=True):
    """The media types of one image format."""

    manifest: str
    config: str
    layer: str


_DOCKER = _Family(
    DOCKER_MANIFEST,
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
)
_OCI = _Family(
    OCI_MANIFEST,
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
)


class AppendBuilder:
    """Appends the filtered context to `source.base`."""

    name = "append"
    label = "reconciler, without Docker"

    def __init__(self, source: ImageSource, reason: str, pool: ConnectionPool | None = None) -> None:
        self.reason = reason
        self._source = source
        self._pool = pool

    def check(self) -> None:
        """Check that the base image exists for the platform, and that the context can become a layer.

        Raises:
            RefusedError: no base is set, it has no image for the platform, a file name is not allowed in a
                layer, or a setting requires a Dockerfile.
            GoneError: the base image does not exist.
            ProviderError: its registry cannot be reached.
        """
        refuse_settings(self._source, "append", *_DOCKERFILE_SETTINGS)
        with base_client(self._source, self._pool) as client:
            _read_base(client, self._source)
        _entries(self._source)

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Push the appended image without a tag. Returns its digest.

        Raises:
            ProviderError: as for `check`, or an error of the target registry.
        """
        check_tag(tag)
        with (
            base_client(source, self._pool) as from_base,
            RegistryClient(parse_repository(repository), look_up=push_login, pool=self._pool) as target,
            ExitStack() as stack,
        ):
            base = _read_base(from_base, source)
            family = _DOCKER if base.manifest_media_type == DOCKER_MANIFEST else _OCI
            folder = _folder(source, base)
            root = f"{os.fspath(source.folder)}/"
            packed = [
                pack(root, pieces, stack.enter_context(_kept()), report)
                for pieces in _layers(source, base, folder, report)
            ]
            config = _config(source, base, folder, [layer.diff_id for layer in packed], labels)
            config_blob = Blob(family.config, f"sha256:{hashlib.sha256(config).hexdigest()}", len(config))
            for blob in base.layers:
                if not blob.urls:  # layers with urls are not distributable
                    target.copy(blob, from_base, report)
            blobs = [Blob(family.layer, layer.digest, layer.size) for layer in packed]
            for blob, layer in zip(blobs, packed, strict=True):
                target.upload(blob, layer.content, report)
            target.upload(config_blob, lambda start: [config[start:]], report)
            manifest = _manifest(family, config_blob, [*base.layers, *blobs])
            return target.put_manifest(sha256(manifest), family.manifest, manifest)


def _kept() -> AbstractContextManager[IO[bytes]]:
    """A file for a packed layer."""
    return tempfile.SpooledTemporaryFile(max_size=_MAX_IN_MEMORY)


def base_client(source: ImageSource, pool: ConnectionPool | None) -> AbstractContextManager[RegistryClient]:
    """A client of the repository of `source.base`. Raises RefusedError if there is none."""
    base = _base(source)[0]
    return RegistryClient(base, look_up=login_beside(base, source.pushed_to), pool=pool)


def _base(source: ImageSource) -> tuple[Repository, str]:
    if source.base is None:
        raise RefusedError(
            "the append builder has no base image to add the folder to",
            hint='name it in [reconciler.image]: base = "python:3.12". Or build with a Docker Engine',
        )
    return parse_image(source.base)


def _base_name(source: ImageSource) -> str:
    repository, reference = _base(source)
    return f"{repository}{'@' if is_digest(reference) else ':'}{reference}"


def _read_base(client: RegistryClient, source: ImageSource) -> PublishedImage:
    reference = _base(source)[1]
    image = client.image(reference, source.platform)
    if image is None:
        raise GoneError(
            f"the base image {source.base} does not exist",
            hint="check its name and tag" if not is_digest(reference) else "check its name and digest",
        )
    diff_ids = (image.config.get("rootfs") or {}).get("diff_ids")
    if diff_ids is None or len(diff_ids) != len(image.layers):
        raise RefusedError(
            f"cannot add a layer to {source.base}: its configuration does not match its layers"
        )
    if not _is_compatible(image.platform, source.platform):
        raise RefusedError(
            f"the base image {source.base} is for {image.platform}, not for {source.platform}",
            hint="use a base image for that platform",
        )
    return image


def _is_compatible(platform: str, target: str) -> bool:
    return platform.split("/")[:2] == target.split("/")[:2]


def _entries(source: ImageSource) -> list[Entry]:
    """The context. Raises RefusedError for names that would delete files of the base (".wh.x" in a layer)."""
    entries = context(source)
    for path in whiteouts(entry.path for entry in entries):
        raise RefusedError(
            f"{path} cannot be in an image: names that start with .wh. delete files there",
            hint="rename it, or add it to .dockerignore",
        )
    return entries


def _working_folder(base: PublishedImage) -> str:
    return (base.config.get("config") or {}).get("WorkingDir") or ""


def _folder(source: ImageSource, base: PublishedImage) -> str:
    """The folder for the context: an absolute path in the image."""
    folder = source.workdir or _working_folder(base) or _DEFAULT_FOLDER
    if not is_folder_in_image(folder):
        raise RefusedError(
            f"the working directory {folder!r} is not an absolute path",
            hint=f"use a path such as {_DEFAULT_FOLDER}",
        )
    return str(PurePosixPath(folder))


def _layers(
    source: ImageSource, base: PublishedImage, folder: str, report: Report
) -> Sequence[Iterator[Piece]]:
    """The context as archives of files below `folder`, one for each layer, lowest first."""
    prefix = folder.strip("/")
    # The base's own working directory exists; any other one must be part of the layer.
    exists = _working_folder(base).rstrip("/") == folder
    return archives(
        source,
        _groups(_entries(source), source),
        prefix=f"{prefix}/" if prefix else "",
        folders={} if exists else _ancestors(prefix),
        report=report,
    )


def _groups(entries: list[Entry], source: ImageSource) -> list[list[Entry]]:
    """Large files, and all other entries: a layer each, so a changed line does not send weights again."""
    large = [
        entry
        for entry in entries
        if entry.kind == "file" and entry.size >= LARGE and entry.path not in source.replaced
    ]
    if not large:
        return [entries]
    paths = {entry.path for entry in large}
    return [large, [entry for entry in entries if entry.path not in paths]]


def _ancestors(path: str) -> dict[str, int]:
    """`path` and the folders above it, outermost first, with their usual modes in images."""
    parts = path.split("/") if path else []
    folders = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return {folder: _MODES.get(folder, 0o755) for folder in folders}


def container_settings(source: ImageSource, base: PublishedImage) -> dict[str, Any]:
    """How a container of the image starts, as in its configuration, and without labels.

    Raises:
        RefusedError: the working directory is not an absolute path.
    """
    settings = _settings(source, base, {})
    del settings["Labels"]
    return settings


def _settings(source: ImageSource, base: PublishedImage, labels: Mapping[str, str]) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(json.dumps(base.config.get("config") or {}))
    settings["WorkingDir"] = _folder(source, base)
    settings["Labels"] = dict(sorted({**(settings.get("Labels") or {}), **labels}.items()))
    settings["Env"] = _environment(settings.get("Env") or [], source.env)
    if source.entrypoint is not None:
        settings["Entrypoint"] = list(source.entrypoint)
        settings.pop("Cmd", None)  # it contains the arguments of the base's entrypoint
    return settings


def _config(
    source: ImageSource, base: PublishedImage, folder: str, diff_ids: Sequence[str], labels: Mapping[str, str]
) -> bytes:
    """The base's configuration, changed as by a Dockerfile's instructions."""
    config: dict[str, Any] = json.loads(json.dumps(base.config))
    of_base = {BASE_NAME: _base_name(source), BASE_DIGEST: base.digest}
    config["config"] = _settings(source, base, {**labels, **of_base})
    created = labels.get(CREATED, _EPOCH)
    config["created"] = created
    config["rootfs"]["diff_ids"] += diff_ids
    marks = (appended_mark(number, len(diff_ids)) for number in range(1, len(diff_ids) + 1))
    config["history"] = [
        *(config.get("history") or []),
        *({"created": created, "created_by": f"COPY . {folder} {mark}"} for mark in marks),
    ]
    return _encode(sealed(config))


def _environment(base: list[str], added: Mapping[str, str]) -> list[str]:
    values = dict(line.partition("=")[::2] for line in base)
    return [f"{name}={value}" for name, value in {**values, **added}.items()]


def _manifest(family: _Family, config: Blob, layers: Iterable[Blob]) -> bytes:
    return _encode(
        {
            "schemaVersion": 2,
            "mediaType": family.manifest,
            "config": config.descriptor(),
            "layers": [blob.descriptor() for blob in layers],
        }
    )


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
