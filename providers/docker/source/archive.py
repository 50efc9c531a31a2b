"""The filtered context as a tar stream, for the builders.

The same entries give the same bytes: they are sorted, times and owners are zero, and modes are masked. The
content comes from the files, or from `replaced`. Writes nothing to disk.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from providers.docker.source.key import Entry, ImageSource
from providers.docker.source.reading import link_target, read_blocks, read_file
from providers.docker.source.secret_scan import refuse_secrets
from providers.docker.source.source_check import SourceCheck
from providers.errors import RefusedError
from providers.protocol import Progress, Report, silent

LARGE = 16 << 20
"""Bytes of a file from which on its content is archived in blocks of its own."""
BLOCK = 64 * 65_535
"""Bytes of such a block: 64 of the largest blocks that deflate can store."""

_TYPES = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "folder": tarfile.DIRTYPE}
_PIECE = 256 << 10


class Piece(NamedTuple):
    """A part of an archive.

    Attributes:
        content: its bytes.
        path: of the large file that it is a block of, relative to the folder; "" for anything else.
        offset: of the block in that file, in bytes.
    """

    content: bytes
    path: str = ""
    offset: int = 0


def archive(
    source: ImageSource,
    entries: Iterable[Entry],
    *,
    prefix: str = "",
    folders: Mapping[str, int] | None = None,
    extra: Mapping[str, bytes] | None = None,
    report: Report = silent,
) -> Iterator[bytes]:
    """A tar archive of `entries`, in pieces of at least 256 KiB.

    Args and errors as for `archives`.
    """
    [pieces] = archives(source, [list(entries)], prefix=prefix, folders=folders, extra=extra, report=report)
    return _batched(pieces)


def archives(
    source: ImageSource,
    groups: Sequence[Sequence[Entry]],
    *,
    prefix: str = "",
    folders: Mapping[str, int] | None = None,
    extra: Mapping[str, bytes] | None = None,
    report: Report = silent,
) -> list[Iterator[Piece]]:
    """A tar archive of each group of entries, to be read one after the other.

    Every builder sends these archives, so they refuse a secret: on the call, before the first byte.

    Args:
        groups: together, the entries of the whole context.
        prefix: put before each path; "" or "some/folder/".
        folders: path -> mode of folders to write first, into each archive.
        extra: full path -> content of additional files, which are not among the entries, for the first one.
        report: gets the progress of the search for secrets, if that is slow.

    Raises:
        SecretError: the image would contain a secret.
        RefusedError: a file cannot be read, changes its size while it is read, or is not the expected one.
    """
    refuse_secrets(
        source,
        [entry for entries in groups for entry in entries],
        lambda reading: report(Progress("search", reading.path, "for secrets", reading.size)),
    )
    check = SourceCheck(source)
    return [
        _pieces(
            source,
            entries,
            prefix,
            folders or {},
            (extra or {}) if number == 0 else {},
            check,
            is_last=number == len(groups) - 1,
        )
        for number, entries in enumerate(groups)
    ]


def _pieces(
    source: ImageSource,
    entries: Iterable[Entry],
    prefix: str,
    folders: Mapping[str, int],
    extra: Mapping[str, bytes],
    check: SourceCheck,
    *,
    is_last: bool,
) -> Iterator[Piece]:
    for piece in _blocks(source, entries, prefix, folders, extra, check):
        yield piece if isinstance(piece, Piece) else Piece(piece)
    if is_last:
        check.end()
    yield Piece(bytes(2 * tarfile.BLOCKSIZE))


def _blocks(
    source: ImageSource,
    entries: Iterable[Entry],
    prefix: str,
    folders: Mapping[str, int],
    extra: Mapping[str, bytes],
    check: SourceCheck,
) -> Iterator[bytes | Piece]:
    root = f"{os.fspath(source.folder)}/"
    written = set(folders)
    for path, mode in folders.items():
        yield _header(path, "folder", mode)
    for path, content in sorted(extra.items()):
        yield from _whole(path, 0o644, content)
    for entry in entries:
        path = prefix + entry.path
        for parent in _missing_parents(entry.path, prefix, written):
            yield _header(parent, "folder", 0o755)
        if entry.kind == "link":
            target = link_target(root, entry.path)
            check.whole(entry, os.fsencode(target))
            yield _header(path, "link", entry.mode, target=target)
        elif entry.kind == "folder":
            check.whole(entry, b"")
            yield _header(path, "folder", entry.mode)
        elif entry.path in source.replaced:
            check.replaced(entry)
            yield from _whole(path, entry.mode, source.replaced[entry.path])
        else:
            yield from _file(root, entry, path, check)


def _missing_parents(path: str, prefix: str, written: set[str]) -> list[str]:
    """Folders above `path` and below the prefix that have no header yet, outermost first."""
    missing = []
    at = path.find("/")
    while at != -1:
        folder = prefix + path[:at]
        if folder not in written:
            written.add(folder)
            missing.append(folder)
        at = path.find("/", at + 1)
    return missing


def _whole(path: str, mode: int, content: bytes) -> Iterator[bytes]:
    yield _header(path, "file", mode, size=len(content))
    yield content
    yield _padding(len(content))


def _file(root: str, entry: Entry, path: str, check: SourceCheck) -> Iterator[bytes | Piece]:
    # The header precedes the content and contains its size, so the size must not change after this.
    try:
        size = Path(root + entry.path).lstat().st_size
    except OSError as error:
        raise RefusedError(
            f"{entry.path} cannot be read: {error.strerror}",
            hint="is another process changing the folder?",
        ) from error
    yield _header(path, "file", entry.mode, size=size)
    left, is_large = size, size >= LARGE
    content = read_blocks(root, entry.path, BLOCK) if is_large else read_file(root, entry.path)
    for piece in check.pieces(entry, content):
        if len(piece) > left:
            left = -1
            break
        yield Piece(piece, entry.path, size - left) if is_large else piece
        left -= len(piece)
    if left:
        raise RefusedError(
            f"{entry.path} changed while it was read", hint="run again when no process writes to the folder"
        )
    yield _padding(size)


def _header(path: str, kind: str, mode: int, *, size: int = 0, target: str = "") -> bytes:
    info = tarfile.TarInfo(path)
    info.type = _TYPES[kind]
    info.mode = mode
    info.size = size
    info.linkname = target
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def _padding(size: int) -> bytes:
    return bytes(-size % tarfile.BLOCKSIZE)


def _batched(pieces: Iterator[Piece]) -> Iterator[bytes]:
    """Join small pieces, so that many small files are not sent as one packet per header."""
    buffer = bytearray()
    for piece in pieces:
        if piece.path:  # large enough; not copied
            if buffer:
                yield bytes(buffer)
                buffer.clear()
            yield piece.content
            continue
        buffer += piece.content
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
