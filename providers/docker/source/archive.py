"""The filtered context as a tar stream, for the builders.

The same entries give the same bytes: they are sorted, times and owners are zero, and modes are masked. The
content comes from the files, or from `replaced`. Writes nothing to disk.
"""

import os
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from providers.docker.source.key import Entry, ImageSource, SourceCheck, link_target, read_file
from providers.docker.source.secret_scan import refuse_secrets
from providers.errors import RefusedError
from providers.protocol import Progress, Report, silent

_TYPES = {"file": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "folder": tarfile.DIRTYPE}
_PIECE = 256 << 10


def archive(
    source: ImageSource,
    entries: Iterable[Entry],
    *,
    prefix: str = "",
    folders: Mapping[str, int] | None = None,
    extra: Mapping[str, bytes] | None = None,
    report: Report = silent,
) -> Iterator[bytes]:
    """A tar archive of `entries`, in pieces of about 256 KiB.

    Every builder sends this archive, so it refuses a secret: on the call, before the first byte.

    Args:
        prefix: put before each path; "" or "some/folder/".
        folders: path -> mode of folders to write first.
        extra: full path -> content of additional files, which are not among the entries.
        report: gets the progress of the search for secrets, if that is slow.

    Raises:
        SecretError: the image would contain a secret.
        RefusedError: a file cannot be read, changes its size while it is read, or is not the expected one.
    """
    entries = list(entries)
    refuse_secrets(
        source, entries, lambda reading: report(Progress("search", reading.path, "for secrets", reading.size))
    )
    return _batched(_blocks(source, entries, prefix, folders or {}, extra or {}))


def _blocks(
    source: ImageSource,
    entries: Iterable[Entry],
    prefix: str,
    folders: Mapping[str, int],
    extra: Mapping[str, bytes],
) -> Iterator[bytes]:
    root = f"{os.fspath(source.folder)}/"
    written = set(folders)
    check = SourceCheck(source)
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
    check.end()
    yield bytes(2 * tarfile.BLOCKSIZE)


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


def _file(root: str, entry: Entry, path: str, check: SourceCheck) -> Iterator[bytes]:
    # The header precedes the content and contains its size, so the size must not change after this.
    try:
        size = Path(root + entry.path).lstat().st_size
    except OSError as error:
        raise RefusedError(
            f"{entry.path} cannot be read: {error.strerror}",
            hint="is another process changing the folder?",
        ) from error
    yield _header(path, "file", entry.mode, size=size)
    left = size
    for piece in check.pieces(entry, read_file(root, entry.path)):
        left -= len(piece)
        if left < 0:
            break
        yield piece
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


def _batched(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that many small files are not sent as one packet per header."""
    buffer = bytearray()
    for block in blocks:
        buffer += block
        if len(buffer) >= _PIECE:
            yield bytes(buffer)
            buffer.clear()
    if buffer:
        yield bytes(buffer)
