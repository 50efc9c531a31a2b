"""Raises documents of older formats, one version at a time, before anything else looks at them.

Pure: JSON in, JSON out. A function never changes once a release has written the version it makes.
"""

from collections.abc import Callable, Mapping
from typing import Final

from state.errors import CorruptStateError
from state.snapshot import JSON

VERSION: Final = 2
"""The version of the documents that this reconciler writes."""

Migration = Callable[[dict[str, JSON]], dict[str, JSON]]


def _with_kept(document: dict[str, JSON]) -> dict[str, JSON]:
    """Intents got the verb `replace`, and `kept` for what that carries over to the new object."""
    intents = document.get("intents")
    if not isinstance(intents, list):
        return document  # damaged, which is for the reader to say
    return document | {
        "intents": [{"kept": {}} | body if isinstance(body, dict) else body for body in intents]
    }


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _with_kept}
"""From a version to the function that makes the next one of it. 1 is the first version there is."""


def migrate(document: dict[str, JSON], version: int, table: Mapping[int, Migration]) -> dict[str, JSON]:
    """The document as `VERSION` has it.

    Raises:
        CorruptStateError: no reconciler ever wrote that version.
    """
    for step in range(version, VERSION):
        if step not in table:
            raise CorruptStateError(
                f"the record has format version {version}, which no reconciler ever wrote"
            )
        document = table[step](document) | {"version": step + 1}
    return document
