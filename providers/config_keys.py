"""The table, keys and value types of a kind in config.toml, as data. Pure; independent of the reader."""

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct


class Holds(StrEnum):
    """The type of a value in config.toml. No string may contain a secret."""

    TEXT = "text"
    COUNT = "a whole number from 0"
    FLAG = "true or false"
    TEXTS = "a list of texts"
    TABLE = "a table of texts"
    VARIABLES = "a table of environment variables"
    FRAMEWORK = "the name of a framework"
    INFERENCE_TYPE = "the name of an inference type"
    PIPELINE_TYPE = "the type of a pipeline"


class Key(Struct, frozen=True):
    """One key.

    Attributes:
        name: name within its table; dots separate nested tables.
        holds: the type of its value.
    """

    name: str
    holds: Holds = Holds.TEXT

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))


class ConfigTable(Struct, frozen=True):
    """The table with the keys of a kind.

    A table below `[reconciler]` has one row per object: `[[reconciler.projects]]`, each with the object's
    `name` and, for an object with parents, their names by kind.

    Attributes:
        name: "reconciler.projects"; "" for the whole file.
        keys: field -> its key. A field without its key in the file is not managed.
    """

    name: str
    keys: Mapping[str, Key]

    @property
    def rows(self) -> str:
        """The key of `[reconciler]` with the rows; "" for a table of the official tool."""
        return self.name.removeprefix("reconciler.") if self.name.startswith("reconciler.") else ""
