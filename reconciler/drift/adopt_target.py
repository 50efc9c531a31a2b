"""What `adopt` is asked to take over, as the command line names it."""

from dataclasses import dataclass

from reconciler.core.values import Address


@dataclass(frozen=True, slots=True)
class AdoptTarget:
    """What should be taken over: a field, one key of it, or all about a resource where `path` is ""."""

    address: Address
    path: str

    @classmethod
    def parse(cls, text: str) -> "AdoptTarget":
        """`processing/app#default_cpu`. Raises ValueError when it is none."""
        address, _, path = text.partition("#")
        return cls(Address.parse(address), path)
