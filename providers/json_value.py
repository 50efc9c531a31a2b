"""The type of JSON values, for all packages but `state`, which imports nothing of this one."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JSON: TypeAlias = bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"] | None
"""A JSON value. Read-only, so that a `dict[str, str]` is one."""
