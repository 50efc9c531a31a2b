"""Finds the stack that a folder had before its name changed. The state follows the folder."""

import threading
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path

from providers.regular_files import real_path
from reconciler.engine.sources import root_of, source_of, workspace_name
from reconciler.pipeline.load import Pipeline
from state.errors import UnreadableStateError
from state.register import Register, scope_of

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
        self._name_of = cache(workspace_name)
        self._declared: dict[Path, Mapping[Path, Collection[str]]] = {}
        self._searching = threading.Lock()  # a workspace is searched once, whoever asks first

    def add(self, stack: str, pipeline: Pipeline) -> None:
        """Add a stack, whose former names `of` then returns."""
        self._pipelines[stack] = pipeline

    def of(self, stack: str) -> list[str]:
        """The stacks that were applied from the folder of this one, and that no other folder declares.

        Empty if the register has this stack, or if the workspace has no name.

        Raises:
            state.errors.StateError: the store cannot be read.
        """
        pipeline = self._pipelines.get(stack)
        if pipeline is None or self._stacks_below is None:
            return []
        register = Register(scope_of(stack))
        with suppress(UnreadableStateError):  # commands that need the register report it
            register = self._register(scope_of(stack))
        if stack in register.stacks or not any(source.workspace for source in register.stacks.values()):
            return []
        source = source_of(pipeline, self._name_of)
        if not (source.workspace and source.folder):
            return []
        return [
            name
            for name in register.stacks_from(source)
            if name.partition("/")[2] not in self._declared_elsewhere(pipeline)
        ]

    def _declared_elsewhere(self, pipeline: Pipeline) -> set[str]:
        """The names of the stacks that other folders of the workspace declare."""
        root, own = root_of(pipeline), real_path(pipeline.folder)
        assert root is not None, "a source with a folder has a root"
        assert self._stacks_below is not None
        with self._searching:
            if root not in self._declared:
                self._declared[root] = self._stacks_below(root)
        return {
            name
            for folder, names in self._declared[root].items()
            if real_path(folder) != own
            for name in names
        }
