"""New values for a config.toml; `toml_edits` writes them into the text."""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from reconciler.pipeline.toml.toml_positions import Path


class Removal(Enum):
    """Stands for the value of a key that is taken out."""

    REMOVED = "removed"


REMOVED: Final = Removal.REMOVED
Value = str | bool | int | float | list[str] | Removal
Edits = Mapping[Path, Value]
"""New values by path, for example `{("metadata", "version"): "1.0.2"}`."""


class EditError(ValueError):
    """A value cannot be changed in a text.

    Attributes:
        path: of the value.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(reason)
        self.path = path
