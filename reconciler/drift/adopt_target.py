"""The arguments of `adopt`."""

from msgspec import Struct

from reconciler.core.values import Address


class AdoptTarget(Struct, frozen=True):
    """A value to adopt: a field, one key of a field, or all fields of a resource if `path` is ""."""

    address: Address
    path: str

    @classmethod
    def parse(cls, text: str) -> "AdoptTarget":
        """Parse text such as `processing/app#default_cpu`. Raises ValueError if it has no address."""
        address, _, path = text.partition("#")
        return cls(Address.parse(address), path)
