"""What config.toml says of a kind, as data: which table and which keys, and what each of them may hold.

Who reads the file is not known here. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Holds(StrEnum):
    """What a key of config.toml may hold. No text may hold a secret."""

    TEXT = "text"
    COUNT = "a whole number from 0"
    FLAG = "true or false"
    TEXTS = "a table of texts"
    VARIABLES = "a table of environment variables"
    FRAMEWORK = "the name of a framework"
    INFERENCE_TYPE = "the name of an inference type"
    PIPELINE_TYPE = "the type of a pipeline"


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        name: below its table; dots lead through further tables.
        holds: what its value is.
    """

    name: str
    holds: Holds = Holds.TEXT

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(self.name.split("."))


@dataclass(frozen=True, slots=True)
class ConfigTable:
    """The table that has the keys of a kind.

    A table below `[reconciler]` has one row for each object: `[[reconciler.projects]]`, each with the `name`
    of the object and, where it lives in another one, with that one's names by their kinds.

    Attributes:
        name: "reconciler.projects"; "" for the whole file.
        keys: field -> the key that gives it. A key that the file does not have is not managed.
    """

    name: str
    keys: Mapping[str, Key]

    @property
    def rows(self) -> str:
        """The key of `[reconciler]` that has the rows; "" where this is a table of the official tool."""
        return self.name.removeprefix("reconciler.") if self.name.startswith("reconciler.") else ""
