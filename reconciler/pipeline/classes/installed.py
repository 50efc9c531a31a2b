"""Find a pipeline's interpreter, and its packages by its folders, without running it.

The static reader needs this, because the installed packages decide what a class inherits. In any layout other
than a plain virtual environment of CPython, such as a system Python, PyPy, Conda or an editable install, the
packages are unknown and the class is run.
"""

import functools
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from providers.patterns import pattern
from providers.regular_files import read_regular, read_start, real_path

_CPYTHON = pattern(r"python3\.\d+t?")
"""The name of a program of CPython, which is also that of its folder in `lib`."""

_HARMLESS = pattern(
    r"import (_virtualenv|_editable_impl_\w+|__editable___\w+_finder; __editable___\w+_finder\.install\(\))"
    r"|import os; var = 'SETUPTOOLS_USE_DISTUTILS'; enabled = os\.environ\.get\(var, '\w+'\) == '\w+';"
    r" enabled and __import__\('_distutils_hack'\);?"
    r"|import sys, types, os;.*sys\.modules\.setdefault\(.*"
)
"""Code in .pth files that replaces no package of a folder: that of virtualenv, editable installs, setuptools
and namespace packages. Editable installs come last, and `_is_linked` finds them."""


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
                for file in (parts / "__init__.py", parts.with_suffix(".py")):
                    if _is_file(file):
                        return file
                raise UnknownError(f"the {root} of {self.python} has no module {module}")
            if _exists(folder / root) or _is_linked(folder, root) or _is_file(folder):  # a file is an archive
                raise UnknownError(f"{self.python} has {root} installed in a way that only it can resolve")
        return None


NOTHING = Installed(())
"""An interpreter without packages."""


def interpreter(folder: Path, python: Path | None = None) -> Path:
    """The Python for a pipeline: `python` if given, else its own virtual environment's, else ours."""
    if python is None:
        own = os.path.join(folder, ".venv")  # noqa: PTH118 - most pipelines of a fleet have none
        if not os.path.lexists(own):
            return Path(sys.executable)
        candidates = [Path(own, "bin", "python"), Path(own, "Scripts", "python.exe")]
        # A link whose Python was removed counts: it fails, and another Python could give other values.
        return next((path for path in candidates if path.exists() or path.is_symlink()), Path(sys.executable))
    on_path = shutil.which(python) if python.name == str(python) else None  # `--python python3.12`
    return Path(on_path) if on_path is not None else python


def installed_in(python: Path, folder: Path, variables: Mapping[str, str] = os.environ) -> Installed:
    """The packages that classes can import when this interpreter runs them.

    Args:
        folder: the pipeline's folder, which is the current one when its classes are run.
    """
    extra = _paths(tuple(variables.get("PYTHONPATH", "").split(os.pathsep)), folder)
    if os.path.abspath(python) == os.path.abspath(sys.executable):  # noqa: PTH100 - links are other environments
        return _installed((*extra, *_paths(tuple(sys.path[1:]))), python)
    if not _exists(python):
        return NOTHING  # it cannot run, so nothing contradicts the stand-ins
    own = _package_folders(python)
    folders = None if own is None else (*extra, *own)
    if any(entry.startswith("sitecustomize") for path in folders or () for entry in _entries(path)):
        folders = None  # it runs before any class, and may change the path
    return _installed(folders, python)


@functools.lru_cache(maxsize=8)
def _paths(folders: tuple[str, ...], current: Path = Path()) -> tuple[Path, ...]:
    """The same paths each time, as a path computes its hash once."""
    return tuple(current / folder for folder in folders if folder)


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
    if not _is_isolated(root) or _exists(python.parent / "pyvenv.cfg"):  # Python prefers that one
        return None
    own = _site_packages(python, root)
    added = None if own is None else _folders_of_pth_files(own)
    return None if own is None or added is None else (own, *added)


def _is_isolated(root: Path) -> bool:
    """Whether this is the folder of a virtual environment without the system's packages."""
    try:
        settings = read_regular(root / "pyvenv.cfg").decode().lower()
    except (OSError, UnicodeDecodeError):
        return False
    values = dict(line.replace(" ", "").split("=", 1) for line in settings.splitlines() if "=" in line)
    return values.get("include-system-site-packages") == "false"


def _site_packages(python: Path, root: Path) -> Path | None:
    """The folder from which this interpreter of a virtual environment imports; None if that is uncertain.

    The program decides which version's folder that is. pyvenv.cfg may name another version, and folders of
    other versions may be there: upgrades of an environment, or of the system, leave both behind.
    """
    if python.parent.name == "Scripts":  # Windows has one folder for all versions
        return root / "Lib" / "site-packages"
    program, lib64 = real_path(python), root / "lib64"
    if not _CPYTHON.fullmatch(program.name) or _is_script(program):
        return None
    if _exists(lib64) and not lib64.is_symlink():
        return None  # some builds import from it, others from lib
    return root / "lib" / program.name / "site-packages"


def _is_script(program: Path) -> bool:
    """Whether this file starts another program, as the shims of pyenv do. True if it cannot be read."""
    try:
        return read_start(program, 2) == b"#!"
    except OSError:
        return True


def _is_file(path: Path) -> bool:
    """Whether Python's import would see this file. Unlike `Path.is_file`, False without permission."""
    return os.path.isfile(path)  # noqa: PTH113


def _exists(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def _is_linked(folder: Path, root: str) -> bool:
    """Whether this folder has the package in another form than its files, as after an editable install."""
    name = root.replace("_", "-")
    return any(
        entry.startswith((f"{root}.", f"{root}-", f"{name}.", f"{name}-"))
        or (entry.startswith(("__editable__", "_editable_impl_")) and _contains(folder / entry, root))
        for entry in _entries(folder)
    )


def _contains(file: Path, word: str) -> bool:
    try:
        return word.encode() in read_regular(file)
    except OSError:
        return False


def _folders_of_pth_files(folder: Path) -> list[Path] | None:
    """The folders and archives that .pth files add; None if they may change the path in another way."""
    added = []
    for name in sorted(entry for entry in _entries(folder) if entry.endswith(".pth")):
        if name.startswith("."):
            return None  # some versions of Python skip it
        try:
            lines = read_regular(folder / name).decode().splitlines()
        except OSError:
            continue
        except UnicodeDecodeError:
            return None
        for line in lines:
            if not line.startswith(("import ", "import\t", "#")):
                added.append(folder / line.rstrip())
            elif not line.startswith("#") and not _HARMLESS.fullmatch(line.rstrip()):
                return None
    return [path for path in added if _exists(path)]


def _entries(folder: Path) -> tuple[str, ...]:
    try:
        return _entries_at(folder, folder.stat().st_mtime_ns)
    except OSError:
        return ()


@functools.lru_cache(maxsize=256)
def _entries_at(folder: Path, changed: int) -> tuple[str, ...]:
    return tuple(os.listdir(folder))  # noqa: PTH208 - names only
