"""The answers of the providers, as data for the planner. Pure."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field

from providers.errors import ProviderError
from providers.protocol import KindFacts, LiveObject
from reconciler.core.values import Address


class RemoteState(Struct, frozen=True):
    """The live objects of one stack.

    Attributes:
        found: the objects that exist.
        unreadable: the resources that could not be read, with the error.
        requested: the resources that were requested; the state of any other is unknown.
        renamed: the resources that do not exist, because the recorded object is by now that of another
            address, with that address.
    """

    found: Mapping[Address, LiveObject]
    unreadable: Mapping[Address, ProviderError] = field(default_factory=dict)
    requested: Collection[Address] = ()
    renamed: Mapping[Address, Address] = field(default_factory=dict)


class TagInUse(Struct, frozen=True):
    """The tag of an image that the platform's resources have.

    Attributes:
        recorded: digest of the image of the last apply.
        live: digest of the image that the tag points to; None if the tag is gone.
        desired: digest of the image that the files declare; None if it is another one than the live one.
        by: the environment whose apply moved the tag; "" if it is unknown.
        version: the version of the live image; "" if it is unknown.
    """

    tag: str
    recorded: str
    live: str | None
    desired: str | None = None
    by: str = ""
    version: str = ""

    @property
    def is_moved(self) -> bool:
        """Whether it points to another image than the last apply left."""
        return self.live != self.recorded


def parent_of(address: Address, facts: KindFacts) -> Address | None:
    """The parent of `address`, whose name is the child's name without its last part; None without parent."""
    return None if facts.parent is None else Address(facts.parent, address.name[:-1])
