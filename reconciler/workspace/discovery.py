"""Find the pipelines below a folder, and the one that a command names. Opens config.toml files only.

The official tool takes the first folder with the name, even in a copy or a virtual environment. Here two
matches are an error that lists both.
"""

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from providers.image_names import normal_name
from providers.regular_files import read_regular, real_path
from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline.config import FILE_NAME
from reconciler.pipeline.stack_name import stack_name
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.overlays import overlaid, overlays
from reconciler.workspace.globs import Glob
from reconciler.workspace.schema import Workspace

_NEVER_SEARCHED = frozenset({"node_modules", "site-packages", "__pycache__"})
_SECTIONS = frozenset({"metadata", "execution", "docker"})


@dataclass(frozen=True, slots=True)
class PipelineSummary:
    """The values of a config.toml that describe a pipeline; "" and None for missing and invalid ones.

    Attributes:
        name: metadata.name.
        stack: the name of its stack.
        type: metadata.type, in capitals.
        version: metadata.version, as the file has it.
        gpu: docker.gpu, the GPUs of a job.
        is_readable: whether the file is TOML that can be read.
    """

    folder: Path
    name: str
    stack: str
    type: str
    version: str
    gpu: int | None
    is_readable: bool


def summarize(folder: Path, environment: str | None) -> PipelineSummary:
    """The summary of a pipeline in this environment; with None, of the values that all share."""
    document = _document(folder)
    tables = overlaid(document or {}, environment).document
    docker = tables.get("docker")
    gpu = docker.get("gpu") if isinstance(docker, dict) else None
    return PipelineSummary(
        folder,
        name=_text(tables, "metadata", "name"),
        stack=_stack_name(tables),
        type=_text(tables, "metadata", "type").upper(),
        version=_text(tables, "metadata", "version"),
        gpu=gpu if isinstance(gpu, int) and not isinstance(gpu, bool) else None,
        is_readable=document is not None,
    )


def find_matching(glob: Glob, pipelines: Iterable[Path], root: Path) -> list[Path]:
    """The pipelines whose path below `root` matches, or a name or stack of theirs."""
    top = real_path(root)
    return [
        folder
        for folder in pipelines
        if glob.matches(real_path(folder).relative_to(top).as_posix())
        or any(map(glob.matches, _names(folder, views := _views(folder)) | _stack_names(views)))
    ]


def is_folder_of_pipeline(path: Path) -> bool:
    """Whether this is a folder with a config.toml, or a config.toml."""
    return (path / FILE_NAME).exists() or (path.name == FILE_NAME and path.exists())


def find(name_or_path: str, root: Path, workspace: Workspace | None = None) -> Path:
    """The folder of one pipeline.

    Args:
        name_or_path: a folder (or its config.toml) relative to `root`, if written as a path (`./app`,
            `team/app`, `.`); else the name of a pipeline's folder, its metadata.name or the name of its
            stack, which may contain slashes.
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
    matches = _called(name_or_path, pipelines)
    if len(matches) == 1:
        return matches[0]
    scope, slash, stack = name_or_path.partition("/")
    if not matches and "@" in scope and slash and _called(stack, pipelines):
        raise UserError(
            error(
                f"{name_or_path} names a stack with its environment",
                f"Select the pipeline as {stack}. The environment comes from --organization and --env.",
            )
        )
    if _is_path(name_or_path) and not matches:
        reason = f"has no {FILE_NAME}" if path.is_dir() else "is not a folder"
        raise UserError(
            error(
                f"{name_or_path} {reason}",
                "A pipeline is a folder with a config.toml. Give such a folder, the name of a pipeline, or "
                "the name of its stack.",
            )
        )
    if matches:
        raise UserError(
            error(
                f"{len(matches)} pipelines are called {name_or_path}",
                "\n".join([*map(_with_stacks, matches), "Give the path or the stack of the one you mean."]),
            )
        )
    for folder in _called(name_or_path, everything):
        return checked_folder(folder, workspace)  # raises: the workspace excludes it
    names = sorted({name for folder in pipelines for name in _names(folder, _views(folder))})
    summary = f"It contains {', '.join(names)}." if names else "It contains no pipeline."
    raise UserError(
        error(
            f"no pipeline is called {name_or_path}",
            f"Searched {real_path(root)}, except hidden folders and virtual environments. "
            f"{summary}{did_you_mean(name_or_path, names)}",
        )
    )


def stacks_called(name_or_path: str, root: Path, workspace: Workspace | None = None) -> set[str]:
    """The names of the stacks of each pipeline that `find` would find; empty if there is none."""
    try:
        folders = [find(name_or_path, root, workspace)]
    except UserError:
        folders = _called(name_or_path, find_all(root, workspace))
    return {name for folder in folders for name in stacks_in(folder)}


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
        folders[:] = [name for name in folders if is_searched(folder / name)]
    return _within(sorted(found), workspace)


def _within(folders: list[Path], workspace: Workspace | None) -> list[Path]:
    return [folder for folder in folders if workspace is None or not workspace.excludes(folder)]


def _is_path(text: str) -> bool:
    return text in (".", "..") or "/" in text or os.sep in text


def is_searched(folder: Path) -> bool:
    """Whether pipelines may be in this folder: it is neither hidden nor a virtual environment."""
    hidden = folder.name.startswith(".") or folder.name in _NEVER_SEARCHED
    return not hidden and not (folder / "pyvenv.cfg").is_file()


def _is_pipeline(folder: Path) -> bool:
    """Whether this config.toml is a pipeline's. An unreadable file counts, so that it gets an error."""
    document = _document(folder)
    return document is None or not _SECTIONS.isdisjoint(document)


def stacks_in(folder: Path) -> set[str]:
    """The name of the pipeline's stack in each environment, also if its config.toml has errors."""
    return _stack_names(_views(folder))


def stacks_below(root: Path) -> dict[Path, set[str]]:
    """Each pipeline folder below `root` with its stacks, whatever the workspace excludes."""
    return {folder: stacks_in(folder) for folder in find_all(root)}


def _stack_names(views: Iterable[Mapping[str, Any]]) -> set[str]:
    return set(map(_stack_name, views)) - {""}


def _stack_name(tables: Mapping[str, Any]) -> str:
    return stack_name(
        _text(tables, "metadata", "type").upper(),
        _text(tables, "metadata", "name"),
        _text(tables, "docker", "image_name"),
        _text(tables, "reconciler", "stack") or None,
    )


def _names(folder: Path, views: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names of a pipeline: the folder's, and metadata.name in each environment."""
    return {real_path(folder).name, *(_text(tables, "metadata", "name") for tables in views)} - {""}


def _called(name: str, folders: Iterable[Path]) -> list[Path]:
    """The pipelines with this name, or with a stack of this name."""
    names = {name, normal_name(name)}
    return [
        folder
        for folder in folders
        if name in _names(folder, views := _views(folder)) or names & _stack_names(views)
    ]


def _with_stacks(folder: Path) -> str:
    return "  ".join([str(folder), ", ".join(sorted(stacks_in(folder)))]).rstrip()


def _views(folder: Path) -> list[Mapping[str, Any]]:
    """The content of config.toml without an environment, and for each one that it has values of."""
    document = _document(folder) or {}
    return [overlaid(document, environment).document for environment in (None, *overlays(document))]


def _text(tables: Mapping[str, Any], table: str, key: str) -> str:
    """The text at this key; "" if there is none."""
    section = tables.get(table)
    value = section.get(key) if isinstance(section, dict) else None
    return value if isinstance(value, str) else ""


def _document(folder: Path) -> dict[str, Any] | None:
    try:
        return tomllib.loads(read_regular(folder / FILE_NAME).decode("utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
