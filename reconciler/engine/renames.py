"""Finds the stack that a folder had before its name changed. The state follows what the folder declares."""

import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import cache
from os.path import lexists
from pathlib import Path

from msgspec import Struct

from providers.regular_files import real_path
from providers.table import EXCLUSIVE
from reconciler.engine.sources import left_out_folders, root_of, source_of, workspace_name
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.config import LoadedConfig, load
from reconciler.pipeline.exclusive import declared_stack, exclusive_resources
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.stacks import Document, unknown_stack
from state.errors import UnknownStackError, UnreadableStateError
from state.register import Register, Source, kind_of, scope_of


class WorkspaceFiles(Struct, frozen=True):
    """Finds the pipelines of a workspace.

    Attributes:
        stacks_below: returns the pipeline folders below a folder, each with the names of its stacks in all
            environments.
        documents_below: returns each folder of the workspace around a folder whose config.toml is a
            pipeline's, or may be, with its content; without links.
        environments_of: returns the environments that an overlay can be for, in that workspace.
    """

    stacks_below: Callable[[Path], Mapping[Path, Collection[str]]]
    documents_below: Callable[[Path], Mapping[Path, Document]]
    environments_of: Callable[[Path], Collection[str]]


class Owner(Struct, frozen=True):
    """Another folder that the state with the name of a stack belongs to.

    Attributes:
        folder: from the root of the workspace.
        stack: the stack that it declares now, which may be the same one; None if that cannot be known.
        is_moved_by_apply: whether its next apply gives the state to that stack: its workspace has a name.
        is_checked_out: whether it has a config.toml.
    """

    folder: str
    stack: str | None
    is_moved_by_apply: bool = False
    is_checked_out: bool = True


class FormerStacks:
    """The former stacks of folders. Thread-safe.

    Args:
        register: returns the register of a scope.
        files: finds the stacks that the files declare; None to find no former stacks.
    """

    def __init__(self, register: Callable[[str], Register], files: WorkspaceFiles | None) -> None:
        self._register = register
        self._files = files
        self._pipelines: dict[str, Pipeline] = {}
        self._sources: dict[str, Source] = {}  # stack -> where it is applied from
        self._name_of = cache(workspace_name)
        self._declared: dict[Path, Mapping[Path, Collection[str]]] = {}
        self._unknown: dict[Path, Collection[Path]] = {}
        self._searching = threading.Lock()  # a workspace is searched once, whoever asks first

    def add(self, stack: str, pipeline: Pipeline) -> None:
        """Add a stack, whose former names `of` then returns."""
        if self._pipelines.get(stack) is not pipeline:
            self._pipelines[stack] = pipeline
            self._sources.pop(stack, None)

    def of(self, stack: str) -> list[str]:
        """The stacks that were applied from the folder of this one, and whose state no other folder keeps.

        Empty if the register has this stack, or if the workspace has no name.

        Raises:
            state.errors.StateError: the store cannot be read, or a folder may still have such a stack, as its
                config.toml cannot be read.
        """
        pipeline = self._pipelines.get(stack)
        if pipeline is None or self._files is None:
            return []
        register = self.register_of(stack)
        if stack in register.stacks or not any(source.workspace for source in register.stacks.values()):
            return []
        source = self._source_of(stack)
        if not (source.workspace and source.folder):
            return []
        found = [
            name
            for name in register.stacks_from(source)
            if _follows_folder(register, name, pipeline.loaded, self._others(name, pipeline))
        ]
        if found and (unknown := self._with_any_stack(pipeline)):
            raise UnknownStackError(found[0], unknown)
        return found

    def _with_any_stack(self, pipeline: Pipeline) -> str:
        """Another folder of the workspace whose stack cannot be known, from its root; "" if there is none."""
        root, own = root_of(pipeline), pipeline.real_folder
        assert root is not None, "a source with a folder has a root"
        others = (folder for folder in self._unknown_in(root) if folder != own)
        return next((os.path.relpath(folder, root) for folder in others), "")

    def owner(self, stack: str) -> Owner | None:
        """The other folder of the workspace whose state has the name of this stack.

        None if the state with this name is that of this folder: no other one was applied with it, or that
        folder is gone, or has nothing of it, or its state has moved, or the files of both have moved.
        """
        pipeline, register = self._pipelines.get(stack), self.register_of(stack)
        source = register.stacks.get(stack)
        if pipeline is None or self._files is None or source is None or not source.folder:
            return None
        own = self._source_of(stack)
        if source == own or source.workspace != own.workspace or (root := root_of(pipeline)) is None:
            return None
        folder = root / source.folder
        name = _name_in(self._declared_in(root), folder, stack, pipeline)
        if not name:
            is_there = lexists(folder / FILE_NAME)
            is_unknown = (
                bool(unknown_stack(_read(folder, pipeline).document))
                if is_there
                else source.folder in left_out_folders(root, [source.folder])
            )
            return Owner(source.folder, None, is_checked_out=is_there) if is_unknown else None
        present = f"{scope_of(stack)}/{name}"
        if present == stack:
            is_owner = True
        elif present in register.stacks:
            is_swapped = register.stacks[present] != source
            is_owner = is_swapped and _has_another(pipeline, own, stack, register)
        else:
            is_owner = _follows_folder(register, stack, _read(folder, pipeline), [pipeline.loaded])
        return Owner(source.folder, present, bool(source.workspace)) if is_owner else None

    def _source_of(self, stack: str) -> Source:
        """Where an added stack is applied from."""
        if (found := self._sources.get(stack)) is None:
            found = self._sources[stack] = source_of(self._pipelines[stack], self._name_of)
        return found

    def register_of(self, stack: str) -> Register:
        """The register that has this stack; an empty one if it cannot be read."""
        with suppress(UnreadableStateError):  # commands that need the register report it
            return self._register(scope_of(stack))
        return Register(scope_of(stack))

    def _others(self, stack: str, pipeline: Pipeline) -> list[LoadedConfig]:
        """The other config.toml files of the workspace that declare this stack."""
        root, own, name = root_of(pipeline), pipeline.real_folder, stack.partition("/")[2]
        assert root is not None, "a source with a folder has a root"
        found = (
            _read(folder, pipeline)
            for folder, names in self._declared_in(root).items()
            if name in names and folder != own
        )
        return [other for other in found if declared_stack(other)[0] == name]

    def _declared_in(self, root: Path) -> Mapping[Path, Collection[str]]:
        """The pipeline folders of the workspace without links, each with the names of its stacks."""
        assert self._files is not None
        with self._searching:
            if root not in self._declared:
                below = self._files.stacks_below(root)
                self._declared[root] = {real_path(folder): names for folder, names in below.items()}
        return self._declared[root]

    def _unknown_in(self, root: Path) -> Collection[Path]:
        """The folders of the workspace whose stack cannot be known, without links."""
        assert self._files is not None
        with self._searching:
            if root not in self._unknown:
                documents = self._files.documents_below(root).items()
                self._unknown[root] = [folder for folder, found in documents if unknown_stack(found)]
        return self._unknown[root]


def _read(folder: Path, like: Pipeline) -> LoadedConfig:
    """The config.toml in a folder, for the environment of another pipeline."""
    return load(folder, environment=like.loaded.environment, shared=like.loaded.shared)


def _name_in(declared: Mapping[Path, Collection[str]], folder: Path, stack: str, like: Pipeline) -> str:
    """The name of the stack that a folder declares; "" if it has no pipeline."""
    names = declared.get(real_path(folder), ())
    if names and (name := declared_stack(_read(folder, like))[0]):
        return name
    own = stack.partition("/")[2]
    return own if own in names else next(iter(sorted(names)), "")


def _has_another(pipeline: Pipeline, source: Source, stack: str, register: Register) -> bool:
    """Whether the folder's resources are claimed by another stack, which was applied from it."""
    declared = set(map(str, exclusive_resources(pipeline.loaded)))
    return any(
        declared.intersection(register.claims_of(name))
        for name in register.stacks_from(source)
        if name != stack
    )


def _follows_folder(
    register: Register, stack: str, former: LoadedConfig, others: Iterable[LoadedConfig]
) -> bool:
    """Whether the state of a stack belongs to the folder it was applied from, which has another stack now.

    That folder was renamed if it declares more of the state than all that declare the stack now, and at least
    something. Otherwise it was moved or deleted, and another pipeline has its place.
    """
    claimed = register.claims_of(stack).keys()
    return _share(former, claimed) > max((_share(other, claimed) for other in others), default=0)


def _share(loaded: LoadedConfig, claimed: Collection[str]) -> int:
    """How much a file declares of a state: 2 for one of its objects, 1 for its image alone, else 0."""
    declared = (str(address) for address in exclusive_resources(loaded))
    return max((1 + EXCLUSIVE[kind_of(address)] for address in declared if address in claimed), default=0)
