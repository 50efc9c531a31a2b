"""The source of a stack: the workspace and the folder that it is applied from. Reads git only."""

from collections.abc import Callable
from pathlib import Path

from providers.regular_files import real_path
from reconciler.pipeline.load import Pipeline
from reconciler.system.git import GitError, repository_of
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
    folder, root = real_path(pipeline.folder), root_of(pipeline)
    name = name_of(root or folder, pipeline.loaded.shared.name)
    return Source(name, folder.relative_to(root).as_posix() if root else "")


def root_of(pipeline: Pipeline) -> Path | None:
    """The folder of the workspace, else the top of the repository with the pipeline; links resolved."""
    folder, root = real_path(pipeline.folder), pipeline.loaded.shared.root
    if root is not None and folder.is_relative_to(real_path(root)):
        return real_path(root)
    repository = repository_of(folder)
    return repository.top if repository else None
