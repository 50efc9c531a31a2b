"""Find the packages of a pipeline's interpreter by its folders, without running it.

The static reader needs this, because the installed packages decide what a class inherits. In any layout other
than a plain virtual environment, such as a system Python or an editable install, the packages are unknown and
the class is run.
"""

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from providers.regular_files import read_regular


class UnknownError(Exception):
    """The question needs a run of the interpreter; the text has the reason."""


class Installed:
    """The packages of an interpreter, as they are at the first question about each module.

    Args:
        folders: its folders with packages, in the order of its `sys.path`; None if they are unknown.
        python: the interpreter, for messages.
    """

    def __init__(self, folders: tuple[Path, ...] | None, python: Path | None = None) -> None:
        self._folders, self.python = folders, python
        self.file_of = functools.cache(self._file_of)  # a class names an enum thousands of times

    def _file_of(self, module: str) -> Path | None:
        """The file of this module; None if its package is not installed, and a stand-in replaces it.

        Raises:
            UnknownError: the package is installed in an unsupported way, or has no such module.
        """
        if self._folders is None:
            raise UnknownError(f"the packages of {self.python} are unknown")
        root, *below = module.split(".")
        for folder in self._folders:
            if _is_file(folder / root / "__init__.py"):
                parts = folder.joinpath(root, *below)
                for file in (parts.with_suffix(".py"), parts / "__init__.py"):
                    if _is_file(file):
                        return file
                raise UnknownError(f"the {root} of {self.python} has no module {module}")
            if _exists(folder / root) or _exists(folder / f"{root}.py") or _is_linked(folder, root):
                raise UnknownError(f"{self.python} has {root} installed in a way that only it can resolve")
        return None


NOTHING = Installed(())
"""An interpreter without packages."""


def installed_in(python: Path, variables: Mapping[str, str] = os.environ) -> Installed:
    """The packages that classes can import when this interpreter runs them."""
    extra = _paths(tuple(variables.get("PYTHONPATH", "").split(os.pathsep)))
    if os.path.abspath(python) == os.path.abspath(sys.executable):  # noqa: PTH100 - links are other environments
        return _installed((*extra, *_paths(tuple(sys.path[1:]))), python)
    if not _exists(python):
        return NOTHING  # it cannot run, so nothing contradicts the stand-ins
    folders = _package_folders(python)
    return _installed(None if folders is None else (*extra, *folders), python)


@functools.lru_cache(maxsize=8)
def _paths(folders: tuple[str, ...]) -> tuple[Path, ...]:
    """The same paths each time, as a path computes its hash once."""
    return tuple(Path(folder) for folder in folders if folder)


def _installed(folders: tuple[Path, ...] | None, python: Path) -> Installed:
    return _unchanged(folders, python, tuple(map(_changed_at, folders or ())))


@functools.lru_cache(maxsize=8)
def _unchanged(
    folders: tuple[Path, ...] | None, python: Path, changed_at: tuple[int | None, ...]
) -> Installed:
    """One value while the folders have the same entries: searching them takes milliseconds for each class."""
    return Installed(folders, python)


def _changed_at(folder: Path) -> int | None:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116
    except OSError:
        return None


def _package_folders(python: Path) -> tuple[Path, ...] | None:
    """The package folders of an isolated virtual environment; None for any other interpreter."""
    root = python.absolute().parent.parent
    try:
        settings = read_regular(root / "pyvenv.cfg").decode().lower()
    except (OSError, UnicodeDecodeError):
        return None
    values = dict(line.replace(" ", "").split("=", 1) for line in settings.splitlines() if "=" in line)
    if values.get("include-system-site-packages") != "false":
        return None
    # lib64 is a link to lib.
    candidates = (*sorted(root.glob("lib*/python3*/site-packages")), root / "Lib" / "site-packages")
    own = [folder for folder in candidates if os.path.isdir(folder) and not folder.parent.parent.is_symlink()]  # noqa: PTH112
    return (*own, *(added for folder in own for added in _folders_of_pth_files(folder)))


def _is_file(path: Path) -> bool:
    """Whether Python's import would see this file. Unlike `Path.is_file`, False without permission."""
    return os.path.isfile(path)  # noqa: PTH113


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def _is_linked(folder: Path, root: str) -> bool:
    """Whether this folder has the metadata of the package but not its files: an editable install."""
    name = root.replace("_", "-")
    return any(entry.startswith((f"{root}-", f"{name}.", f"{name}-")) for entry in _entries(folder))


def _folders_of_pth_files(folder: Path) -> list[Path]:
    """The folders in .pth files. If a .pth file runs code instead, its package has metadata in `folder`."""
    added = []
    for name in sorted(_entries(folder)):
        if name.endswith(".pth"):
            try:
                lines = read_regular(folder / name).decode().splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            added += [
                folder / line.strip() for line in lines if not line.startswith(("import ", "import\t", "#"))
            ]
    return [path for path in added if os.path.isdir(path)]  # noqa: PTH112


def _entries(folder: Path) -> tuple[str, ...]:
    try:
        return _entries_at(folder, folder.stat().st_mtime_ns)
    except OSError:
        return ()


@functools.lru_cache(maxsize=256)
def _entries_at(folder: Path, changed: int) -> tuple[str, ...]:
    return tuple(os.listdir(folder))  # noqa: PTH208 - names only
