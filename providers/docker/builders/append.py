"""The builder that needs no Docker: the folder becomes one layer on top of a base image in a registry.

Runs no Dockerfile and no code. The same source on the same base gives the same bytes, and so the same
digest, on any machine with the same zlib: sorted entries, no times, no owners, a fixed compression level. A
Python made with zlib-ng packs the same files into other bytes, so into another digest; nothing is decided by
that, as what is published is told by its source key.

A layer of the base is never read when the registry can take it over by itself.
"""

import gzip
import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from providers.docker.builders.builder_requirements import refuse_settings
from providers.docker.labels import CREATED
from providers.docker.registry.auth import stored_login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import push_login
from providers.docker.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST, Blob, PublishedImage, sha256
from providers.docker.registry.reference import (
    Repository,
    check_tag,
    is_digest,
    parse_image,
    parse_repository,
)
from providers.docker.source.archive import archive
from providers.docker.source.key import Entry, ImageSource, context
from providers.errors import GoneError, RefusedError
from providers.protocol import Progress, Report

_LEVEL = 6  # of compression; changing it changes every digest
_IN_MEMORY = 64 << 20  # bytes of a compressed layer beyond which it is kept in a temporary file
_PIECE = 1 << 20
_EPOCH = "1970-01-01T00:00:00Z"
_FOR_A_DOCKERFILE = ("target", "build_args", "secrets", "cache_from", "cache_to")
_DEFAULT_FOLDER = "/experiment"
# Folders that images have with a mode of their own; a layer that lists them must not change it.
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}


@dataclass(frozen=True, slots=True)
class _Family:
    """Media types that belong together."""

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

    def __init__(self, source: ImageSource, reason: str, pool: ConnectionPool | None = None) -> None:
        self.reason = reason
        self._source = source
        self._pool = pool

    def check(self) -> None:
        """The base image exists for the platform, and the context fits into a layer.

        Raises:
            RefusedError: no base is named, it has nothing for the platform, a name cannot be in a layer, or a
                setting is one for a Dockerfile.
            GoneError: there is no such base image.
            ProviderError: its registry cannot be asked.
        """
        refuse_settings(self._source, "append", *_FOR_A_DOCKERFILE)
        with _base_client(self._source, self._pool) as client:
            _read_base(client, self._source)
        _entries(self._source)

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Push the appended image, under no tag; its digest.

        Raises:
            ProviderError: as `check`, and what the target registry answers.
        """
        check_tag(tag)
        with (
            _base_client(source, self._pool) as base_client,
            RegistryClient(parse_repository(repository), pool=self._pool) as target,
            tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file,
        ):
            base = _read_base(base_client, source)
            family = _DOCKER if base.manifest_media_type == DOCKER_MANIFEST else _OCI
            folder = _folder(source, base)
            layer, diff_id = _pack(file, _layer(source, base, folder), family.layer, report)
            config = _config(source, base, folder, diff_id, labels)
            config_blob = Blob(family.config, f"sha256:{hashlib.sha256(config).hexdigest()}", len(config))
            for blob in base.layers:
                if not blob.urls:  # layers that may not be copied name where they are
                    target.copy(blob, base_client, report)
            target.upload(layer, lambda start: _pieces(file, start), report)
            target.upload(config_blob, lambda start: [config[start:]], report)
            manifest = _manifest(family, config_blob, base, layer)
            return target.put_manifest(sha256(manifest), family.manifest, manifest)


def _base_client(source: ImageSource, pool: ConnectionPool | None) -> AbstractContextManager[RegistryClient]:
    base = _base(source)[0]
    pushed_to = parse_repository(source.pushed_to).registry if source.pushed_to else None
    look_up = push_login if base.registry == pushed_to else stored_login
    return RegistryClient(base, look_up=look_up, pool=pool)


def _base(source: ImageSource) -> tuple[Repository, str]:
    if source.base is None:
        raise RefusedError(
            "the append builder has no base image to add the folder to",
            hint="name one, or build with a Docker Engine",
        )
    return parse_image(source.base)


def _read_base(client: RegistryClient, source: ImageSource) -> PublishedImage:
    reference = _base(source)[1]
    image = client.image(reference, source.platform)
    if image is None:
        raise GoneError(
            f"there is no base image {source.base}",
            hint="check its name and tag" if not is_digest(reference) else "check its name and digest",
        )
    known = (image.config.get("rootfs") or {}).get("diff_ids")
    if known is None or len(known) != len(image.layers):
        raise RefusedError(f"{source.base} is no image that a layer can be added to")
    if not _fits(image.platform, source.platform):
        raise RefusedError(
            f"the base image {source.base} is for {image.platform}, not for {source.platform}",
            hint="name a base image for that platform",
        )
    return image


def _fits(found: str, wanted: str) -> bool:
    return found.split("/")[:2] == wanted.split("/")[:2]


def _entries(source: ImageSource) -> list[Entry]:
    """The context; refused when a name in it would delete a file of the base (".wh.x" in a layer)."""
    entries = context(source)
    for entry in entries:
        if any(part.startswith(".wh.") for part in entry.path.split("/")):
            raise RefusedError(
                f"{entry.path} cannot be in an image: names that start with .wh. delete files there",
                hint="rename it, or add it to .dockerignore",
            )
    return entries


def _working_folder(base: PublishedImage) -> str:
    return (base.config.get("config") or {}).get("WorkingDir") or ""


def _folder(source: ImageSource, base: PublishedImage) -> str:
    """Where the context goes: an absolute path in the image."""
    folder = source.workdir or _working_folder(base) or _DEFAULT_FOLDER
    path = PurePosixPath(folder)
    if not path.is_absolute() or ".." in path.parts:
        raise RefusedError(
            f"the working directory {folder!r} is no absolute path",
            hint=f"write one such as {_DEFAULT_FOLDER}",
        )
    return str(path)


def _layer(source: ImageSource, base: PublishedImage, folder: str) -> Iterator[bytes]:
    """The folder as a tar of what goes below `folder` in the image."""
    prefix = folder.strip("/")
    # The base's own working directory is there already; any other one has to come with the layer.
    there = _working_folder(base).rstrip("/") == folder
    return archive(
        source,
        _entries(source),
        prefix=f"{prefix}/" if prefix else "",
        folders={} if there else _ancestors(prefix),
    )


def _pack(file: IO[bytes], pieces: Iterable[bytes], media_type: str, report: Report) -> tuple[Blob, str]:
    """A layer compressed into `file`: the blob, and the digest of what is inside."""
    inside = hashlib.sha256()
    counted = _Counted(file)
    done = 0
    with gzip.GzipFile("", "wb", _LEVEL, counted, mtime=0) as packer:
        for piece in pieces:
            inside.update(piece)
            packer.write(piece)
            done += len(piece)
            report(Progress("build", "layer", "packing the folder", done))
    return Blob(media_type, counted.digest, counted.size), f"sha256:{inside.hexdigest()}"


class _Counted:
    """A file that is only written to, with the size and digest of what was written."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, piece: bytes) -> int:
        self._hash.update(piece)
        self.size += len(piece)
        return self._file.write(piece)

    def flush(self) -> None:
        self._file.flush()


def _ancestors(path: str) -> dict[str, int]:
    """`path` and the folders above it, outermost first, with the modes that they have in images."""
    parts = path.split("/") if path else []
    folders = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return {folder: _MODES.get(folder, 0o755) for folder in folders}


def _pieces(file: IO[bytes], start: int) -> Iterator[bytes]:
    file.seek(start)
    while piece := file.read(_PIECE):
        yield piece


def _config(
    source: ImageSource, base: PublishedImage, folder: str, diff_id: str, labels: Mapping[str, str]
) -> bytes:
    """The base's configuration with ours laid over it, as a Dockerfile's instructions would."""
    config: dict[str, Any] = json.loads(json.dumps(base.config))
    run = config["config"] = config.get("config") or {}
    run["WorkingDir"] = folder
    run["Labels"] = dict(sorted({**(run.get("Labels") or {}), **labels}.items()))
    run["Env"] = _environment(run.get("Env") or [], source.env)
    if source.entrypoint is not None:
        run["Entrypoint"] = list(source.entrypoint)
        run.pop("Cmd", None)  # arguments for the base's entrypoint
    created = labels.get(CREATED, _EPOCH)
    config["created"] = created
    config["rootfs"]["diff_ids"].append(diff_id)
    config["history"] = [
        *(config.get("history") or []),
        {"created": created, "created_by": f"COPY . {folder} # picsellia-reconciler append"},
    ]
    return _encoded(config)


def _environment(base: list[str], ours: Mapping[str, str]) -> list[str]:
    values = dict(line.partition("=")[::2] for line in base)
    return [f"{name}={value}" for name, value in {**values, **ours}.items()]


def _manifest(family: _Family, config: Blob, base: PublishedImage, layer: Blob) -> bytes:
    return _encoded(
        {
            "schemaVersion": 2,
            "mediaType": family.manifest,
            "config": config.descriptor(),
            "layers": [blob.descriptor() for blob in (*base.layers, layer)],
        }
    )


def _encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
