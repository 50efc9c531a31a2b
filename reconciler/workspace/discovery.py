"""Which folder a word on the command line means, and which pipelines there are. Opens config.toml only.

The official tool takes the first folder of that name, copies and virtual environments included; here two
matches are an error that lists both.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from providers.regular_files import read_regular
from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline.config import FILE_NAME
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.toml.overlays import overlays

_NEVER_SEARCHED = frozenset({"node_modules", "site-packages", "__pycache__"})
_SECTIONS = frozenset({"metadata", "execution", "docker"})


def find(name_or_path: str, root: Path) -> Path:
    """The folder of one pipeline.

    Args:
        name_or_path: a folder (or its config.toml) relative to `root`, when written as a path (`./app`,
            `team/app`, `.`); else the name of a pipeline's folder or its metadata.name, which may have a
            slash, too.
        root: where to search.

    Raises:
        UserError: nothing matches, or more than one folder does.
    """
    path = root / name_or_path
    if path.name == FILE_NAME and path.exists():
        return path.parent
    if _is_path(name_or_path) and (path / FILE_NAME).exists():
        return path
    everywhere = find_all(root)
    found = [folder for folder in everywhere if name_or_path in _names(folder)]
    if len(found) == 1:
        return found[0]
    if _is_path(name_or_path) and not found:
        what = f"has no {FILE_NAME}" if path.is_dir() else "is not a folder"
        raise UserError(
            error(
                f"{name_or_path} {what}",
                "A pipeline is a folder with a config.toml. Give such a folder, or a pipeline's name.",
            )
        )
    if found:
        raise UserError(
            error(
                f"{len(found)} pipelines are called {name_or_path}",
                "\n".join([*map(str, found), "Give the folder of the one you mean, as a path."]),
            )
        )
    known = sorted({name for folder in everywhere for name in _names(folder)})
    there = f"Found there: {', '.join(known)}." if known else "There is no pipeline at all there."
    raise UserError(
        error(
            f"no pipeline is called {name_or_path}",
            f"Searched below {root.resolve()}, without hidden folders and virtual environments. "
            f"{there}{did_you_mean(name_or_path, known)}",
        )
    )


def find_all(root: Path) -> list[Path]:
    """Every pipeline folder below `root`, itself included, in the order of their paths.

    Hidden folders, virtual environments, node_modules and site-packages are not searched, links to folders
    are not followed. A config.toml with no table of a pipeline belongs to some other tool and is left out.

    Raises:
        UserError: `root` is not a folder.
    """
    if not root.is_dir():
        raise UserError(error(f"{root} is not a folder", "Give a folder that exists."))
    found = []
    for parent, folders, files in os.walk(root):
        folder = Path(parent)
        if FILE_NAME in files and _is_pipeline(folder):
            found.append(folder)
        folders[:] = [name for name in folders if _is_searched(folder / name)]
    return sorted(found)


def _is_path(text: str) -> bool:
    return text in (".", "..") or "/" in text or os.sep in text


def _is_searched(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _NEVER_SEARCHED
    return not hidden and not (folder / "pyvenv.cfg").is_file()


def _is_pipeline(folder: Path) -> bool:
    """A file that cannot be read counts: better an error about it than silence."""
    document = _document(folder)
    return document is None or not _SECTIONS.isdisjoint(document)


def names_in(folder: Path) -> set[str]:
    """Every name that a config.toml gives its pipeline: one for all environments, or one of their own."""
    document = _document(folder) or {}
    found = (tables.get("metadata") for tables in (document, *overlays(document).values()))
    names = (metadata.get("name") for metadata in found if isinstance(metadata, dict))
    return {name for name in names if isinstance(name, str)}


def _names(folder: Path) -> set[str]:
    """The names a pipeline answers to: its folder's and those in its config.toml."""
    return {folder.resolve().name, *names_in(folder)}


def _document(folder: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_regular(folder / FILE_NAME).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
