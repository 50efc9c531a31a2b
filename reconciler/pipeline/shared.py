"""The settings that all pipelines of a workspace share. Plain values: command options import them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reconciler.core.platforms import ENVIRONMENTS


@dataclass(frozen=True)
class SharedSettings:
    """The part of a reconciler.toml that every pipeline of the workspace gets.

    Attributes:
        file: reconciler.toml; None if there is none.
        environments: the names that `[reconciler.env.NAME]` can have.
        channels: the tag that moves with each deploy, by environment; the others have the usual ones.
        defaults: tables of `[reconciler]`, as `tomllib` returns them. The pipeline's own values come first.
        lines: the line of each key of the file, by path.
    """

    file: Path | None = None
    environments: tuple[str, ...] = ENVIRONMENTS
    channels: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict, repr=False)

    def line_of(self, *path: str | int) -> int | None:
        """The line of a key, or of the closest table around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)
