"""Reads the files of a build context, in pieces, with errors that name the file."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from providers.errors import RefusedError, SettingError
from providers.regular_files import (
    NO_DESCRIPTORS,
    READ_ONLY,
    open_regular,
    refuse_irregular,
    way_to_read,
)

CHUNK = 64 << 10
"""Bytes read at a time; larger pieces make many small files slower."""


def read_file(root: str, path: str) -> Iterator[bytes]:
    """The content of the file `root` + `path`, in pieces of at most `CHUNK` bytes.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        descriptor = open_regular(root + path)
        try:
            while piece := os.read(descriptor, CHUNK):
                yield piece
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error


def read_blocks(root: str, path: str, size: int) -> Iterator[bytes]:
    """The content of the file `root` + `path`, in pieces of exactly `size` bytes but for the last one.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        with os.fdopen(open_regular(root + path), "rb") as file:  # its buffer is not used for large reads
            while piece := file.read(size):
                yield piece
    except OSError as error:
        raise unreadable(path, error) from error


def read_block(root: str, path: str, offset: int, size: int) -> bytes:
    """A part of the file `root` + `path`; fewer bytes at its end.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        with os.fdopen(open_regular(root + path), "rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise unreadable(path, error) from error


def first_piece(root: str, path: str) -> tuple[bytes, bool]:
    """The first `CHUNK` bytes of a file, and whether the file has no more. Avoids a generator per file.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        descriptor = os.open(root + path, READ_ONLY)
        try:
            status = os.fstat(descriptor)
            refuse_irregular(status.st_mode, path)
            piece = os.read(descriptor, CHUNK)
            return piece, len(piece) == status.st_size
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error


def link_target(root: str, path: str) -> str:
    """The target of a symbolic link, unresolved.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        return os.fspath(Path(root + path).readlink())
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: str, error: OSError, *, is_needed: bool = False) -> RefusedError:
    """The error for a file or folder that cannot be read.

    Args:
        is_needed: whether it is read also if the ignore file leaves it out.
    """
    if isinstance(error, PermissionError):
        hint = f"chmod u+r {shlex.quote(str(path))}"
        hint += "" if is_needed else ", or add it to .dockerignore"
    elif isinstance(error, FileNotFoundError):
        hint = "it disappeared during the run: is another process changing the folder?"
    elif is_needed or error.errno in NO_DESCRIPTORS:
        hint = way_to_read(error)
    else:
        hint = f"add {path} to .dockerignore if the image does not need it"
    return RefusedError(f"{path} cannot be read: {error.strerror}", hint=hint)


def unreadable_folder(path: str, root: str, error: OSError) -> RefusedError:
    """The error for a folder of the build context `root` that cannot be read; "" for the context itself."""
    if path or not isinstance(error, FileNotFoundError | NotADirectoryError):
        return unreadable(path or root, error, is_needed=not path)
    is_missing = isinstance(error, FileNotFoundError)
    return SettingError(
        f"there is no folder {root}" if is_missing else f"{root} is not a folder",
        setting="context",
        hint="correct context below [reconciler.image]; it is relative to the pipeline's folder",
    )


class ChangedError(RefusedError):
    """A file is not as it was when it was hashed or packed.

    Args:
        path: its path, for the message.
    """

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} changed during the build, so nothing was published",
            hint="run again when no process writes to the folder",
        )
