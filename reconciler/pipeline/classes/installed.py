"""What the interpreter of a pipeline has installed, found by looking at its folders: nothing of it is run.

The static reader needs this, because the packages that are installed there decide what a class inherits.
Where the layout is not a plain one (another system's Python, an editable install), the answer is that it is
unknown, and the class is run.
"""

import functools
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from providers.regular_files import read_regular


class UnknownError(Exception):
    """It cannot be told without running the interpreter; the text says why."""


class Installed:
    """The places where an interpreter looks for packages.

    Args:
        places: its folders, in the order of its `sys.path`; None when they are unknown.
        python: the interpreter, for messages.
    """

    def __init__(self, places: tuple[Path, ...] | None, python: Path | None = None) -> None:
        self._places, self.python = places, python

    def file_of(self, module: str) -> Path | None:
        """The file of this module; None when its package is not installed, so that a stand-in serves it.

        Raises:
            UnknownError: it may be installed in a way that is not followed, or has no such file.
        """
        if self._places is None:
            raise UnknownError(f"it is not known what {self.python} has installed")
        root, *below = module.split(".")
        for place in self._places:
            if _is_file(place / root / "__init__.py"):
                parts = place.joinpath(root, *below)
                for file in (parts.with_suffix(".py"), parts / "__init__.py"):
                    if _is_file(file):
                        return file
                raise UnknownError(f"the {root} of {self.python} has no module {module}")
            if _is_there(place / root) or _is_there(place / f"{root}.py") or _is_linked(place, root):
                raise UnknownError(f"{self.python} has its {root} in a way that only running it follows")
        return None


NOTHING = Installed(())
"""An interpreter with no package at all."""


def installed_in(python: Path, variables: Mapping[str, str] = os.environ) -> Installed:
    """What the classes of a pipeline find when this interpreter runs them."""
    extra = tuple(Path(place) for place in variables.get("PYTHONPATH", "").split(os.pathsep) if place)
    if os.path.abspath(python) == os.path.abspath(sys.executable):  # noqa: PTH100 - links are other environments
        return Installed((*extra, *(Path(place) for place in sys.path[1:] if place)), python)
    if not _is_there(python):
        return NOTHING  # it can run nothing that would say otherwise
    places = _places_of(python)
    return Installed(None if places is None else (*extra, *places), python)


def _places_of(python: Path) -> tuple[Path, ...] | None:
    """The folders of a virtual environment that is alone; None for any other interpreter."""
    root = python.absolute().parent.parent
    try:
        settings = read_regular(root / "pyvenv.cfg").decode().lower()
    except (OSError, UnicodeDecodeError):
        return None
    values = dict(line.replace(" ", "").split("=", 1) for line in settings.splitlines() if "=" in line)
    if values.get("include-system-site-packages") != "false":
        return None
    # lib64 is a link to lib.
    found = (*sorted(root.glob("lib*/python3*/site-packages")), root / "Lib" / "site-packages")
    own = [place for place in found if os.path.isdir(place) and not place.parent.parent.is_symlink()]  # noqa: PTH112
    return (*own, *(place for each in own for place in _added_to(each)))


def _is_file(path: Path) -> bool:
    """As Python's import has it: what may not be looked at is not there. `Path.is_file` would raise."""
    return os.path.isfile(path)  # noqa: PTH113


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110


def _is_linked(place: Path, root: str) -> bool:
    """Whether the package is said to be installed here while its folder is elsewhere: an editable install."""
    name = root.replace("_", "-")
    return any(entry.startswith((f"{root}-", f"{name}.", f"{name}-")) for entry in _entries(place))


def _added_to(place: Path) -> list[Path]:
    """Folders that .pth files name. Where one runs code instead, its package has metadata here."""
    added = []
    for name in sorted(_entries(place)):
        if name.endswith(".pth"):
            try:
                lines = read_regular(place / name).decode().splitlines()
            except (OSError, UnicodeDecodeError):
                continue
            added += [
                place / line.strip() for line in lines if not line.startswith(("import ", "import\t", "#"))
            ]
    return [folder for folder in added if os.path.isdir(folder)]  # noqa: PTH112


def _entries(place: Path) -> tuple[str, ...]:
    try:
        return _entries_at(place, place.stat().st_mtime_ns)
    except OSError:
        return ()


@functools.lru_cache(maxsize=256)
def _entries_at(place: Path, changed: int) -> tuple[str, ...]:
    return tuple(os.listdir(place))  # noqa: PTH208 - names only
