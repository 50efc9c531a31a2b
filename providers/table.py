"""The facts of all kinds of resources. Imports no HTTP client, as the reader of config.toml uses them."""

from collections.abc import Mapping
from typing import Final

from providers.docker.facts import FACTS as IMAGE
from providers.picsellia.kinds import KINDS
from providers.protocol import Exclusive, KindFacts

FACTS: Final[Mapping[str, KindFacts]] = {"image": IMAGE, **{name: kind.facts for name, kind in KINDS.items()}}


EXCLUSIVE: Final[Mapping[str, bool]] = {
    name: facts.exclusive is Exclusive.ID for name, facts in FACTS.items() if facts.exclusive is not None
}
"""The kinds whose objects belong to one stack at a time -> whether an id identifies an object of the kind."""


def ancestors(kind: str) -> list[str]:
    """The kinds of the parents of an object of this kind, outermost first."""
    parent = FACTS[kind].parent
    return [] if parent is None else [*ancestors(parent), parent]


def listed_in(kind: str) -> tuple[str, ...]:
    """The child kinds of this kind whose complete list a class declares."""
    return tuple(name for name, facts in FACTS.items() if facts.parent == kind and facts.listed_by)


def address_form(kind: str) -> str:
    """The form of an address of this kind: `model-version/MODEL/NAME`."""
    names = [*(parent.upper().replace("-", "_") for parent in ancestors(kind)), "NAME"]
    return f"{kind}/{FACTS[kind].written or '/'.join(names)}"
