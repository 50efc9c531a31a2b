"""Check a reconciler.toml against the folders of its workspace. Opens config.toml files only."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from reconciler.core.diagnostics import Diagnostic, error
from reconciler.workspace.discovery import PipelineIndex
from reconciler.workspace.globs import Glob
from reconciler.workspace.schema import Workspace
from reconciler.workspace.selection import listed


def unmatched_globs(workspace: Workspace) -> list[Diagnostic]:
    """An error for each glob that matches no pipeline: it has no effect, and may be misspelt."""
    if workspace.file is None or not (workspace.pipelines or workspace.exclude or workspace.groups):
        return []
    index = PipelineIndex(workspace.root)
    everything = [*index.folders, *index.unsearched]
    selected = [folder for folder in everything if not workspace.excludes(folder)]
    return [
        *_unmatched(workspace, "workspace.pipelines", workspace.pipelines, everything),
        *_unmatched(workspace, "workspace.exclude", workspace.exclude, everything),
        *(
            problem
            for name, globs in workspace.groups.items()
            for problem in _unmatched(workspace, f"groups.{name}", globs, selected)
        ),
    ]


def _unmatched(
    workspace: Workspace, key: str, globs: Iterable[Glob], folders: Sequence[Path]
) -> Iterator[Diagnostic]:
    paths = [workspace.path_of(folder) or "." for folder in folders]
    for glob in globs:
        if any(glob.matches(path) for path in paths):
            continue
        below = Glob(f"{glob.text.rstrip('/')}/**")
        if any(below.matches(path) for path in paths):
            advice = f'Write "{below}" for the pipelines in this folder.'
        else:
            advice = f"Pipelines below {workspace.root}: {listed(paths)}. Correct or remove the glob."
        yield error(f"{glob} in {key} matches no pipeline", advice, file=workspace.file, line=glob.line)
