"""Reads the archive of a stored layer as a stream. Trusts nothing in it."""

import tarfile
import zlib
from collections.abc import Iterator
from functools import partial
from io import BufferedReader
from itertools import chain
from typing import Any, Self

from providers.docker.source.build_context import ChunkReader
from providers.docker.source.reading import CHUNK
from providers.errors import ProviderError, RefusedError
from providers.secret_rules import LARGEST

_GZIP = 31  # zlib's wbits for a gzip header and the largest window


def members(stream: Iterator[bytes]) -> Iterator[tuple[tarfile.TarInfo, Iterator[bytes]]]:
    """The members of a layer, each with its content in pieces, to be read before the next member.

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
                file = archive.extractfile(member) if member.isreg() else None
                yield member, iter(()) if file is None else iter(partial(file.read, CHUNK), b"")
    except ProviderError:
        raise
    except Exception as error:  # tarfile converts what headers contain without checking it
        raise RefusedError(f"the layer cannot be read: {error}") from error


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
