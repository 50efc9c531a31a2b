"""Names of reconciler's own files in the user's folders, so no build treats them as source.

A run killed while it replaces a file leaves a temporary file beside it, recognizable by its name. The next
run that writes in that folder removes it. The same goes for a folder that was to appear complete, and for one
in the system's temporary folder.
"""

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

try:
    import fcntl

    _HAS_LOCKS = True
except ImportError:  # Windows
    _HAS_LOCKS = False

TEMPORARY: Final = ".reconciler-tmp"
"""Suffix of temporary files, which lie beside the file they will replace."""

BASELINE: Final = "drift-baseline.toml"
"""Default name of the file with acknowledgements, in the working directory."""


WORKSPACE: Final = "reconciler.toml"
"""Name of the file with the settings of a workspace. Its folder can be the folder of a pipeline, too."""


SCHEMA: Final = ".reconciler-schema.json"
"""Suffix of the JSON Schemas for editors, which lie beside reconciler.toml."""


OWN_NAME_PARTS: Final = (BASELINE, WORKSPACE, SCHEMA, TEMPORARY)
"""Each name of which `is_own_file` is true has one of these parts: to search many names at once."""


def is_temporary(name: str) -> bool:
    """Whether this is the name of one of reconciler's temporary files."""
    return name.startswith(".") and name.endswith(TEMPORARY)


def is_own_file(name: str) -> bool:
    """Whether a file of this name is only for reconciler or editors, so it is no source of an image."""
    return name in (BASELINE, WORKSPACE) or name.endswith(SCHEMA) or is_temporary(name)


def new_temporary(beside: Path) -> tuple[int, Path]:
    """Creates a temporary file for the new content of a file, open for writing and protected from `sweep`.

    Close the descriptor after the file is renamed or removed; the open descriptor marks it as in use.

    Raises:
        OSError: the folder cannot be written.
    """
    while True:
        handle, name = tempfile.mkstemp(TEMPORARY, f".{beside.name[:100]}.", beside.parent)
        _mark_in_use(handle)
        if not _HAS_LOCKS or os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another run swept it before it was marked


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """A folder that is to be renamed to a new one, protected from `sweep`. Removed at the end otherwise.

    Raises:
        OSError: the folder around it cannot be written.
    """
    with _folder(f".{beside.name[:100]}.", beside.parent) as path:
        path.chmod(0o777 & ~_umask())  # that of a folder that mkdir makes
        yield path


@contextlib.contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder in the system's temporary folder that only this user can read. Removed at the end.

    Those of killed runs are removed first: they may hold source code or a login.

    Raises:
        OSError: the temporary folder cannot be written.
    """
    place = Path(tempfile.gettempdir())
    sweep(place)
    with _folder(f".reconciler-{purpose}.", place) as path:
        yield path


@contextlib.contextmanager
def _folder(prefix: str, parent: Path) -> Iterator[Path]:
    """A new folder for this user only, which `sweep` leaves alone. Removed at the end. Raises OSError."""
    path, handle = _new_folder(prefix, parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            os.close(handle)


def _new_folder(prefix: str, parent: Path) -> tuple[Path, int | None]:
    """The folder, and the open descriptor that marks it as in use."""
    while True:
        path = Path(tempfile.mkdtemp(TEMPORARY, prefix, parent))
        if not _HAS_LOCKS:
            return path, None
        with contextlib.suppress(FileNotFoundError):  # another run swept it before it was marked
            handle = os.open(path, os.O_RDONLY)
            _mark_in_use(handle)
            if path.exists():
                return path, handle
            os.close(handle)


def _umask() -> int:
    """The permissions that new files of this process do not get."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def sweep(folder: Path) -> None:
    """Remove the temporary files and folders of killed runs from a folder, ignoring errors."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for item in found:
            if not is_temporary(item.name):
                continue
            with contextlib.suppress(OSError):
                if item.is_file(follow_symlinks=False):
                    _remove_abandoned(item.path)
                elif item.is_dir(follow_symlinks=False):
                    _remove_abandoned_folder(item.path)


def _remove_abandoned(path: str) -> None:
    """Remove a temporary file that no process has open. Raises OSError if one has."""
    if not _HAS_LOCKS:
        Path(path).unlink()  # the system refuses this for an open file
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(path).unlink()
    finally:
        os.close(handle)


def _remove_abandoned_folder(path: str) -> None:
    """Remove a temporary folder that no process has open. Raises OSError if one has."""
    if not _HAS_LOCKS:
        return  # whether a process has it open cannot be found out
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path)
    finally:
        os.close(handle)


def _mark_in_use(handle: int) -> None:
    """Lock the file, so `sweep` skips it. On a file system without locks `sweep` removes nothing."""
    if _HAS_LOCKS:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
