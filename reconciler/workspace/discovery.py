"""Find the pipelines below a folder, and the one that a command names. Opens config.toml files only.

The official tool takes the first folder with the name, even in a copy or a virtual environment. Here two
matches are an error that lists both.
"""

import os
import tomllib
from pathlib import Path
from typing import Any

from providers.regular_files import read_regular, real_path
from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline.config import FILE_NAME
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.overlays import overlays
from reconciler.workspace.schema import Workspace

_NEVER_SEARCHED = frozenset({"node_modules", "site-packages", "__pycache__"})
_SECTIONS = frozenset({"metadata", "execution", "docker"})


def find(name_or_path: str, root: Path, workspace: Workspace | None = None) -> Path:
    """The folder of one pipeline.

    Args:
        name_or_path: a folder (or its config.toml) relative to `root`, if written as a path (`./app`,
            `team/app`, `.`); else the name of a pipeline's folder or its metadata.name, which may contain a
            slash.
        root: where to search.
        workspace: limits the pipelines to its own.

    Raises:
        UserError: no folder matches, more than one does, or the workspace excludes it.
    """
    path = root / name_or_path
    if path.name == FILE_NAME and path.exists():
        return checked_folder(path.parent, workspace)
    if _is_path(name_or_path) and (path / FILE_NAME).exists():
        return checked_folder(path, workspace)
    everything = find_all(root)
    pipelines = _within(everything, workspace)
    matches = [folder for folder in pipelines if name_or_path in _names(folder)]
    if len(matches) == 1:
        return matches[0]
    if _is_path(name_or_path) and not matches:
        reason = f"has no {FILE_NAME}" if path.is_dir() else "is not a folder"
        raise UserError(
            error(
                f"{name_or_path} {reason}",
                "A pipeline is a folder with a config.toml. Give such a folder, or the name of a pipeline.",
            )
        )
    if matches:
        raise UserError(
            error(
                f"{len(matches)} pipelines are called {name_or_path}",
                "\n".join([*map(str, matches), "Give the path of the one you mean."]),
            )
        )
    for folder in everything:
        if name_or_path in _names(folder):
            return checked_folder(folder, workspace)  # raises: the workspace excludes it
    names = sorted({name for folder in pipelines for name in _names(folder)})
    summary = f"It contains {', '.join(names)}." if names else "It contains no pipeline."
    raise UserError(
        error(
            f"no pipeline is called {name_or_path}",
            f"Searched {real_path(root)}, except hidden folders and virtual environments. "
            f"{summary}{did_you_mean(name_or_path, names)}",
        )
    )


def checked_folder(folder: Path, workspace: Workspace | None) -> Path:
    """The folder. Raises UserError if the workspace excludes it."""
    if workspace is not None and (reason := workspace.excludes(folder)):
        raise UserError(
            error(f"{folder} is not a pipeline of the workspace", f"{reason} Change that, or name another.")
        )
    return folder


def find_all(root: Path, workspace: Workspace | None = None) -> list[Path]:
    """Every pipeline folder below `root`, including `root`, sorted by path.

    Skips hidden folders, virtual environments, node_modules and site-packages, and does not follow links to
    folders. A config.toml without any table of a pipeline belongs to another tool and is left out.

    Args:
        workspace: limits the pipelines to its own.

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
    return _within(sorted(found), workspace)


def _within(folders: list[Path], workspace: Workspace | None) -> list[Path]:
    return [folder for folder in folders if workspace is None or not workspace.excludes(folder)]


def _is_path(text: str) -> bool:
    return text in (".", "..") or "/" in text or os.sep in text


def _is_searched(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in _NEVER_SEARCHED
    return not hidden and not (folder / "pyvenv.cfg").is_file()


def _is_pipeline(folder: Path) -> bool:
    """Whether this config.toml is a pipeline's. An unreadable file counts, so that it gets an error."""
    document = _document(folder)
    return document is None or not _SECTIONS.isdisjoint(document)


def names_in(folder: Path) -> set[str]:
    """Every name that a config.toml gives its pipeline, including those of single environments."""
    document = _document(folder) or {}
    sections = (tables.get("metadata") for tables in (document, *overlays(document).values()))
    names = (metadata.get("name") for metadata in sections if isinstance(metadata, dict))
    return {name for name in names if isinstance(name, str)}


def _names(folder: Path) -> set[str]:
    """The names that select a pipeline: the folder's, and those in its config.toml."""
    return {real_path(folder).name, *names_in(folder)}


def _document(folder: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_regular(folder / FILE_NAME).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
