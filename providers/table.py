"""The facts of every kind of resource. Imports no HTTP client: config.toml is read with this."""

from collections.abc import Mapping
from typing import Final

from providers.docker.facts import FACTS as IMAGE
from providers.picsellia.kinds import KINDS
from providers.protocol import KindFacts

FACTS: Final[Mapping[str, KindFacts]] = {"image": IMAGE, **{name: kind.facts for name, kind in KINDS.items()}}


def ancestors(kind: str) -> list[str]:
    """The kinds that an object of this kind lives in, outermost first."""
    parent = FACTS[kind].parent
    return [] if parent is None else [*ancestors(parent), parent]


def listed_in(kind: str) -> tuple[str, ...]:
    """The kinds that live in an object of this kind, and of which a class declares the whole list."""
    return tuple(name for name, facts in FACTS.items() if facts.parent == kind and facts.listed_by)


def address_form(kind: str) -> str:
    """How an address of this kind is written: `model-version/MODEL/NAME`."""
    names = [*(parent.upper().replace("-", "_") for parent in ancestors(kind)), "NAME"]
    return f"{kind}/{FACTS[kind].written or '/'.join(names)}"
