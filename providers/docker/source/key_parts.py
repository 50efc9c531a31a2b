"""What a source key is made of: one part for each member of the context, with its path and its digest. Pure.

A digest covers the kind, the mode and the content of a member. Every part is length-prefixed or has a fixed
length, so two sources never have the same parts.
"""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

_DIGEST = 32  # bytes


def masked(mode: int) -> int:
    """The mode of a file as in git, as other bits depend on the umask of the check-out."""
    return mode & 0o7000 | (0o755 if mode & 0o100 else 0o644)


@functools.cache
def beginning(mode: int) -> "hashlib._Hash":
    """The digest state of a file with that mode before its content. A copy costs less than a new one."""
    return hashlib.sha256(b"f%04o" % masked(mode))


def file_digest(mode: int, content: bytes) -> bytes:
    """The digest of a file."""
    return hashlib.sha256(b"f%04o" % masked(mode) + content).digest()


def link_digest(target: bytes) -> bytes:
    """The digest of a symbolic link."""
    return hashlib.sha256(b"l" + target).digest()


def folder_digest(mode: int) -> bytes:
    """The digest of an empty folder. It inherits setgid from the folder that it was checked out in."""
    return hashlib.sha256(b"d%04o" % (mode & 0o755)).digest()


def member_digest(kind: Literal["file", "link", "folder"], mode: int, content: Iterable[bytes]) -> str:
    """The short digest of a member of the context in `SourceKey.files`, from its bytes or its link target."""
    if kind == "folder":
        return folder_digest(mode)[:8].hex()
    digest = beginning(mode).copy() if kind == "file" else hashlib.sha256(b"l")
    for piece in content:
        digest.update(piece)
    return digest.digest()[:8].hex()


def short(content: bytes) -> str:
    """The short digest of a value."""
    return hashlib.sha256(content).hexdigest()[:16]


def part(path: bytes, digest: bytes) -> bytes:
    """The part of one member."""
    return b"%d:%s%s" % (len(path), path, digest)


def members_of(parts: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The path and the digest of each member, from joined parts.

    Raises:
        ValueError: they are not parts.
    """
    at, end = 0, len(parts)
    while at < end:
        begin = parts.index(b":", at) + 1
        middle = begin + int(parts[at : begin - 1])
        at = middle + _DIGEST
        yield parts[begin:middle], parts[middle:at]


class FileDigests(Mapping[str, str]):
    """Shown path -> short digest of each member, sorted by path. Taken apart when it is first looked at.

    Args:
        parts: the parts of all members, joined in runs of any length.
        more: further entries, unless the parts have them.
    """

    def __init__(self, parts: Sequence[bytes], more: Mapping[str, str]) -> None:
        self._parts: Sequence[bytes] = parts
        self._more = more

    @functools.cached_property
    def _table(self) -> dict[str, str]:
        found = {
            path.decode("utf-8", "backslashreplace"): digest[:8].hex()
            for parts in self._parts
            for path, digest in members_of(parts)
        }
        return {**found, **{path: digest for path, digest in self._more.items() if path not in found}}

    def __getitem__(self, path: str) -> str:
        return self._table[path]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, path: object) -> bool:
        return path in self._table

    def __repr__(self) -> str:
        return repr(self._table)

    def __reduce__(self) -> tuple[type[dict[str, str]], tuple[dict[str, str]]]:
        return dict, (self._table,)
