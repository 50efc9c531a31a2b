"""The answers of the providers, as data for the planner. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from providers.errors import ProviderError
from providers.protocol import KindFacts, LiveObject
from reconciler.core.values import Address


@dataclass(frozen=True, slots=True)
class RemoteState:
    """The live objects of one stack.

    Attributes:
        found: the objects that exist.
        unreadable: the resources that could not be read, with the error.
        requested: the resources that were requested; the state of any other is unknown.
    """

    found: Mapping[Address, LiveObject]
    unreadable: Mapping[Address, ProviderError] = field(default_factory=dict)
    requested: Collection[Address] = ()


def parent_of(address: Address, facts: KindFacts) -> Address | None:
    """The parent of `address`, whose name is the child's name without its last part; None without parent."""
    return None if facts.parent is None else Address(facts.parent, address.name[:-1])
