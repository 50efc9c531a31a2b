"""Pipelines that the state knows, and that the search for pipelines passes over for what they are now.

A config.toml with nothing of a pipeline may belong to another tool, and is passed over, as are links to
folders and virtual environments. If a stack of the workspace was applied from there, and no folder that is
found declares it, it is a pipeline that cannot be checked: it is selected, or an error, and never left out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from providers.regular_files import real_path
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.pipeline import FILE_NAME
from reconciler.system.files import display_path
from reconciler.workspace.config_file import declaration
from reconciler.workspace.discovery import PipelineIndex, has_hidden_part
from reconciler.workspace.globs import Glob
from reconciler.workspace.schema import Workspace

Known = Callable[[Callable[[str, str], bool]], Mapping[str, str]]
"""Returns a stack of each folder, by its path from the root of the workspace, for which a function holds.

The function gets the path and the name of the stack in its scope.
"""


def none_known(_: Callable[[str, str], bool]) -> Mapping[str, str]:
    """No stack is known, as without a state."""
    return {}


class PassedOver:
    """The folders of known stacks among the places that a search passed over.

    Args:
        index: the search.
        here: where it started.
        known: called only if the search passed over something.
        failed: called for each folder that cannot be read in its present form, with its path and the error.

    Attributes:
        complaints: how often `failed` was called.
    """

    def __init__(
        self,
        index: PipelineIndex,
        here: Path,
        workspace: Workspace,
        known: Known,
        failed: Callable[[str, UserError], None],
    ) -> None:
        self._index, self._workspace, self._known, self._failed = index, workspace, known, failed
        self._root, self._here = real_path(workspace.root), real_path(here)
        self.complaints = 0

    def folders(self) -> list[Path]:
        """The folders to select, as their config.toml is an error.

        One that is behind a link, or in a virtual environment, is an error of its own.
        """
        return self.matching((), is_all=True)

    def matching(self, globs: Sequence[Glob], *, by_name: bool = False, is_all: bool = False) -> list[Path]:
        """As `folders`, of those whose path from `here` on matches, or else their stack.

        Args:
            by_name: whether the name of the stack counts, too.
            is_all: whether all match.
        """
        found = []
        for path, (stack, why) in self._stacks.items():
            folder = self._root / path
            names = [folder.relative_to(self._here).as_posix()]
            names += [folder.name, stack.partition("/")[2]] if by_name else []
            if not (is_all or any(glob.matches(name) for glob in globs for name in names)):
                continue
            if not why:
                found.append(folder)
                continue
            self.complaints += 1
            self._failed(display_path(folder), UserError(_passed(folder, stack, why)))
        return found

    @cached_property
    def _stacks(self) -> Mapping[str, tuple[str, str]]:
        """Path from the root -> the stack that was applied from there, and why the search passes over it."""
        passed = self._index.passed_over
        if not passed:
            return {}
        found = self._known(lambda path, name: self._is_meant(path, name, passed))
        return {path: (stack, _why(self._root / path, passed) or "") for path, stack in sorted(found.items())}

    def _is_meant(self, path: str, name: str, passed: Mapping[Path, str]) -> bool:
        folder = self._root / path
        if _why(folder, passed) is None or has_hidden_part(path) or self._workspace.excludes_path(path):
            return False
        return not declaration(folder).is_gone and name not in self._declared

    @cached_property
    def _declared(self) -> Collection[str]:
        """The stacks of the folders that are found, in the whole workspace."""
        found = PipelineIndex(self._workspace.root).declarations.values()
        return {name for one in found for name in one.stacks.values()}


def _why(folder: Path, passed: Mapping[Path, str]) -> str | None:
    """Why the search passes over a folder; None if it does not."""
    if folder in passed:
        return passed[folder]
    return next((why for place in folder.parents if (why := passed.get(place))), None)


def _passed(folder: Path, stack: str, why: str) -> Diagnostic:
    return error(
        f"{display_path(folder)} is not searched for pipelines: {why}",
        f"The state has {stack}, which was applied from there. Undo that, or remove the {FILE_NAME} if the "
        "pipeline is gone.",
        file=folder / FILE_NAME,
    )
