"""Hashes one member of a build context, and searches it for secrets while it is in memory."""

import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from providers.docker.source.background_hash import BackgroundHash
from providers.docker.source.key import Announcer
from providers.docker.source.key_parts import beginning, link_digest
from providers.docker.source.reading import CHUNK, link_target, unreadable
from providers.regular_files import READ_ONLY, refuse_irregular

if TYPE_CHECKING:
    import hashlib

    from providers.secret_rules import Sieve

_LARGE = 8 << 20  # bytes of a file that is hashed in the background
_LARGE_CHUNK = 1 << 20  # bytes of it that are read at a time


class MemberHashing:
    """The reading of members.

    Args:
        root: the context, with a slash at its end.

    Every method raises RefusedError if the member cannot be read.
    """

    def __init__(self, root: str, reading: Announcer) -> None:
        self._root = root
        self._reading = reading

    def link(self, path: str, item: os.DirEntry[str]) -> tuple[bytes, os.stat_result]:
        """The digest of a symbolic link, and its status."""
        # The status comes first: a later change is another status.
        try:
            status = item.stat(follow_symlinks=False)
        except OSError as error:
            raise unreadable(path, error) from error
        self._reading(path)
        return link_digest(os.fsencode(link_target(self._root, path))), status

    def file(
        self, path: str, name: str, at: int | None, sieve: "Sieve | None"
    ) -> tuple[bytes, os.stat_result]:
        """Read a file: its digest, and its status before that."""
        try:
            # Not `read_file`: a generator per file costs a tenth of the time for many small files.
            descriptor = os.open(self._root + path if at is None else name, READ_ONLY, dir_fd=at)
            try:
                status = os.fstat(descriptor)  # half the time of a stat by path
                refuse_irregular(status.st_mode, path)
                digest = beginning(status.st_mode).copy()
                size = status.st_size
                if size >= _LARGE:
                    return self._large(path, descriptor, digest, sieve), status
                piece = os.read(descriptor, size + 1 if size < CHUNK else CHUNK)
                digest.update(piece)
                self._reading(path, len(piece))
                if len(piece) == size:
                    if sieve is not None:
                        sieve.add(path, piece)
                    return digest.digest(), status

                def pieces() -> Iterator[bytes]:
                    yield piece
                    while more := os.read(descriptor, CHUNK):
                        digest.update(more)
                        self._reading(path, len(more))
                        yield more

                if sieve is not None:
                    sieve.add_pieces(path, pieces())
                else:
                    deque(pieces(), maxlen=0)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise unreadable(path, error) from error
        return digest.digest(), status

    def _large(self, path: str, descriptor: int, digest: "hashlib._Hash", sieve: "Sieve | None") -> bytes:
        """The digest of a large file, which is computed while the next part is read and searched."""
        with BackgroundHash(digest) as background:

            def pieces() -> Iterator[bytes]:
                while chunk := os.read(descriptor, _LARGE_CHUNK):
                    background.update(chunk)
                    self._reading(path, len(chunk))
                    for at in range(0, len(chunk), CHUNK):
                        yield chunk[at : at + CHUNK]

            if sieve is not None:
                sieve.add_pieces(path, pieces())
            else:
                deque(pieces(), maxlen=0)
            return background.digest()
