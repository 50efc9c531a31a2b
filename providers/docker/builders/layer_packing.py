"""Compresses a layer in blocks, on all cores, and reads it again for each upload.

A layer is a gzip file of one member for each block. The content of a large file begins a new block. A block
that deflate makes little smaller, as of weights, images and videos, is stored instead, which is many times as
fast, also for a pull. Stored blocks of files are not kept, but read once more when they are sent.

The bytes depend on the content alone, on machines with the same zlib.
"""

import bisect
import itertools
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import IO, NamedTuple

from providers.docker.source.archive import BLOCK, Piece
from providers.docker.source.background_hash import BackgroundHash
from providers.docker.source.reading import ChangedError, read_block
from providers.protocol import Progress, Report
from providers.threads import Pool

_LEVEL = 6  # changing anything here changes every digest
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"  # deflate, without name and time, of an unknown system
_LARGEST_STORED = 65_535  # bytes of a block in deflate
_SAMPLE = 4 << 10  # bytes, at each of `_SAMPLES` places of a block
_SAMPLES = 4
_WORTHWHILE = 0.8  # of the size of a sample: what deflate makes no smaller is stored
_READ = 1 << 20  # bytes read at a time
_AHEAD = 4  # blocks that are read before those before them are packed


class PackedLayer:
    """A layer that was packed.

    Args:
        root: the folder with the files, with a slash at its end.
        file: the members that were kept, in order.
        parts: all members.

    Attributes:
        digest, size: of the layer as it is sent.
        diff_id: the digest of its uncompressed content.
    """

    def __init__(self, root: str, file: IO[bytes], parts: list["_Part"], digest: str, diff_id: str) -> None:
        self._root = root
        self._file = file
        self._parts = parts
        self._ends = list(itertools.accumulate(part.size for part in parts))
        self.digest = digest
        self.diff_id = diff_id

    @property
    def size(self) -> int:
        return self._ends[-1] if self._ends else 0

    def content(self, start: int) -> Iterator[bytes]:
        """The bytes of the layer from `start` on.

        Raises:
            RefusedError: a file is not as it was when it was packed.
        """
        for number in range(bisect.bisect_right(self._ends, start), len(self._parts)):
            part = self._parts[number]
            skipped = max(start - (self._ends[number] - part.size), 0)
            if part.path:
                yield self._stored_again(part)[skipped:]
            else:
                yield from self._kept(part.at + skipped, part.size - skipped)

    def _kept(self, at: int, size: int) -> Iterator[bytes]:
        self._file.seek(at)
        while size:
            piece = self._file.read(min(size, _READ))
            size -= len(piece)
            yield piece

    def _stored_again(self, part: "_Part") -> bytes:
        content = read_block(self._root, part.path, part.at, part.length)
        if (len(content), zlib.crc32(content)) != (part.length, part.checksum):
            raise ChangedError(part.path)
        return _stored(content, part.checksum)


class _Part(NamedTuple):
    """A member of a layer.

    Attributes:
        size: its bytes in the layer.
        at: where it is in the file of kept members, or where its content is in the file `path`.
        path: the file that its content is read from again; "" for a kept member.
        length, checksum: of its content, if that is read again.
    """

    size: int
    at: int
    path: str = ""
    length: int = 0
    checksum: int = 0


def pack(root: str, pieces: Iterable[Piece], file: IO[bytes], report: Report) -> PackedLayer:
    """Compress an archive.

    Args:
        root: the folder with the files, with a slash at its end.
        file: for the members that are not read again; empty.
        report: gets the packed bytes.

    Raises:
        ProviderError: `pieces` raised it.
    """
    parts: list[_Part] = []
    done = kept = 0
    with (
        Pool(os.cpu_count() or 1) as pool,
        BackgroundHash() as content_hash,
        BackgroundHash() as layer_hash,
    ):

        def compressed() -> Iterator[tuple[Piece, _Member]]:
            """Each block with its member, in order."""
            pending: deque[tuple[Piece, Future[_Member]]] = deque()
            for block in _blocks(pieces):
                content_hash.update(block.content)
                pending.append((block, pool.submit(_member, block.content, is_whole=_is_whole(block))))
                if len(pending) > _AHEAD:
                    first, future = pending.popleft()
                    yield first, future.result()
            yield from ((block, future.result()) for block, future in pending)

        for block, member in compressed():
            layer_hash.update(member.content)
            size, length = len(member.content), len(block.content)
            if member.is_stored and block.path:
                parts.append(_Part(size, block.offset, block.path, length, member.checksum))
            else:
                parts.append(_Part(size, kept))
                kept += file.write(member.content)
            done += length
            report(Progress("build", "layer", "packing the folder", done))
        digest, diff_id = (f"sha256:{each.digest().hex()}" for each in (layer_hash, content_hash))
        return PackedLayer(root, file, parts, digest, diff_id)


def _blocks(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The pieces of large files as they are, and all others joined to blocks of `BLOCK` bytes."""
    buffer = bytearray()
    for piece in pieces:
        if not piece.path:
            buffer += piece.content
        while len(buffer) >= BLOCK or (buffer and piece.path):
            yield Piece(bytes(buffer[:BLOCK]))
            del buffer[:BLOCK]
        if piece.path:
            yield piece
    if buffer:
        yield Piece(bytes(buffer))


def _is_whole(block: Piece) -> bool:
    return bool(block.path) or len(block.content) == BLOCK


class _Member(NamedTuple):
    """One gzip file of several in a row; `checksum` is the CRC-32 of its content."""

    content: bytes
    checksum: int
    is_stored: bool


def _member(content: bytes, *, is_whole: bool) -> _Member:
    """A block as a member of the gzip file.

    Args:
        is_whole: whether it may be stored. A small folder is one small block, which is always compressed.
    """
    checksum = zlib.crc32(content)
    if is_whole and _is_dense(content):
        return _Member(_stored(content, checksum), checksum, is_stored=True)
    deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = (_HEADER, deflate.compress(content), deflate.flush(), _trailer(content, checksum))
    return _Member(b"".join(packed), checksum, is_stored=False)


def _is_dense(content: bytes) -> bool:
    """Whether deflate would make samples of the content little smaller."""
    step = max(len(content) // _SAMPLES, 1)
    sample = b"".join(content[at : at + _SAMPLE] for at in range(0, len(content), step))
    return len(zlib.compress(sample, 1)) > _WORTHWHILE * len(sample)


def _stored(content: bytes, checksum: int) -> bytes:
    """A member with uncompressed content: https://www.rfc-editor.org/rfc/rfc1951#section-3.2.4."""
    view, parts = memoryview(content), [_HEADER]
    for at in range(0, len(content), _LARGEST_STORED):
        piece = view[at : at + _LARGEST_STORED]
        size, is_last = len(piece), at + _LARGEST_STORED >= len(content)
        parts += [
            bytes((is_last,)) + size.to_bytes(2, "little") + (size ^ 0xFFFF).to_bytes(2, "little"),
            piece,  # type: ignore[list-item]
        ]
    return b"".join([*parts, _trailer(content, checksum)])


def _trailer(content: bytes, checksum: int) -> bytes:
    return checksum.to_bytes(4, "little") + (len(content) & 0xFFFFFFFF).to_bytes(4, "little")
