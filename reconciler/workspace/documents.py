"""The content of the config.toml files of a workspace, as far as it can be read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reconciler.core.diagnostics import UserError
from reconciler.workspace.discovery import documents_in
from reconciler.workspace.reader import find_workspace
from reconciler.workspace.schema import Workspace


def documents_below(root: Path) -> Mapping[Path, Mapping[str, Any] | None]:
    """As `documents_in`, of the workspace around a folder, without its rules if they cannot be read."""
    try:
        workspace = find_workspace(root)
    except UserError:
        workspace = Workspace(root)
    return documents_in(workspace)
