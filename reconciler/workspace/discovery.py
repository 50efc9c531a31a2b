"""Find the pipelines below a folder, and the one that a command names. Opens config.toml files only.

The official tool takes the first folder with the name, even in a copy or a virtual environment. Here two
matches are an error that lists both.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

from providers.image_names import normal_name
from providers.regular_files import (
    NO_DESCRIPTORS,
    RAISE_LIMIT,
    exists,
    is_file,
    is_folder,
    real_path,
)
from providers.text import as_sentence
from reconciler.core.diagnostics import CannotCheckError, Diagnostic, UserError, error
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.stacks import Document, stack_in, stacks_of, text_at, views
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.system.files import display_path
from reconciler.workspace.config_file import ConfigFile, Declaration, declaration, stacks_in
from reconciler.workspace.globs import Glob
from reconciler.workspace.schema import FILE_NAME as WORKSPACE_FILE
from reconciler.workspace.schema import Workspace

_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
_NEVER_SEARCHED = frozenset({"node_modules", "site-packages", "__pycache__"})
OtherWorkspaces = dict[Path, Path | None]
"""Folder -> the closest reconciler.toml, if it is not that of the workspace."""


def is_folder_of_pipeline(path: Path) -> bool:
    """Whether this is a folder with a config.toml, or a config.toml."""
    return exists(path / FILE_NAME) or (path.name == FILE_NAME and exists(path))


class PipelineIndex:
    """The pipelines below a folder, by name and path. It is searched once, each config.toml is read once.

    Args:
        root: where to search, and where paths start.
        workspace: limits the pipelines to its own.
        environment: returns the one whose names and stacks count; None for those of all. Called only if a
            pipeline has another name there.
    """

    def __init__(
        self,
        root: Path,
        workspace: Workspace | None = None,
        environment: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._root, self._workspace, self._environment_of_run = root, workspace, environment
        self._others: OtherWorkspaces = {}
        self._passed: dict[Path, str] = {}

    @cached_property
    def folders(self) -> list[Path]:
        """The folders of the pipelines, sorted by path. Raises UserError: the root is not a folder."""
        return _within(list(self._files), self._workspace)

    @cached_property
    def unsearched(self) -> dict[Path, OSError]:
        """The folders that cannot be searched, and why."""
        return self._found[1]

    @property
    def passed_over(self) -> Mapping[Path, str]:
        """The places that the search passed over for what they are now, which may be pipelines all the same.

        With the reason for a link to a folder, or a virtual environment, with all that is below it; "" for a
        folder alone whose config.toml has nothing of a pipeline. Paths have no links but at their end.
        """
        _ = self._found
        top = real_path(self._root)
        return {top / place.relative_to(self._root): why for place, why in self._passed.items()}

    @cached_property
    def problems(self) -> dict[Path, UserError]:
        """The error of each folder that cannot be searched and may have pipelines of the workspace."""
        workspace = self._workspace
        return {
            folder: CannotCheckError(_not_searched(folder, problem, workspace))
            for folder, problem in self.unsearched.items()
            if workspace is not None and workspace.may_have(folder)
        }

    @cached_property
    def declarations(self) -> dict[Path, Declaration]:
        """What each pipeline declares, sorted by path, whatever the workspace excludes."""
        return {folder: file.declaration for folder, file in self._files.items()}

    def find(self, name_or_path: str) -> Path:
        """The folder of one pipeline.

        Args:
            name_or_path: a folder (or its config.toml) relative to the root, if written as a path (`./app`,
                `team/app`, `.`); else the name of a pipeline's folder, its metadata.name or the name of its
                stack, which may contain slashes; else a folder that is not searched, such as a link to one.

        Raises:
            UserError: no folder matches, more than one does, or the workspace excludes it.
        """
        path = self._root / name_or_path
        if path.name == FILE_NAME and exists(path):
            return self._checked(path.parent)
        if _is_path(name_or_path) and exists(path / FILE_NAME):
            return self._checked(path)
        everywhere = self._called(name_or_path)
        matches = _within(everywhere, self._workspace)
        if len(matches) == 1:
            return self._checked(matches[0])
        if matches:
            reason = "\n".join(
                [*map(_with_stacks, matches), "Give the path or the stack of the one you mean."]
            )
            raise UserError(error(f"{len(matches)} pipelines are called {name_or_path}", reason))
        if everywhere and not _is_path(name_or_path):
            return self._checked(everywhere[0])  # raises: the workspace excludes it
        if exists(path / FILE_NAME) and ConfigFile(path).is_of_pipeline:  # not searched, such as a link
            return self._checked(path)
        if _is_path(name_or_path) and (problem := _not_entered(path)) is not None:
            summary = f"{name_or_path} cannot be read: {problem.strerror}"
            raise CannotCheckError(error(summary, "Let this user enter the folder."))
        raise UserError(self._not_found(name_or_path))

    def matching(self, glob: Glob) -> list[Path]:
        """The pipelines whose path below the root matches, or a name or stack of theirs."""
        return [folder for folder in self.folders if any(map(glob.matches, self._labels[folder]))]

    def called(self, name: str) -> list[Path]:
        """The pipelines with this name, or with a stack of this name."""
        return _within(self._called(name), self._workspace)

    @cached_property
    def _files(self) -> dict[Path, ConfigFile]:
        """Each config.toml, whatever the workspace excludes."""
        return self._found[0]

    @cached_property
    def _labels(self) -> Mapping[Path, set[str]]:
        """The path below the root, the names and the stacks of each pipeline."""
        top = real_path(self._root)
        return {
            folder: {real_path(folder).relative_to(top).as_posix(), *self._names[folder]}
            for folder in self._files
        }

    @cached_property
    def _names(self) -> Mapping[Path, set[str]]:
        """The names and the stacks of each pipeline."""
        return {folder: _names(folder, views) | self._stacks[folder] for folder, views in self._views.items()}

    @cached_property
    def _stacks(self) -> Mapping[Path, set[str]]:
        return {folder: _stacks(views) for folder, views in self._views.items()}

    @cached_property
    def _views(self) -> Mapping[Path, Sequence[Mapping[str, Any]]]:
        """The values of each pipeline for the environment; for all, if it has the same names in all."""
        found = {}
        for folder, file in self._files.items():
            tables = views(file.document)
            is_same = len({(_name(one), stack_in(one)) for one in tables.values()}) == 1
            where = None if is_same else self._environment
            found[folder] = [*tables.values()] if where is None else [tables.get(where, tables[None])]
        return found

    def _names_anywhere(self, folder: Path) -> set[str]:
        """The names and the stacks of a pipeline in all environments."""
        every = views(self._files[folder].document).values()
        return _names(folder, every) | _stacks(every)

    @cached_property
    def _environment(self) -> str | None:
        return self._environment_of_run()

    @cached_property
    def _found(self) -> tuple[dict[Path, ConfigFile], dict[Path, OSError]]:
        problems: list[OSError] = []
        found = _search(self._root, failed=problems.append, passed=self._passed.__setitem__)
        files = dict(sorted(found, key=itemgetter(0)))
        return files, {Path(problem.filename): problem for problem in problems}

    @cached_property
    def _by_name(self) -> Mapping[str, set[Path]]:
        found = defaultdict[str, set[Path]](set)
        for folder, names in self._names.items():
            for name in names:
                found[name].add(folder)
        return found

    def _checked(self, folder: Path) -> Path:
        return checked_folder(folder, self._workspace, self._others)

    def _called(self, name: str) -> list[Path]:
        """The pipelines with this name, whatever the workspace excludes."""
        as_stack = {
            folder
            for folder in self._by_name.get(normal_name(name), ())
            if normal_name(name) in self._stacks[folder]
        }
        return sorted(as_stack | self._by_name.get(name, set()))

    def _not_found(self, name_or_path: str) -> Diagnostic:
        scope, slash, stack = name_or_path.partition("/")
        if "@" in scope and slash and self.called(stack):
            return error(
                f"{name_or_path} names a stack with its environment",
                f"Select the pipeline as {stack}. The environment comes from --organization and --env.",
            )
        if _is_path(name_or_path):
            exists_as_folder = is_folder(self._root / name_or_path)
            return error(
                f"{name_or_path} {f'has no {FILE_NAME}' if exists_as_folder else 'is not a folder'}",
                "A pipeline is a folder with a config.toml. Give such a folder, the name of a pipeline, or "
                f"the name of its stack.{_of_document(name_or_path)}",
            )
        names = sorted({name for folder in self.folders for name in _names(folder, self._views[folder])})
        summary = f"It contains {', '.join(names)}." if names else "It contains no pipeline."
        if elsewhere := [folder for folder in self.folders if name_or_path in self._names_anywhere(folder)]:
            summary = f"In {self._environment}, {display_path(elsewhere[0])} has another name: give its path."
        return error(
            f"no pipeline is called {name_or_path}",
            f"Searched {real_path(self._root)}, except hidden folders and virtual environments. "
            f"{summary}{did_you_mean(name_or_path, names)}{_of_document(name_or_path)}",
        )


def find(name_or_path: str, root: Path, workspace: Workspace | None = None) -> Path:
    """The folder of one pipeline, as `PipelineIndex.find`."""
    return PipelineIndex(root, workspace).find(name_or_path)


def declarations_called(
    name_or_path: str, root: Path, workspace: Workspace | None = None
) -> list[Declaration]:
    """What each pipeline declares that `find` would find; empty if there is none."""
    index = PipelineIndex(root, workspace)
    try:
        folders = [index.find(name_or_path)]
    except UserError:
        folders = index.called(name_or_path)
    return [declaration(folder) for folder in folders]


def checked_folder(folder: Path, workspace: Workspace | None, others: OtherWorkspaces | None = None) -> Path:
    """The folder. Raises UserError if the workspace excludes it, or it belongs to another workspace.

    Args:
        others: what is known about the folders above, if several are checked.
    """
    if workspace is not None and (reason := workspace.excludes(folder)):
        raise UserError(
            error(f"{folder} is not a pipeline of the workspace", f"{reason} Change that, or name another.")
        )
    if workspace is not None:
        require_own([folder], workspace, others)
    return folder


def require_own(folders: Iterable[Path], workspace: Workspace, others: OtherWorkspaces | None = None) -> None:
    """Raise UserError if another reconciler.toml is closer to a folder: its rules would be left out.

    Args:
        others: as for `checked_folder`; completed here.
    """
    own = None if workspace.file is None else real_path(workspace.file)
    known = {} if others is None else others

    def other(folder: Path) -> Path | None:
        if folder not in known:
            if os.path.lexists(file := folder / WORKSPACE_FILE):
                known[folder] = None if real_path(file) == own else file
            else:
                known[folder] = None if folder.parent == folder else other(folder.parent)
        return known[folder]

    for folder in folders:
        if (file := other(folder.absolute())) is not None:
            summary = f"{folder} belongs to the workspace of {file}"
            detail = f"Its environments and rules are those of that file. Run the command in {file.parent}."
            raise UserError(error(summary, detail))


def find_all(root: Path, workspace: Workspace | None = None) -> list[Path]:
    """Every pipeline folder below `root`, including `root`, sorted by path.

    Skips hidden folders, virtual environments, node_modules and site-packages, and does not follow links to
    folders. A config.toml without any table of a pipeline belongs to another tool and is left out.

    Args:
        workspace: limits the pipelines to its own.

    Raises:
        UserError: `root` is not a folder, or a folder that may have pipelines cannot be searched.
    """
    index = PipelineIndex(root, workspace)
    if index.problems:
        raise UserError(*(one for problem in index.problems.values() for one in problem.diagnostics))
    return index.folders


def folders_called(prefix: str, root: Path, workspace: Workspace | None = None) -> list[Path]:
    """As `find_all`, of the folders whose own names start like this. Opens no other config.toml.

    Raises:
        UserError: `root` is not a folder.
    """
    return _within([folder for folder, _ in _search(root, prefix)], workspace)


def _not_entered(folder: Path) -> OSError | None:
    """Why this user may not enter a folder; None if nothing forbids it, or there is none."""
    try:
        (folder / FILE_NAME).stat()
    except PermissionError as problem:
        return PermissionError(problem.errno, problem.strerror, os.fspath(folder))
    except (OSError, ValueError):
        return None
    return None


def _not_searched(folder: Path, problem: OSError, workspace: Workspace) -> Diagnostic:
    path = workspace.path_of(folder) or folder.name
    way = (
        as_sentence(RAISE_LIMIT)
        if problem.errno in NO_DESCRIPTORS
        else "Let this user list the folder, or leave it out in "
        f'{workspace.file or workspace.root / WORKSPACE_FILE}: [workspace] exclude = ["{path}/**"].'
    )
    return error(
        f"{folder} cannot be searched for pipelines: {problem.strerror}",
        f"Those below it would be left out. {way}",
    )


def _search(
    root: Path,
    prefix: str = "",
    failed: Callable[[OSError], None] | None = None,
    passed: Callable[[Path, str], None] | None = None,
    *,
    unclear: bool = False,
) -> Iterator[tuple[Path, ConfigFile]]:
    """Each pipeline folder below `root` with its config.toml.

    Args:
        failed: called for each folder that cannot be listed or entered; None to leave these out.
        passed: called for each place that is passed over, with the reason, as in `passed_over`.
        unclear: also yield the folders whose config.toml says nothing, so may have been a pipeline's.

    Raises:
        UserError: `root` is not a folder.
    """
    if not is_folder(root):
        raise UserError(error(f"{root} is not a folder", "Give a folder that exists."))
    for parent, folders, files in os.walk(root, onerror=failed):
        folder = Path(parent)
        if _VIRTUAL_ENVIRONMENT in files and folder != root:
            folders.clear()
            if passed is not None:
                passed(folder, f"{_VIRTUAL_ENVIRONMENT} makes {folder.name} a virtual environment")
            continue
        is_there = FILE_NAME in files or (unclear and FILE_NAME in folders)
        if is_there and folder.name.startswith(prefix):
            file = ConfigFile(folder)
            if file.content is None and failed is not None and (problem := _not_entered(folder)):
                failed(problem)
            elif file.is_of_pipeline or (unclear and file.is_unclear):
                yield folder, file
            elif passed is not None:
                passed(folder, "")
        elif FILE_NAME in folders and passed is not None:
            passed(folder, "")
        folders[:] = [name for name in folders if not _is_hidden(name)]
        if passed is not None:
            for name in folders:
                place = f"{parent}{os.sep}{name}"
                if os.path.islink(place):  # noqa: PTH114 - asked for each folder of the workspace
                    passed(Path(place), f"{name} is a link to a folder")


def _within(folders: list[Path], workspace: Workspace | None) -> list[Path]:
    return [folder for folder in folders if workspace is None or not workspace.excludes(folder)]


def _of_document(name: str) -> str:
    """The option that writes a document, if the name of a pipeline is that of one: `--json FILE`."""
    return f" To write JSON to a file, use -o json={name}." if name.endswith(".json") else ""


def _is_path(text: str) -> bool:
    return text in (".", "..") or "/" in text or os.sep in text


def has_hidden_part(path: str) -> bool:
    """Whether the name of a folder in this path keeps it from being searched, whatever it holds."""
    return any(map(_is_hidden, PurePosixPath(path).parts))


def is_searched(folder: Path) -> bool:
    """Whether pipelines may be in this folder: it is neither hidden nor a virtual environment."""
    return not _is_hidden(folder.name) and not is_file(folder / _VIRTUAL_ENVIRONMENT)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _NEVER_SEARCHED


def stacks_below(root: Path) -> dict[Path, set[str]]:
    """Each pipeline folder below `root` with its stacks, whatever the workspace excludes."""
    found = sorted(_search(root), key=itemgetter(0))
    return {folder: set(stacks_of(file.document).values()) for folder, file in found}


def documents_in(workspace: Workspace) -> dict[Path, Document]:
    """Each folder of a workspace whose config.toml is a pipeline's, or may be, without links.

    With the content of the file; None if it cannot be read, and for a folder that cannot be searched. What
    the workspace excludes is left out.
    """
    problems: list[OSError] = []
    found: dict[Path, Document] = {}
    for folder, file in _search(workspace.root, failed=problems.append, unclear=True):
        if not workspace.excludes(folder):
            found[real_path(folder)] = file.document
    unsearched = [Path(problem.filename) for problem in problems]
    return found | {real_path(folder): None for folder in unsearched if workspace.may_have(folder)}


def folders_of_stack(name: str, root: Path, workspace: Workspace) -> list[Path]:
    """The pipeline folders below `root` that have this stack in an environment, sorted by path.

    Args:
        workspace: limits the pipelines to its own.
    """
    return _within([folder for folder, stacks in stacks_below(root).items() if name in stacks], workspace)


def _names(folder: Path, views: Iterable[Mapping[str, Any]]) -> set[str]:
    """The names of a pipeline: the folder's, and metadata.name by these values."""
    return {real_path(folder).name, *map(_name, views)} - {""}


def _name(tables: Mapping[str, Any]) -> str:
    return text_at(tables, "metadata", "name")


def _stacks(views: Iterable[Mapping[str, Any]]) -> set[str]:
    return {*map(stack_in, views)} - {""}


def _with_stacks(folder: Path) -> str:
    return "  ".join([str(folder), ", ".join(sorted(stacks_in(folder)))]).rstrip()
