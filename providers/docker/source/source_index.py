"""Remembers the digests of large build contexts, as git's index does: unchanged files are not read again.

One file for each context, in the user's cache folder. A file counts as unchanged if its type, mode, inode,
device, size and times are as recorded, and it was changed long enough before it was read. A file that was
changed about then may change again without a new time, and is read again: within the same tick of the clock,
and through a memory mapping until the system has written the changed page to the disk.

An index only saves time. One that is missing, damaged, unwritable, of another user or of another version is
ignored. Nothing is published because of it: what is packed is hashed. Several runs share it without locks;
the last one that writes it wins.
"""

import contextlib
import hashlib
import os
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, Self

from providers.leftovers import new_temporary, sweep
from providers.regular_files import open_regular, read_regular, real_path

VARIABLE = "RECONCILER_NO_INDEX"
"""The environment variable that turns the index off."""
_HOMES = "HOME", "XDG_CACHE_HOME"
"""The environment variables that decide where the indexes are."""
MIN_FILES, MIN_BYTES = 1000, 16 << 20
"""A context with fewer files and fewer bytes has no index: it is read in no time."""
RESOLUTION = 2_000_000_000
"""Nanoseconds: the resolution of times on any file system."""
MARGIN = 40_000_000_000
"""Nanoseconds until a second write through a memory mapping changes a file's time again. Linux writes a
changed page to the disk after 30 s, and looks for such pages every 5 s.
https://docs.kernel.org/admin-guide/sysctl/vm.html"""

_FORMAT = b"reconciler source index 1\n"
_MAX_SIZE = 128 << 20  # bytes of one index
_MAX_TOTAL = 512 << 20  # bytes of all of them; the oldest ones are removed
_MAX_HEADER = 8 << 10  # bytes that have the name of the folder
_LENGTH = struct.Struct("<I")
_NUMBERS = struct.Struct("<qqq")
_CHECKSUM = 32  # bytes
_UNSIGNED = (1 << 64) - 1

status_of = attrgetter("st_mode", "st_ino", "st_dev", "st_size", "st_mtime_ns", "st_ctime_ns")
"""What tells whether a file is unchanged, of its `os.stat_result`. The last two are its times."""

MEMBER, SPECIAL, FOLDER, SEARCHED_FOLDER, LEFT_OUT_FOLDER, LEFT_OUT = b"mskxdo"
"""What became of an entry of a folder: a member of the context; one that has other bytes in the key; a folder
in the context; an ignored one that is searched; an ignored one that is not; an ignored file."""
FOLDERS = frozenset((FOLDER, SEARCHED_FOLDER, LEFT_OUT_FOLDER))
IN_CONTEXT = frozenset((MEMBER, SPECIAL, FOLDER))


class FolderRecord(NamedTuple):
    """What one folder of the context was when it was last hashed.

    Attributes:
        names: the names of all entries, in the order of the file system, with "\\0" between them.
        kinds: what became of each entry, one byte for each.
        status: `packed_status` of the members, in the order of `names`.
        newest: the latest change of the members, as `context_hashing` counts it, in nanoseconds since 1970.
        taken: when the members were read.
        size: bytes of the members.
        suspects: the names of the members that may be or contain a secret.
        runs: the parts of the key of the members, joined where no other member of the context is between
            them, each with the path of its first one.
    """

    names: str
    kinds: bytes
    status: bytes
    newest: int
    taken: int
    size: int
    suspects: tuple[str, ...]
    runs: tuple[tuple[str, bytes], ...]


def packed_status(values: Iterable[int]) -> bytes:
    """The values of `status_of` as bytes, to compare."""
    values = list(values)
    try:
        return array("q", values).tobytes()
    except OverflowError:  # some file systems have inodes of 64 bits
        return array("Q", [value & _UNSIGNED for value in values]).tobytes()


class SourceIndex:
    """The index of one context.

    Args:
        path: its file.
        folder: the context.
        rules: digest of the ignore rules that the kinds of entries follow.
        records: path of a folder, with a slash at its end -> its encoded record.
    """

    def __init__(self, path: Path, folder: bytes, rules: bytes, records: Mapping[bytes, bytes]) -> None:
        self._path = path
        self._folder = folder
        self._records = records
        self.rules = rules

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The index of a context; an empty one if there is none. None if the user wants or can have none.

        Args:
            folder: the context without links.
        """
        if os.environ.get(VARIABLE) or not hasattr(os, "geteuid"):  # inodes and times of Windows tell less
            return None
        try:
            named = os.fsencode(folder)
            path = index_folder() / f"{hashlib.sha256(named).hexdigest()[:32]}.index"
        except (OSError, RuntimeError):  # RuntimeError: no home folder
            return None
        try:
            header, records = _decoded(_read(path))
            if header[:2] == [_identity(), named]:
                return cls(path, named, header[2], records)
        except (OSError, ValueError, struct.error):
            pass
        return cls(path, named, b"", {})

    def record(self, folder: str) -> FolderRecord | None:
        """The record of a folder of the context."""
        encoded = self._records.get(encoded_path(folder))
        try:
            return None if encoded is None else _record(encoded)
        except (ValueError, struct.error):
            return None

    def save(self, rules: bytes, records: Mapping[str, FolderRecord | None]) -> None:
        """Replace the index. Errors are ignored.

        Args:
            records: the records of all folders of the context; None for one that is as it was.
        """
        encoded = {
            encoded_path(folder): self._records[encoded_path(folder)] if record is None else _encoded(record)
            for folder, record in records.items()
        }
        fields = [field for item in encoded.items() for field in item]
        content = _FORMAT + _joined([_joined([_identity(), self._folder, rules]), *fields])
        if len(content) > _MAX_SIZE:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            if _is_private(self._path.parent.lstat()):
                _replace(self._path, content + hashlib.sha256(content).digest())
                sweep(self._path.parent)
                _remove_unused(self._path)


def forget(folder: Path) -> None:
    """Remove the index of a context. Errors are ignored."""
    if index := SourceIndex.load(real_path(folder)):
        with contextlib.suppress(OSError):
            index._path.unlink()


def index_folder() -> Path:
    """Where the indexes are. Raises RuntimeError without a home folder."""
    return _index_folder(*map(os.environ.get, _HOMES))


@lru_cache(maxsize=8)  # finding it takes as long as reading an index
def _index_folder(*_: str | None) -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("reconciler", appauthor=False) / "sources"


def encoded_path(path: str) -> bytes:
    """The bytes of a path in a source key."""
    return path.encode("utf-8", "surrogateescape")


def _decoded_path(path: bytes) -> str:
    return path.decode("utf-8", "surrogateescape")


@cache
def _identity() -> bytes:
    """The rules for secrets that the records were made by. They change with releases."""
    rules = Path(__file__).parents[2] / "secret_rules.py"
    try:
        return hashlib.sha256(read_regular(rules)).digest()
    except OSError:
        return b""


def _is_private(status: os.stat_result) -> bool:
    """Whether only this user can write it."""
    return status.st_uid == os.geteuid() and not status.st_mode & 0o022


def _read(path: Path) -> bytes:
    """The content of an index. Raises OSError or ValueError for one that must not be used."""
    with os.fdopen(open_regular(path), "rb") as file:
        status = os.fstat(file.fileno())
        if not _is_private(status) or status.st_size > _MAX_SIZE + _CHECKSUM:
            raise ValueError("another user's file, or none of ours")
        content = file.read()
    whole = memoryview(content)
    if hashlib.sha256(whole[:-_CHECKSUM]).digest() != content[-_CHECKSUM:]:
        raise ValueError("damaged")
    return content


def _decoded(content: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The fields of the header, and the encoded records."""
    header, *fields = _split(content[len(_header(content)) : -_CHECKSUM])
    return list(_split(header)), dict(zip(fields[::2], fields[1::2], strict=True))


def _header(content: bytes) -> bytes:
    if not content.startswith(_FORMAT):
        raise ValueError("another version")
    return _FORMAT


def _joined(fields: Iterable[bytes]) -> bytes:
    return b"".join([piece for field in fields for piece in (_LENGTH.pack(len(field)), field)])


def _split(content: bytes) -> Iterator[bytes]:
    """The fields of `_joined`. Raises struct.error for anything else."""
    at, end = 0, len(content)
    while at < end:
        [length] = _LENGTH.unpack_from(content, at)
        at += _LENGTH.size
        yield content[at : at + length]
        at += length


def _encoded(record: FolderRecord) -> bytes:
    return _joined(
        [
            encoded_path(record.names),
            record.kinds,
            record.status,
            _NUMBERS.pack(record.newest, record.taken, record.size),
            _joined(map(encoded_path, record.suspects)),
            *(field for path, parts in record.runs for field in (encoded_path(path), parts)),
        ]
    )


def _record(content: bytes) -> FolderRecord:
    names, kinds, status, numbers, suspects, *runs = _split(content)
    newest, taken, size = _NUMBERS.unpack(numbers)
    return FolderRecord(
        _decoded_path(names),
        kinds,
        status,
        newest,
        taken,
        size,
        tuple(map(_decoded_path, _split(suspects))),
        tuple(zip(map(_decoded_path, runs[::2]), runs[1::2], strict=True)),
    )


def _replace(path: Path, content: bytes) -> None:
    """Replace a file atomically. It is not synced: a damaged one is ignored."""
    handle, temporary = new_temporary(path)
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    finally:
        os.close(handle)


def _remove_unused(latest: Path) -> None:
    """Remove the indexes of folders that are gone, and the oldest ones beyond the limit."""
    found = []
    for path in latest.parent.glob("*.index"):
        with contextlib.suppress(OSError):
            if path == latest or _folder_exists(path):
                status = path.stat()
                found.append((path != latest, -status.st_mtime_ns, status.st_size, path))
            else:
                path.unlink()
    total = 0
    for _, _, size, path in sorted(found):
        total += size
        if total > _MAX_TOTAL and path != latest:
            with contextlib.suppress(OSError):
                path.unlink()


def _folder_exists(path: Path) -> bool:
    """Whether the folder of an index exists; False for a file of another version."""
    try:
        with os.fdopen(open_regular(path), "rb") as file:
            content = file.read(_MAX_HEADER)
        header = next(_split(content[len(_header(content)) :]))
        return Path(os.fsdecode(list(_split(header))[1])).is_dir()
    except (ValueError, IndexError, StopIteration, struct.error):
        return False
