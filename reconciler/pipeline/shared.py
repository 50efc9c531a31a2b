"""The settings that all pipelines of a workspace share. Plain values: command options import them."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from reconciler.core.platforms import ENVIRONMENTS


class SharedSettings(Struct, frozen=True, dict=True):
    """The part of a reconciler.toml that every pipeline of the workspace gets.

    Attributes:
        file: reconciler.toml; None if there is none.
        environments: the names that `[reconciler.env.NAME]` can have.
        declared: the environments that the file has a table for.
        names: scope of a stack, as in `my-org@STAGING` -> the declared environment there.
        channels: the tag that moves with each deploy, by environment; the others have the usual ones.
        follows: environment -> the one whose channel it shares on purpose.
        pins: environment -> the tag that the platform gets, `channel` or `version`.
        promotes_from: environment -> the one whose images it gets.
        reviews: environment -> the plans that need an approved digest: `always`, `destructive` or `never`.
        defaults: tables of `[reconciler]`, as `tomllib` returns them. The pipeline's own values come first.
        lines: the line of each key of the file, by path.
        root: the folder of the workspace; None if it is unknown.
        name: `[workspace] name`.
    """

    file: Path | None = None
    environments: tuple[str, ...] = ENVIRONMENTS
    declared: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    channels: Mapping[str, str] = field(default_factory=dict)
    follows: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)
    promotes_from: Mapping[str, str] = field(default_factory=dict)
    reviews: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    lines: Mapping[tuple[str | int, ...], int] = field(default_factory=dict)
    root: Path | None = None
    name: str | None = None

    @cached_property
    def real_root(self) -> Path | None:
        """The folder of the workspace without links."""
        from providers.regular_files import real_path  # late: help imports this module

        return None if self.root is None else real_path(self.root)

    def line_of(self, *path: str | int) -> int | None:
        """The line of a key, or of the closest table around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def is_follower(self, environment: str, of: str) -> bool:
        """Whether an environment follows another one, directly or through others."""
        at: str | None = self.follows.get(environment)
        while at is not None and at != of:
            at = self.follows.get(at)
        return at is not None
