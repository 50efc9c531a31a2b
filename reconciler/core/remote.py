"""What the far ends answered, as data for the planner: nothing in it is guessed. Pure."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from providers.errors import ProviderError
from providers.protocol import KindFacts, LiveObject
from reconciler.core.values import Address


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What the far ends answered.

    Attributes:
        found: the objects that exist.
        unreadable: the resources that could not be asked about, with the reason.
        asked: the resources that were asked about; of any other, nothing is known.
    """

    found: Mapping[Address, LiveObject]
    unreadable: Mapping[Address, ProviderError] = field(default_factory=dict)
    asked: Collection[Address] = ()


def parent_of(address: Address, facts: KindFacts) -> Address | None:
    """The resource that `address` lives in: its name is all of the child's but the last part."""
    return None if facts.parent is None else Address(facts.parent, address.name[:-1])
