"""Opening a file that a user names or keeps: a regular file, or an error at once.

A named pipe without a writer blocks the open, a device such as /dev/zero never ends, and opening some devices
has an effect of its own. So the kind of a file is checked before it is opened, and again on what was opened.
Every read of a user's file goes through here; a test looks for those that do not.
"""

import errno
import os
import stat
from pathlib import Path

LARGEST = 256 << 20
"""Bytes. No config.toml, class, plan or report is near this; what is larger is not read into memory."""

# Without O_NONBLOCK a file that is replaced by a pipe between check and open would block.
READ_ONLY = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
"""Flags for `os.open` with which no kind of file blocks."""


def kind_of(mode: int) -> str:
    """What `st_mode` stands for, as people call it: "a named pipe", "a socket", "a device", …"""
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
    """Raise OSError unless this `st_mode` is a regular file's; `strerror` names what it is instead."""
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "Is a folder, not a file", os.fspath(path))
    raise OSError(errno.EINVAL, f"Is {kind_of(mode)}, not a file", os.fspath(path))


def check_regular(path: str | os.PathLike[str]) -> None:
    """Raise OSError unless `path` is a regular file or a link to one; it is not opened."""
    refuse_irregular(os.stat(path).st_mode, path)  # noqa: PTH116 - also for plain texts, many times a second


def open_regular(path: str | os.PathLike[str]) -> int:
    """A descriptor to read the regular file `path` from; the caller closes it.

    Raises:
        OSError: it is no regular file (`strerror` names what it is instead), or cannot be opened.
    """
    check_regular(path)
    descriptor = os.open(path, READ_ONLY)
    try:
        refuse_irregular(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def read_regular(path: Path, largest: int = LARGEST) -> bytes:
    """The content of the regular file `path`.

    Args:
        largest: bytes; a file with more is refused.

    Raises:
        OSError: as `open_regular`, or it is too large.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        content = file.read(largest + 1)
    if content is None:  # some files of /proc are regular, and block all the same
        raise BlockingIOError(errno.EAGAIN, "Would have to be waited for", os.fspath(path))
    if len(content) > largest:
        raise OSError(errno.EFBIG, f"Has more than {largest >> 20} MiB", os.fspath(path))
    return content
