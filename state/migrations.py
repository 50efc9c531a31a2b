"""Upgrades documents of older formats one version at a time, before validation.

Pure: JSON in, JSON out. Never change a migration after a release that writes its target version.
"""

from collections.abc import Callable, Mapping
from typing import Final

from state.errors import CorruptStateError
from state.snapshot import UncheckedJSON

VERSION: Final = 4
"""The document version that this reconciler writes."""

Migration = Callable[[dict[str, UncheckedJSON]], dict[str, UncheckedJSON]]


def _with_kept(document: dict[str, UncheckedJSON]) -> dict[str, UncheckedJSON]:
    """Adds `kept` to intents: the fields that the verb `replace`, new in version 2, carries over."""
    intents = document.get("intents")
    if not isinstance(intents, list):
        return document  # damaged; the reader reports it
    return document | {
        "intents": [{"kept": {}} | body if isinstance(body, dict) else body for body in intents]
    }


def _same(document: dict[str, UncheckedJSON]) -> dict[str, UncheckedJSON]:
    """Version 3 has the same content. A reconciler that knows no claims refuses it, so it takes none away."""
    return document


def _with_outcome(document: dict[str, UncheckedJSON]) -> dict[str, UncheckedJSON]:
    """Adds `outcome` and `restores`, new in version 4: how the run ended is unknown."""
    return {"outcome": "", "restores": 0} | document


MIGRATIONS: Final[Mapping[int, Migration]] = {1: _with_kept, 2: _same, 3: _with_outcome}
"""Migration functions by source version; each upgrades by one. The first version is 1."""


def migrate(
    document: dict[str, UncheckedJSON], version: int, table: Mapping[int, Migration]
) -> dict[str, UncheckedJSON]:
    """The document upgraded to `VERSION`.

    Raises:
        CorruptStateError: no release wrote that version.
    """
    for step in range(version, VERSION):
        if step not in table:
            raise CorruptStateError(
                f"the state has format version {version}, which no release of reconciler wrote"
            )
        document = table[step](document) | {"version": step + 1}
    return document
