"""What the engine asks a workspace for, as far as its files can be read."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from reconciler.core.diagnostics import UserError
from reconciler.workspace.discovery import documents_in
from reconciler.workspace.reader import find_workspace
from reconciler.workspace.schema import Workspace


def documents_below(root: Path) -> Mapping[Path, Mapping[str, Any] | None]:
    """As `documents_in`, of the workspace around a folder, without its rules if they cannot be read."""
    return documents_in(_workspace_around(root))


def environments_of(root: Path) -> Collection[str]:
    """The environments that an overlay can be for, in the workspace around a folder."""
    return _workspace_around(root).shared().environments


def _workspace_around(root: Path) -> Workspace:
    try:
        return find_workspace(root)
    except UserError:
        return Workspace(root)
