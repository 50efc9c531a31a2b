"""The builder without Docker: appends the folder as one layer to a base image in a registry.

Runs no Dockerfile and no code. The same source on the same base gives the same bytes, and so the same digest,
on any machine with the same zlib: sorted entries, no times, no owners, a fixed compression level. A Python
built with zlib-ng produces other bytes and another digest. Nothing depends on it, as published images are
identified by their source key.

Layers of the base are not transferred if the registry can mount them.
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
from providers.docker.labels import BASE_DIGEST, BASE_NAME, CREATED
from providers.docker.registry.auth import stored_login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import login_beside
from providers.docker.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST, Blob, PublishedImage, sha256
from providers.docker.registry.reference import (
    Repository,
    check_tag,
    is_digest,
    parse_image,
    parse_repository,
)
from providers.docker.registry.seal import sealed
from providers.docker.source.archive import archive
from providers.docker.source.key import Entry, ImageSource, context, whiteouts
from providers.errors import GoneError, RefusedError
from providers.protocol import Progress, Report

_COMPRESSION_LEVEL = 6  # changing it changes every digest
_MAX_IN_MEMORY = 64 << 20  # bytes; larger compressed layers go to a temporary file
_CHUNK_SIZE = 1 << 20  # bytes
_EPOCH = "1970-01-01T00:00:00Z"
_DOCKERFILE_SETTINGS = ("target", "build_args", "secrets", "cache_from", "cache_to", "sbom")
_DEFAULT_FOLDER = "/experiment"
# Folders with special modes in images, which a layer must preserve.
_MODES = {"tmp": 0o1777, "var/tmp": 0o1777, "root": 0o700}


@dataclass(frozen=True, slots=True)
class _Family:
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
            RegistryClient(parse_repository(repository), pool=self._pool) as target,
            tempfile.SpooledTemporaryFile(max_size=_MAX_IN_MEMORY) as file,
        ):
            base = _read_base(from_base, source)
            family = _DOCKER if base.manifest_media_type == DOCKER_MANIFEST else _OCI
            folder = _folder(source, base)
            layer, diff_id = _pack(file, _layer(source, base, folder, report), family.layer, report)
            config = _config(source, base, folder, diff_id, labels)
            config_blob = Blob(family.config, f"sha256:{hashlib.sha256(config).hexdigest()}", len(config))
            for blob in base.layers:
                if not blob.urls:  # layers with urls are not distributable
                    target.copy(blob, from_base, report)
            target.upload(layer, lambda start: _chunks(file, start), report)
            target.upload(config_blob, lambda start: [config[start:]], report)
            manifest = _manifest(family, config_blob, base, layer)
            return target.put_manifest(sha256(manifest), family.manifest, manifest)


def base_client(source: ImageSource, pool: ConnectionPool | None) -> AbstractContextManager[RegistryClient]:
    """A client of the repository of `source.base`. Raises RefusedError if there is none."""
    base = _base(source)[0]
    look_up = login_beside(base, parse_repository(source.pushed_to)) if source.pushed_to else stored_login
    return RegistryClient(base, look_up=look_up, pool=pool)


def _base(source: ImageSource) -> tuple[Repository, str]:
    if source.base is None:
        raise RefusedError(
            "the append builder has no base image to add the folder to",
            hint="set base, or build with a Docker Engine",
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
    path = PurePosixPath(folder)
    if not path.is_absolute() or ".." in path.parts:
        raise RefusedError(
            f"the working directory {folder!r} is not an absolute path",
            hint=f"use a path such as {_DEFAULT_FOLDER}",
        )
    return str(path)


def _layer(source: ImageSource, base: PublishedImage, folder: str, report: Report) -> Iterator[bytes]:
    """The context as a tar of files below `folder`."""
    prefix = folder.strip("/")
    # The base's own working directory exists; any other one must be part of the layer.
    exists = _working_folder(base).rstrip("/") == folder
    return archive(
        source,
        _entries(source),
        prefix=f"{prefix}/" if prefix else "",
        folders={} if exists else _ancestors(prefix),
        report=report,
    )


def _pack(file: IO[bytes], chunks: Iterable[bytes], media_type: str, report: Report) -> tuple[Blob, str]:
    """Compresses a layer into `file`. Returns the blob and the digest of the uncompressed content."""
    content_hash = hashlib.sha256()
    output = _HashingWriter(file)
    done = 0
    with gzip.GzipFile("", "wb", _COMPRESSION_LEVEL, output, mtime=0) as compressor:
        for chunk in chunks:
            content_hash.update(chunk)
            compressor.write(chunk)
            done += len(chunk)
            report(Progress("build", "layer", "packing the folder", done))
    return Blob(media_type, output.digest, output.size), f"sha256:{content_hash.hexdigest()}"


class _HashingWriter:
    """A write-only file that computes size and digest of its content."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def write(self, chunk: bytes) -> int:
        self._hash.update(chunk)
        self.size += len(chunk)
        return self._file.write(chunk)

    def flush(self) -> None:
        self._file.flush()


def _ancestors(path: str) -> dict[str, int]:
    """`path` and the folders above it, outermost first, with their usual modes in images."""
    parts = path.split("/") if path else []
    folders = ("/".join(parts[: count + 1]) for count in range(len(parts)))
    return {folder: _MODES.get(folder, 0o755) for folder in folders}


def _chunks(file: IO[bytes], start: int) -> Iterator[bytes]:
    file.seek(start)
    while chunk := file.read(_CHUNK_SIZE):
        yield chunk


def _config(
    source: ImageSource, base: PublishedImage, folder: str, diff_id: str, labels: Mapping[str, str]
) -> bytes:
    """The base's configuration, changed as by a Dockerfile's instructions."""
    config: dict[str, Any] = json.loads(json.dumps(base.config))
    run = config["config"] = config.get("config") or {}
    run["WorkingDir"] = folder
    of_base = {BASE_NAME: _base_name(source), BASE_DIGEST: base.digest}
    run["Labels"] = dict(sorted({**(run.get("Labels") or {}), **labels, **of_base}.items()))
    run["Env"] = _environment(run.get("Env") or [], source.env)
    if source.entrypoint is not None:
        run["Entrypoint"] = list(source.entrypoint)
        run.pop("Cmd", None)  # it contains the arguments of the base's entrypoint
    created = labels.get(CREATED, _EPOCH)
    config["created"] = created
    config["rootfs"]["diff_ids"].append(diff_id)
    config["history"] = [
        *(config.get("history") or []),
        {"created": created, "created_by": f"COPY . {folder} # picsellia-reconciler append"},
    ]
    return _encode(sealed(config))


def _environment(base: list[str], added: Mapping[str, str]) -> list[str]:
    values = dict(line.partition("=")[::2] for line in base)
    return [f"{name}={value}" for name, value in {**values, **added}.items()]


def _manifest(family: _Family, config: Blob, base: PublishedImage, layer: Blob) -> bytes:
    return _encode(
        {
            "schemaVersion": 2,
            "mediaType": family.manifest,
            "config": config.descriptor(),
            "layers": [blob.descriptor() for blob in (*base.layers, layer)],
        }
    )


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()
