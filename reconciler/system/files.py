"""Writing a file that is somebody else's too: whole or not at all, by one of our runs at a time.

Used for config.toml and for the official CLI's own files. Knows nothing of what is in them.
"""

import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from providers.leftovers import new_temporary, sweep
from reconciler.core.diagnostics import BusyError, UserError, error


@contextmanager
def locked(path: Path, *, timeout: float = 0.0, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Nobody else holds this file while the block runs; a process that dies lets go of it.

    The lock is a file in a folder of the user's own, so nothing is left beside the file itself. Runs of other
    users and of other machines are not kept out.

    Args:
        path: need not exist; links are followed, so every way to a file leads to one lock.
        timeout: seconds to wait for another run.
        waiting: is called once, before the wait.

    Raises:
        BusyError: another run held it all that time.
        UserError: there is no folder that locks can be kept in.
    """
    from filelock import FileLock, Timeout

    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:32]
    lock = FileLock(_lock_folder() / f"{name}.lock")
    try:
        try:
            lock.acquire(blocking=False)
        except Timeout:
            if timeout <= 0:
                raise
            waiting()
            lock.acquire(timeout=timeout)
    except Timeout:
        told = "Nothing was changed. Run the same command again when that run has ended."
        raise BusyError(error("another run is about to write this file", told, file=path)) from None
    try:
        yield
    finally:
        lock.release()


def _lock_folder() -> Path:
    """The folder of locks: the user's runtime folder, or one in the temporary folder where that belongs to
    another user, as after `sudo`, or cannot be written.

    Raises:
        UserError: neither can be used.
    """
    from platformdirs import user_runtime_path

    def runtime() -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # without the variable it is a folder below /tmp, which will do
            return user_runtime_path("reconciler", ensure_exists=True)

    def temporary() -> Path:
        folder = Path(tempfile.gettempdir()) / f"reconciler-{_user()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    problems = []
    for make in (runtime, temporary):
        try:
            folder = make()
        except OSError as problem:
            problems.append(str(problem))
            continue
        if _is_mine(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
        problems.append(f"{folder} belongs to another user, or cannot be written")
    told = f"{'; '.join(problems)}. Let XDG_RUNTIME_DIR name a folder of your own with mode 0700."
    raise UserError(error("there is no folder that locks can be kept in", told))


def _user() -> str:
    return str(os.geteuid()) if hasattr(os, "geteuid") else ""


def _is_mine(folder: Path) -> bool:
    """Whether this folder is there and belongs to this user. Windows keeps its folders apart by itself."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and (not hasattr(os, "geteuid") or found.st_uid == os.geteuid())


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace the file's content in one step: the old content or the new one, never half of it.

    What a killed run left beside it is removed first. A symbolic link stays one and its target is replaced;
    the file's owner is kept where we may. A file with several names (hard links) is written in place, so that
    all of them keep naming one file.

    Args:
        mode: the permission bits to give it; None for those it has, and 0600 for a new one.

    Raises:
        OSError: it cannot be written; it is as it was.
    """
    target = path.resolve()
    if target.exists() and target.stat().st_nlink > 1:
        _rewrite(target, content, mode)
        return
    sweep(target.parent)
    handle, temporary = new_temporary(target)
    try:
        with os.fdopen(handle, "wb", closefd=os.name != "posix") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            before = target.stat()
            if hasattr(os, "chown"):
                with suppress(PermissionError):
                    os.chown(temporary, before.st_uid, before.st_gid)
            mode = stat.S_IMODE(before.st_mode) if mode is None else mode
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    finally:
        if os.name == "posix":  # elsewhere an open file cannot be renamed
            os.close(handle)
    _sync_folder(target.parent)


def _rewrite(target: Path, content: bytes, mode: int | None) -> None:
    """Write a file in place, by steps of which each leaves the old text or the new one.

    The difference in length is made of line feeds at the end, which mean nothing in the formats that are
    written here. They are added first, which finds out whether the disk has room; then one call writes over
    what is there, with line feeds up to the same length; then they are cut off. A kill between two steps
    leaves one of the two texts. A power failure may tear a file of several blocks.
    """
    with target.open("r+b", buffering=0) as file:
        before = file.read()
        length = max(len(before), len(content))
        try:
            _write_at(file.fileno(), len(before), b"\n" * (length - len(before)))
            _write_at(file.fileno(), 0, content.ljust(length, b"\n"))
            file.truncate(len(content))
            os.fsync(file.fileno())
            if mode is not None:
                target.chmod(mode)
        except BaseException:
            with suppress(OSError):
                _write_at(file.fileno(), 0, before)
                file.truncate(len(before))
            raise


def _write_at(handle: int, start: int, content: bytes) -> None:
    """Write all of it in one call where the system can.

    Raises:
        OSError: there is no room for it.
    """
    os.lseek(handle, start, os.SEEK_SET)
    while content:
        content = content[os.write(handle, content) :]


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last. A file system without it (some network shares) keeps the rename anyway."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
