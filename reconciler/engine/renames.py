"""Finds the stack that a folder had before its name changed. The state follows the folder."""

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache
from os.path import lexists
from pathlib import Path

from providers.regular_files import real_path
from reconciler.core.values import Address
from reconciler.engine.sources import left_out_folders, root_of, source_of, workspace_name
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.config import load
from reconciler.pipeline.exclusive import exclusive_resources
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.schema import Config
from state.errors import UnreadableStateError
from state.register import Register, Source, scope_of

StacksBelow = Callable[[Path], Mapping[Path, Collection[str]]]
"""Returns the pipeline folders below a folder, each with the names of its stacks in all environments."""


class FormerStacks:
    """The former stacks of folders. Thread-safe.

    Args:
        register: returns the register of a scope.
        stacks_below: finds the stacks that the files declare; None to find no former stacks.
    """

    def __init__(self, register: Callable[[str], Register], stacks_below: StacksBelow | None) -> None:
        self._register = register
        self._stacks_below = stacks_below
        self._pipelines: dict[str, Pipeline] = {}
        self._sources: dict[str, Source] = {}  # stack -> where it is applied from
        self._name_of = cache(workspace_name)
        self._declared: dict[Path, Mapping[Path, Collection[str]]] = {}
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
            state.errors.StateError: the store cannot be read.
        """
        pipeline = self._pipelines.get(stack)
        if pipeline is None or self._stacks_below is None:
            return []
        register = self.register_of(stack)
        if stack in register.stacks or not any(source.workspace for source in register.stacks.values()):
            return []
        source = self._source_of(stack)
        if not (source.workspace and source.folder):
            return []
        return [
            name
            for name in register.stacks_from(source)
            if not any(_keeps(other, name, register) for other in self._others(name, pipeline))
        ]

    def owner(self, stack: str) -> tuple[str, str] | None:
        """The folder whose state has the name of this stack, and the stack that this folder now declares.

        The latter is "" if the folder is not checked out, and this stack if both folders declare it.

        None if the state with this name is that of this folder: no other one was applied with it, or that
        folder is gone, or its state has moved, or the files of both have moved.
        """
        pipeline, register = self._pipelines.get(stack), self.register_of(stack)
        source = register.stacks.get(stack)
        if pipeline is None or self._stacks_below is None or source is None or not source.folder:
            return None
        own = self._source_of(stack)
        if source == own or source.workspace != own.workspace or (root := root_of(pipeline)) is None:
            return None
        name = _name_in(self._declared_in(root), root / source.folder, stack, pipeline)
        present = f"{scope_of(stack)}/{name}"
        if not name:
            is_out = not lexists(root / source.folder / FILE_NAME)
            is_out = is_out and source.folder in left_out_folders(root, [source.folder])
            return (source.folder, "") if is_out else None
        if present == stack:
            return source.folder, stack
        if present in register.stacks:
            is_swapped = register.stacks[present] != source and _has_another(pipeline, own, stack, register)
            return (source.folder, present) if is_swapped else None
        return None if _keeps(pipeline.config, stack, register) else (source.folder, present)

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

    def _others(self, stack: str, pipeline: Pipeline) -> list[Config | None]:
        """The other config.toml files of the workspace with this stack; None for one with errors."""
        root, own, name = root_of(pipeline), pipeline.real_folder, stack.partition("/")[2]
        assert root is not None, "a source with a folder has a root"
        found = (
            _read(folder, pipeline)
            for folder, names in self._declared_in(root).items()
            if name in names and folder != own
        )
        return [other for other in found if other is None or other.stack_name == name]

    def _declared_in(self, root: Path) -> Mapping[Path, Collection[str]]:
        """The pipeline folders of the workspace without links, each with the names of its stacks."""
        assert self._stacks_below is not None
        with self._searching:
            if root not in self._declared:
                below = self._stacks_below(root)
                self._declared[root] = {real_path(folder): names for folder, names in below.items()}
        return self._declared[root]


def _read(folder: Path, like: Pipeline) -> Config | None:
    """The config.toml in a folder, for the environment of another pipeline; None if it has errors."""
    return load(folder, environment=like.loaded.environment, shared=like.loaded.shared).config


def _name_in(declared: Mapping[Path, Collection[str]], folder: Path, stack: str, like: Pipeline) -> str:
    """The name of the stack that a folder declares; "" if it has no pipeline."""
    names = declared.get(real_path(folder), ())
    if names and (config := _read(folder, like)) is not None:
        return config.stack_name
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


def _keeps(config: Config | None, stack: str, register: Register) -> bool:
    """Whether a pipeline that declares the stack of another folder has its state: its processing is there."""
    if config is None:
        return True
    processing = str(Address.of("processing", config.metadata.name))
    return not config.is_training and processing in register.claims_of(stack)
