"""Finds secrets in a published image: in its configuration and in the files of its layers."""

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from io import BufferedReader
from itertools import chain
from typing import Any, Self

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.reference import parse_image
from providers.docker.source.build_context import ChunkReader
from providers.docker.source.dockerfile_features import instructions
from providers.docker.source.key import CHUNK, ImageSource, dockerfile
from providers.docker.source.secret_scan import Secret, declared, secrets_of_file
from providers.errors import ProviderError, RefusedError
from providers.secret_rules import LARGEST, kind_of_value

_GZIP = 31  # zlib's wbits for a gzip header and the largest window


def secrets_of_layer(stream: Iterator[bytes]) -> Iterator[Secret]:
    """Finds the secrets in the files of a stored layer. Reads it as a stream, once.

    Raises:
        RefusedError: its compression is not supported, or it is not a layer.
    """
    try:
        with tarfile.open(
            fileobj=BufferedReader(ChunkReader(_unpacked(stream)), CHUNK), mode="r|", tarinfo=_Member
        ) as archive:
            for member in archive:
                if member.issparse():  # its holes may be exabytes of zeros
                    raise RefusedError(f"the layer cannot be read: {member.name} is a sparse file")
                if member.isreg() and (file := archive.extractfile(member)) is not None:
                    yield from secrets_of_file(member.name, iter(partial(file.read, CHUNK), b""))
    except ProviderError:
        raise
    except Exception as error:  # tarfile converts what headers contain without checking it
        raise RefusedError(f"the layer cannot be read: {error}") from error


def secrets_of_configuration(config: Mapping[str, Any]) -> Iterator[Secret]:
    """Finds the secrets in an image's configuration, which anyone can read without a pull.

    Their paths are "environment NAME", "label NAME" and "history N".
    """
    run = config.get("config") or {}
    for text in run.get("Env") or ():
        name, _, value = str(text).partition("=")
        if kind := kind_of_value(name, value):
            yield Secret(f"environment {name}", kind)
    for name, value in (run.get("Labels") or {}).items():
        if kind := kind_of_value("", str(value)):
            yield Secret(f"label {name}", kind)
    for number, entry in enumerate(config.get("history") or (), 1):
        text = str(entry.get("created_by") or "")
        kinds = (kind_of_value(*pair) for pair in declared(text))
        if kind := kind_of_value("", text) or next(filter(None, kinds), None):
            yield Secret(f"history {number}", kind)


def base_layers(source: ImageSource, pool: ConnectionPool | None = None) -> set[str]:
    """Digests of the layers of the source's base images, as far as these can be read.

    They are not searched: their publishers are responsible for them, and operating systems contain test keys.
    """
    names = [] if source.base is None else [source.base]
    if (source.folder / source.dockerfile).exists() and (recipe := dockerfile(source)) is not None:
        names += _bases(recipe.decode("utf-8", "replace"))
    digests: set[str] = set()
    for name in names:
        try:
            repository, reference = parse_image(name)
            with RegistryClient(repository, pool=pool) as registry:
                image = registry.image(reference, source.platform)
        except ProviderError:  # its layers are searched too
            continue
        if image is not None:
            digests.update(layer.digest for layer in image.layers)
    return digests


def _bases(recipe: str) -> Iterator[str]:
    """The base images in a Dockerfile, without its own stages and names with build arguments."""
    stages = {"scratch"}
    for _, instruction in instructions(recipe):
        word, *rest = instruction.split()
        operands = [part for part in rest if not part.startswith("--")]
        if word.upper() != "FROM" or not operands:
            continue
        if operands[0] not in stages and "$" not in operands[0]:
            yield operands[0]
        if len(operands) == 3:
            stages.add(operands[2])


class _Member(tarfile.TarInfo):
    """A member of an untrusted layer: refuses headers of excessive size instead of reading them.

    `_proc_member` is tarfile's hook for subclasses.
    """

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        """The next member. tarfile takes a header that it cannot read for the end of the archive."""
        try:
            member = super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error
        if member.size < 0:
            raise tarfile.ReadError("a size in it is negative")
        return member

    def _proc_member(self, tarfile_: tarfile.TarFile) -> Any:
        if self.type in _LONG_HEADERS and self.size > LARGEST:
            raise tarfile.ReadError("a header in it is too large")
        return super()._proc_member(tarfile_)  # type: ignore[misc]


_LONG_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def _unpacked(stream: Iterator[bytes]) -> Iterator[bytes]:
    """The uncompressed tar of a stored layer: gzip or plain."""
    first = next(stream, b"")
    if first.startswith(b"\x28\xb5\x2f\xfd"):
        raise RefusedError("the layer is compressed with zstd, which is not supported")
    if not first.startswith(b"\x1f\x8b"):
        yield first
        yield from stream
        return
    yield from _inflated(chain((first,), stream))


def _inflated(stream: Iterator[bytes]) -> Iterator[bytes]:
    """Decompresses gzip in pieces of at most `CHUNK` bytes, whatever the compression ratio."""
    inflate = zlib.decompressobj(_GZIP)
    for piece in stream:
        rest, is_full = piece, True
        while rest or is_full:
            unpacked = inflate.decompress(rest, CHUNK)
            if unpacked:
                yield unpacked
            rest, is_full = inflate.unconsumed_tail, len(unpacked) == CHUNK
            if inflate.eof:  # a layer may consist of several streams
                rest, inflate = inflate.unused_data, zlib.decompressobj(_GZIP)
