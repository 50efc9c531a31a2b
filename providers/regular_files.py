"""Opens the user's files: a regular file, or an immediate error.

Opening a named pipe without a writer blocks, a device such as /dev/zero never ends, and opening some devices
has side effects. So the type of a file is checked before it is opened, and again on the descriptor. Every
read of a user's file uses this module; a test enforces it.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Final

MAX_BYTES = 256 << 20
"""Maximum size of a file to read into memory, far more than any config.toml, class, plan or report."""

# Without O_NONBLOCK, a file replaced by a pipe between check and open would block.
READ_ONLY = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
"""Flags for `os.open` that never block."""

_PIECE = 1 << 16
"""Bytes that are read at once past the size of a file."""


def kind_of(mode: int) -> str:
    """The type of a file for messages, from its `st_mode`: "a named pipe", "a socket", "a device", …"""
    for is_kind, name in (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a link"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if is_kind(mode):
            return name
    return "a device"


def refuse_irregular(mode: int, path: str | os.PathLike[str]) -> None:
    """Raise OSError unless `st_mode` is that of a regular file; `strerror` names the actual type."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a folder, not a file", os.fspath(path))
    raise OSError(errno.EINVAL, f"Is {kind_of(mode)}, not a file", os.fspath(path))


NO_DESCRIPTORS: Final = (errno.EMFILE, errno.ENFILE)
"""What the system reports if a process, or the whole system, has too many open files."""

RAISE_LIMIT: Final = (
    "raise the limit of open files: `ulimit -n` sets that of a process, fs.file-max that of the whole system"
)


def way_to_read(error: OSError) -> str:
    """What to do about a needed file that cannot be read, as a clause."""
    if error.errno in NO_DESCRIPTORS:
        return RAISE_LIMIT
    if isinstance(error, PermissionError):
        return "check its permissions"
    if error.errno in (errno.EINVAL, errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.EFBIG):
        return "it must be a regular file"
    return "check the file and its disk"


def exists(path: str | os.PathLike[str]) -> bool:
    """Whether something is at this path, as far as it can be seen.

    `Path.exists` raises an error for a folder that cannot be entered, and for a name that is too long.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether a folder is at this path, as `exists`."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether a file is at this path, as `exists`."""
    return os.path.isfile(path)  # noqa: PTH113


def real_path(path: Path) -> Path:
    """The path with its links followed. `Path.resolve` raises RuntimeError for a loop of links.

    A loop stays unchanged, so using the path raises the system's OSError.
    """
    return Path(os.path.realpath(path))


def home_folder() -> Path:
    """The user's home folder. Without one, as in some containers, a path that does not exist."""
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home raises RuntimeError
    return Path(home if os.path.isabs(home) else "/nonexistent")  # noqa: PTH117 - a text


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless `path` is a regular file or a link to one. Does not open it."""
    refuse_irregular(os.stat(path).st_mode, path)  # noqa: PTH116 - also for strings, many times a second


def open_regular(path: str | os.PathLike[str]) -> int:
    """A descriptor for reading the regular file `path`; the caller closes it.

    Raises:
        OSError: it is not a regular file (`strerror` names the actual type), or cannot be opened.
    """
    return _opened(path)[0]


def _opened(path: str | os.PathLike[str]) -> tuple[int, int]:
    """The descriptor, as `open_regular`, and the size of the file in bytes."""
    check_regular(path)
    descriptor = os.open(path, READ_ONLY)
    try:
        status = os.fstat(descriptor)
        refuse_irregular(status.st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status.st_size


def read_start(path: Path, count: int) -> bytes:
    """The first bytes of the regular file `path`, at most `count`.

    Raises:
        OSError: as for `open_regular`, or a read of the file would block.
    """
    descriptor = open_regular(path)
    try:
        return os.read(descriptor, count)
    except BlockingIOError:
        raise _would_block(path) from None
    finally:
        os.close(descriptor)


def _would_block(path: Path) -> BlockingIOError:
    return BlockingIOError(errno.EAGAIN, "Reading it would block", os.fspath(path))


def read_regular(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of the regular file `path`.

    Args:
        max_bytes: larger files are refused.

    Raises:
        OSError: as for `open_regular`, or the file is too large.
    """
    descriptor, size = _opened(path)
    try:
        content, more = b"", b"" if size > max_bytes else b"more"
        while more and len(content) <= max_bytes:  # past its size: files in /proc have none, others grow
            asked = max(size - len(content), 0) + _PIECE
            more = os.read(descriptor, asked)
            content = content + more if content else more
            if 0 < size <= len(content) and len(more) < asked:
                break  # its end, without another read: a fleet reads thousands of small files
    except BlockingIOError:  # some files in /proc are regular but block
        raise _would_block(path) from None
    finally:
        os.close(descriptor)
    if max(size, len(content)) > max_bytes:
        raise OSError(errno.EFBIG, f"Has more than {max_bytes >> 20} MiB", os.fspath(path))
    return content
