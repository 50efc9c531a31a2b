"""Find the pipelines below a folder, and the one that a command names. Opens config.toml files only.

The official tool takes the first folder with the name, even in a copy or a virtual environment. Here two
matches are an error that lists both.
"""

import os
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any

from msgspec import Struct

from providers.ascii_case import ascii_upper
from providers.enums import PROCESSING_TYPES, TRAINING
from providers.image_names import normal_name
from providers.patterns import pattern
from providers.regular_files import (
    NO_DESCRIPTORS,
    RAISE_LIMIT,
    exists,
    is_file,
    is_folder,
    read_regular,
    real_path,
)
from providers.text import as_sentence, without_logins
from reconciler.core.diagnostics import CannotCheckError, Diagnostic, UserError, error
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.stack_name import stack_name
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.overlays import TABLES, overlaid, overlays
from reconciler.workspace.globs import Glob
from reconciler.workspace.schema import FILE_NAME as WORKSPACE_FILE
from reconciler.workspace.schema import Workspace

_VIRTUAL_ENVIRONMENT = "pyvenv.cfg"
_NEVER_SEARCHED = frozenset({"node_modules", "site-packages", "__pycache__"})
_SECTIONS = frozenset({"metadata", "execution", "docker"})
_OWN_TABLES = frozenset(TABLES)
_HEADER = pattern(rb"(?m)^[ \t]*\[[ \t]*(?:metadata|execution|docker)[ \t]*\]")
_TYPES = frozenset({TRAINING, *PROCESSING_TYPES})
_Document = dict[str, Any] | None
OtherWorkspaces = dict[Path, Path | None]
"""Folder -> the closest reconciler.toml, if it is not that of the workspace."""


class _File:
    """A config.toml, read once, and parsed only if its content matters: a run reads each one again.

    Attributes:
        content: its bytes; None if it cannot be read.
        problem: why it cannot be read; None if it can.
    """

    def __init__(self, folder: Path) -> None:
        self.content: bytes | None = None
        self.problem: OSError | None = None
        try:
            self.content = read_regular(folder / FILE_NAME)
        except OSError as problem:
            self.problem = problem

    @cached_property
    def document(self) -> _Document:
        """The content; None if it cannot be read or is not TOML."""
        try:
            return None if self.content is None else tomllib.loads(self.content.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return None

    @property
    def is_of_pipeline(self) -> bool:
        """Whether it has a table of a pipeline. One with errors counts, so that they are reported."""
        content = self.content or b""
        # Without strings of several lines, a line that looks like a header is one.
        if _HEADER.search(content) and not (b'"""' in content or b"'''" in content):
            return True
        return self.document is None or not _SECTIONS.isdisjoint(self.document)

    @property
    def is_unclear(self) -> bool:
        """Whether it may be what is left of a pipeline's: it has no table that another tool may have."""
        return self.document is not None and self.document.keys() <= _OWN_TABLES


class PipelineSummary(Struct, frozen=True):
    """The values of a config.toml that describe a pipeline; "" and None for missing and invalid ones.

    Attributes:
        name: metadata.name.
        stack: the name of its stack.
        type: metadata.type, in capitals.
        version: metadata.version, as the file has it.
        gpu: docker.gpu, the GPUs of a job.
        is_readable: whether the file is TOML that can be read, with something of a pipeline.
    """

    folder: Path
    name: str
    stack: str
    type: str
    version: str
    gpu: int | None
    is_readable: bool


class Declaration(Struct, frozen=True):
    """What the config.toml of a folder declares: nothing if it is gone, stacks, or something unknown.

    Attributes:
        stacks: the name of the stack in each environment.
        problem: why no stack can be known, although the file is there in some form: `it is empty`; "" if one
            is, or if the file is gone.
    """

    stacks: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def is_gone(self) -> bool:
        return not (self.stacks or self.problem)


def declaration(folder: Path) -> Declaration:
    """What the config.toml of a folder declares. A file that cannot be read is not gone."""
    try:
        (folder / FILE_NAME).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return Declaration()
    except OSError as problem:
        return Declaration(problem=_in_words(problem))
    return _declared(_File(folder))


def _declared(file: _File) -> Declaration:
    if file.problem is not None:
        return Declaration(problem=_in_words(file.problem))
    document = file.document
    if document is None:
        return Declaration(problem="it is not valid TOML")
    if not document:
        return Declaration(problem="it is empty")
    if "metadata" not in document:
        return Declaration(problem="it has no [metadata]")
    views = _views(document)
    if not all(map(_has_stack, views)):
        return Declaration(problem="it does not say which stack it declares")
    return Declaration(frozenset(map(_stack_name, views)))


def _in_words(problem: OSError) -> str:
    return f"it cannot be read: {problem.strerror}"


def _has_stack(tables: Mapping[str, Any]) -> bool:
    """Whether the name of the stack is certain: a type decides which value it is."""
    settings = tables.get("reconciler", {})
    if not isinstance(settings, dict) or not isinstance(settings.get("stack", ""), str):
        return False
    is_named = bool(settings.get("stack")) or ascii_upper(_text(tables, "metadata", "type")) in _TYPES
    return is_named and bool(_stack_name(tables))


def stacks_of_text(text: str) -> set[str]:
    """The name of the stack in each environment, of the text of a config.toml without errors."""
    return _stack_names(tomllib.loads(text))


def summarize(folder: Path, environment: str | None) -> PipelineSummary:
    """The summary of a pipeline in this environment; with None, of the values that all share."""
    file = _File(folder)
    document = file.document
    tables = overlaid(document or {}, environment).document
    docker = tables.get("docker")
    gpu = docker.get("gpu") if isinstance(docker, dict) else None
    return PipelineSummary(
        folder,
        name=without_logins(_text(tables, "metadata", "name")),
        stack=without_logins(_stack_name(tables)),
        type=without_logins(ascii_upper(_text(tables, "metadata", "type"))),
        version=without_logins(_text(tables, "metadata", "version")),
        gpu=gpu if isinstance(gpu, int) and not isinstance(gpu, bool) else None,
        is_readable=document is not None and file.is_of_pipeline,
    )


def is_folder_of_pipeline(path: Path) -> bool:
    """Whether this is a folder with a config.toml, or a config.toml."""
    return exists(path / FILE_NAME) or (path.name == FILE_NAME and exists(path))


class PipelineIndex:
    """The pipelines below a folder, by name and path. It is searched once, each config.toml is read once.

    Args:
        root: where to search, and where paths start.
        workspace: limits the pipelines to its own.
    """

    def __init__(self, root: Path, workspace: Workspace | None = None) -> None:
        self._root, self._workspace = root, workspace
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
        return {folder: _declared(file) for folder, file in self._files.items()}

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
        for folder in everywhere if not _is_path(name_or_path) else ():
            return self._checked(folder)  # raises: the workspace excludes it
        if exists(path / FILE_NAME) and _File(path).is_of_pipeline:  # not searched, such as a link
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
    def _files(self) -> dict[Path, _File]:
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
        return {
            folder: _names(folder, file.document) | _stack_names(file.document)
            for folder, file in self._files.items()
        }

    @cached_property
    def _found(self) -> tuple[dict[Path, _File], dict[Path, OSError]]:
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
            if normal_name(name) in _stack_names(self._files[folder].document)
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
        names = sorted(
            {name for folder in self.folders for name in _names(folder, self._files[folder].document)}
        )
        summary = f"It contains {', '.join(names)}." if names else "It contains no pipeline."
        return error(
            f"no pipeline is called {name_or_path}",
            f"Searched {real_path(self._root)}, except hidden folders and virtual environments. "
            f"{summary}{did_you_mean(name_or_path, names)}{_of_document(name_or_path)}",
        )


def find(name_or_path: str, root: Path, workspace: Workspace | None = None) -> Path:
    """The folder of one pipeline, as `PipelineIndex.find`."""
    return PipelineIndex(root, workspace).find(name_or_path)


def stacks_called(name_or_path: str, root: Path, workspace: Workspace | None = None) -> set[str]:
    """The names of the stacks of each pipeline that `find` would find; empty if there is none."""
    index = PipelineIndex(root, workspace)
    try:
        folders = [index.find(name_or_path)]
    except UserError:
        folders = index.called(name_or_path)
    return {name for folder in folders for name in stacks_in(folder)}


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
) -> Iterator[tuple[Path, _File]]:
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
            file = _File(folder)
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


def stacks_in(folder: Path) -> set[str]:
    """The name of the pipeline's stack in each environment, also if its config.toml has errors."""
    return _stack_names(_File(folder).document)


def stacks_below(root: Path) -> dict[Path, set[str]]:
    """Each pipeline folder below `root` with its stacks, whatever the workspace excludes."""
    return {folder: _stack_names(file.document) for folder, file in sorted(_search(root), key=itemgetter(0))}


def documents_in(workspace: Workspace) -> dict[Path, _Document]:
    """Each folder of a workspace whose config.toml is a pipeline's, or may be, without links.

    With the content of the file; None if it cannot be read, and for a folder that cannot be searched. What
    the workspace excludes is left out.
    """
    problems: list[OSError] = []
    found: dict[Path, _Document] = {}
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


def _stack_names(document: _Document) -> set[str]:
    return set(map(_stack_name, _views(document))) - {""}


def _stack_name(tables: Mapping[str, Any]) -> str:
    return stack_name(
        ascii_upper(_text(tables, "metadata", "type")),
        _text(tables, "metadata", "name"),
        _text(tables, "docker", "image_name"),
        _text(tables, "reconciler", "stack") or None,
    )


def _names(folder: Path, document: _Document) -> set[str]:
    """The names of a pipeline: the folder's, and metadata.name in each environment."""
    views = _views(document)
    return {real_path(folder).name, *(_text(tables, "metadata", "name") for tables in views)} - {""}


def _with_stacks(folder: Path) -> str:
    return "  ".join([str(folder), ", ".join(sorted(stacks_in(folder)))]).rstrip()


def _views(document: _Document) -> list[Mapping[str, Any]]:
    """The content of config.toml without an environment, and for each one that it has values of."""
    tables = document or {}
    return [overlaid(tables, environment).document for environment in (None, *overlays(tables))]


def _text(tables: Mapping[str, Any], table: str, key: str) -> str:
    """The text at this key; "" if there is none."""
    section = tables.get(table)
    value = section.get(key) if isinstance(section, dict) else None
    return value if isinstance(value, str) else ""
