"""The source of a stack: the workspace and the folder that it is applied from. Reads git only."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from providers.regular_files import is_folder
from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.load import Pipeline
from reconciler.system.git import GitError, Repository, repository_of
from state.register import Source


def workspace_name(root: Path, name: str | None) -> str:
    """The name of the workspace in a folder: `name`, else the remote of its repository; "" without both.

    Args:
        name: `[workspace] name`.
    """
    if name:
        return name
    repository = repository_of(root)
    try:
        return repository.remote() if repository else ""
    except (GitError, OSError):
        return ""


def source_of(pipeline: Pipeline, name_of: Callable[[Path, str | None], str] = workspace_name) -> Source:
    """Where the stack of this pipeline is applied from. Unknown parts are "".

    Args:
        name_of: as `workspace_name`.
    """
    root = root_of(pipeline)
    name = name_of(root or pipeline.real_folder, pipeline.loaded.shared.name)
    return Source(name, pipeline.real_folder.relative_to(root).as_posix() if root else "")


def root_of(pipeline: Pipeline) -> Path | None:
    """The folder of the workspace, else the top of the repository with the pipeline; links resolved."""
    root = pipeline.loaded.shared.real_root
    if root is not None and pipeline.real_folder.is_relative_to(root):
        return root
    repository = repository_of(pipeline.real_folder)
    return repository.top if repository else None


def left_out_folders(root: Path, folders: Iterable[str]) -> dict[str, str]:
    """The folders that git has and that are not checked out: by a sparse checkout, or in a submodule.

    Args:
        folders: from the root, each without a config.toml.

    Returns:
        Folder -> the path of the submodule from the root; "" if a sparse checkout leaves it out.

    Raises:
        UserError: git cannot list them.
    """
    paths: dict[Repository, dict[str, list[str]]] = {}
    for folder in folders:
        place = root / folder
        existing = next((above for above in (place, *place.parents) if is_folder(above)), root)
        repository = repository_of(existing)
        if repository is None or not place.is_relative_to(repository.top):
            continue
        # The index names a submodule, and no file in it; without a checkout, its folder is missing or empty.
        above = [place, *place.parents]
        submodules = [one for one in above[: above.index(existing) + 1] if one != repository.top]
        for one in (place / FILE_NAME, *submodules):
            path = one.relative_to(repository.top).as_posix()
            paths.setdefault(repository, {}).setdefault(path, []).append(folder)
    found: dict[str, str] = {}
    try:
        for repository, of_repository in paths.items():
            for path in repository.left_out(of_repository):
                # A sparse checkout leaves out the folder of a submodule, too.
                is_submodule = is_folder(repository.top / path)
                submodule = os.path.relpath(repository.top / path, root) if is_submodule else ""
                found |= dict.fromkeys(of_repository.get(path, ()), submodule)
    except (GitError, OSError) as problem:
        detail = f"{problem}. A folder without a {FILE_NAME} may not be checked out."
        raise UserError(error("git cannot list the folders of the workspace", detail)) from None
    return found
