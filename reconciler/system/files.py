"""Write a file that other programs use too: atomically, by one of our runs at a time.

Used for config.toml and for the official CLI's own files. Independent of their content.
"""

import errno
import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from providers.leftovers import new_temporary, sweep
from providers.regular_files import real_path
from reconciler.core.diagnostics import BusyError, UserError, error


def display_path(path: Path) -> str:
    """A path relative to the current folder if it is below it, with `/`."""
    if os.pardir not in path.parts:
        if not path.is_absolute():
            return path.as_posix()
        text, here = os.fspath(path), f"{Path.cwd()}{os.sep}"
        if text.startswith(here):  # the usual case, in a fraction of the time
            return text[len(here) :].replace(os.sep, "/")
    relative = os.path.relpath(path)
    return (path if relative.startswith(os.pardir) else Path(relative)).as_posix()


@contextmanager
def locked(path: Path, *, timeout: float = 0.0, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of this file while the block runs. It is released if the process dies.

    The lock is a file in a folder of the user's own, so nothing is left beside the file itself. It does not
    exclude runs of other users or on other machines.

    Args:
        path: need not exist; links are followed, so all paths to a file share one lock.
        timeout: seconds to wait for another run.
        waiting: called once, before the wait.

    Raises:
        BusyError: another run held the lock until the timeout.
        UserError: no folder can hold the locks.
    """
    from filelock import FileLock, Timeout

    name = hashlib.sha256(os.fsencode(real_path(path))).hexdigest()[:32]
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
        detail = "Nothing was changed. Run the same command again when that run has ended."
        summary = "another run is about to write this file"
        raise BusyError(error(summary, detail, file=path, may_pass=True)) from None
    try:
        yield
    finally:
        lock.release()


def _lock_folder() -> Path:
    """The folder for locks: the user's runtime folder, else a folder of the user's in the temporary folder.

    The second is for a runtime folder that cannot be written or belongs to another user, as after `sudo`.

    Raises:
        UserError: neither can be used.
    """
    from platformdirs import user_runtime_path

    def runtime() -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it warns that it falls back to a folder below /tmp: good enough
            return user_runtime_path("reconciler", ensure_exists=True)

    def temporary() -> Path:
        folder = Path(tempfile.gettempdir()) / f"reconciler-{_user()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    problems = []
    for make in (runtime, temporary):
        try:
            folder = make()
        except (OSError, RuntimeError) as problem:  # RuntimeError: no home folder
            problems.append(str(problem))
            continue
        if _is_mine(folder) and os.access(folder, os.W_OK | os.X_OK):
            return folder
        problems.append(f"{folder} belongs to another user, or cannot be written")
    detail = f"{'; '.join(problems)}. Set XDG_RUNTIME_DIR to a folder that you own, with mode 0700."
    raise UserError(error("no folder can hold the locks", detail))


def _user() -> str:
    return str(os.geteuid()) if hasattr(os, "geteuid") else ""


def _is_mine(folder: Path) -> bool:
    """Whether this is a folder that belongs to this user. On Windows these folders are per user already."""
    status = folder.lstat()
    return stat.S_ISDIR(status.st_mode) and (not hasattr(os, "geteuid") or status.st_uid == os.geteuid())


def why_not_written(path: Path, problem: OSError | None = None) -> str:
    """Why this file cannot be written, and what to do about it, in sentences.

    Args:
        path: a file, or a new folder.
        problem: the failure; None if only the permissions were checked.
    """
    folder = real_path(path).parent
    if problem is not None:
        number, reason = problem.errno, f"{problem.strerror or problem}."
    else:
        number = errno.EROFS if _is_read_only(folder) else errno.EACCES
        reason = f"{os.strerror(number)}."
    shown = "this folder" if folder == Path.cwd() else display_path(folder)
    if number == errno.EROFS:
        return f"{reason} Run the command in a copy of {shown} on a disk that can be written."
    if number in (errno.EACCES, errno.EPERM):
        return f"{reason} Give this user the right to write in {shown}, or run the command in a copy of it."
    if number in (errno.ENOSPC, errno.EDQUOT):
        return f"{reason} Free some space."
    return reason


@contextmanager
def writing(path: Path, summary: str, rest: str = "") -> Iterator[None]:
    """Turns a failed write into an error with the reason, and what to do about it.

    Args:
        path: the file, or new folder, that is written.
        summary: of the error.
        rest: a sentence about what else was written or not.

    Raises:
        UserError: the block raised OSError.
    """
    try:
        yield
    except OSError as problem:
        detail = f"{why_not_written(path, problem)} {rest}".rstrip()
        raise UserError(error(summary, detail, file=path)) from None


def _is_read_only(folder: Path) -> bool:
    """Whether the file system of this folder is mounted so."""
    try:
        return hasattr(os, "statvfs") and bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def replace_file(path: Path, content: bytes, *, mode: int | None = None) -> None:
    """Replace the file's content atomically: readers see the old content or the new one, never a mix.

    Temporary files that a killed run left beside it are removed first. A symbolic link is kept and its target
    replaced; the owner is kept if permitted. A file with several names (hard links) is written in place,
    because a rename would separate the names.

    Args:
        mode: the permission bits to set; None keeps the current ones, and means 0600 for a new file.

    Raises:
        OSError: it cannot be written; it is unchanged.
    """
    target = real_path(path)
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), os.fspath(path))
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


def write_output(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that the user named for output: replaced whole, unless it is a pipe or a terminal.

    Args:
        mode: the permission bits of a new file; an existing one keeps its own.

    Raises:
        OSError: it cannot be written, or it is a named pipe that no program reads.
    """
    if path.exists() and not path.is_file():  # a pipe or a terminal has no content to keep whole
        with os.fdopen(_open_to_write(path), "wb") as file:
            file.write(content)
    else:
        replace_file(path, content, mode=None if path.exists() else mode)


class LineFile:
    """A file that the user named for output, written line by line: a killed run leaves complete lines.

    Raises:
        OSError: as `write_output`.
    """

    def __init__(self, path: Path) -> None:
        handle = _open_to_write(path, os.O_CREAT | os.O_TRUNC)
        self._file = os.fdopen(handle, "wb", buffering=0)

    def write(self, line: bytes) -> None:
        """Write one line at once. Raises OSError, and what was written of the line is removed if possible."""
        rest, start = line, self._file.tell() if self._file.seekable() else None
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            if start is not None:
                with suppress(OSError):
                    self._file.truncate(start)
            raise

    def close(self) -> None:
        with suppress(OSError):  # each line was written already
            self._file.close()


def append_output(path: Path, content: bytes) -> None:
    """Add to a file that other programs add to as well; it is created if it does not exist.

    Raises:
        OSError: as `write_output`.
    """
    with os.fdopen(_open_to_write(path, os.O_APPEND | os.O_CREAT), "ab") as file:
        file.write(content)


def _open_to_write(path: Path, flags: int = 0) -> int:
    """A descriptor to write to. The open of a pipe does not wait for a reader: there may never be one."""
    try:
        handle = os.open(path, os.O_WRONLY | flags | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as problem:
        if problem.errno == errno.ENXIO:
            reason = "Is a named pipe or a device that no program reads"
            raise OSError(errno.ENXIO, reason, os.fspath(path)) from None
        raise
    if os.name == "posix":
        os.set_blocking(handle, True)
    return handle


def _rewrite(target: Path, content: bytes, mode: int | None) -> None:
    """Write a file in place, in steps that each leave the old text or the new one.

    Line feeds at the end make up the difference in length; they have no meaning in the formats written here.
    The first step appends them, which shows whether the disk has room. Then one call overwrites the content,
    padded with line feeds to the same length. The last step cuts the padding off. A kill between two steps
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
    """Write `content`, in one call if the system can.

    Raises:
        OSError: the disk has no room for it.
    """
    os.lseek(handle, start, os.SEEK_SET)
    while content:
        content = content[os.write(handle, content) :]


def _sync_folder(folder: Path) -> None:
    """Make the rename durable. Some network file systems do not support this, and keep the rename anyway."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)
