"""Files of ours in other people's folders: how they are named, so that no build takes them for source.

A run that is killed while it replaces a file leaves a temporary one beside it. Its name says so, and the next
run that writes in that folder removes it.
"""

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import Final

if os.name == "posix":
    import fcntl

TEMPORARY: Final = ".reconciler-tmp"
"""How the name of every temporary file ends that lies beside what it is going to replace."""

BASELINE: Final = "drift-baseline.toml"
"""Where acknowledgements are kept, in the folder that a command runs in, unless another file is named."""


def is_temporary(name: str) -> bool:
    """Whether a file of this name is one of our temporary files."""
    return name.startswith(".") and name.endswith(TEMPORARY)


def is_own_file(name: str) -> bool:
    """Whether a file of this name was made by us, and so is not what an image is made from."""
    return name == BASELINE or is_temporary(name)


def new_temporary(beside: Path) -> tuple[int, Path]:
    """A temporary file for the new content of a file, open for writing, which `sweep` leaves alone.

    Close the descriptor when the file has been renamed or removed; until then it is in use.

    Raises:
        OSError: the folder cannot be written.
    """
    while True:
        handle, name = tempfile.mkstemp(TEMPORARY, f".{beside.name[:100]}.", beside.parent)
        _hold(handle)
        if os.name != "posix" or os.fstat(handle).st_nlink:
            return handle, Path(name)
        os.close(handle)  # another run swept it before it was held


def sweep(folder: Path) -> None:
    """Remove the temporary files that killed runs left in a folder. What cannot be removed stays."""
    with contextlib.suppress(OSError), os.scandir(folder) as found:
        for item in found:
            if is_temporary(item.name) and item.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_abandoned(item.path)


def _remove_abandoned(path: str) -> None:
    """Remove a temporary file that no process has open. Raises OSError when one has."""
    if os.name != "posix":
        Path(path).unlink()  # refused by the system while it is open
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(path).unlink()
    finally:
        os.close(handle)


def _hold(handle: int) -> None:
    """Let `sweep` see that the file is in use. A file system without locks never sweeps, which is safe."""
    if os.name == "posix":
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
