"""The desired graph: the resources that should exist, and their order. Pure; uses no provider or state."""

from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from msgspec import Struct, field

from providers.json_value import JSON
from reconciler.core.values import Address


class Origin(Struct, frozen=True):
    """The place where the files set a value. Shown beside a change; `adopt` writes the live value there.

    Attributes:
        file: config.toml, the file of a class, or the folder.
        line: counted from 1; None if code computes the value.
        key: key path of the value in config.toml; () if config.toml does not contain it unchanged.
        by_class: whether a literal argument in a class sets it.
        keys: key of a table -> the file and line that set it, if they are known.
    """

    file: Path
    line: int | None = None
    key: tuple[str | int, ...] = ()
    by_class: bool = False
    keys: Mapping[str, tuple[Path, int]] = {}

    @property
    def adoptable(self) -> bool:
        """Whether `adopt` can write another value there. Computed values have no such place."""
        return bool(self.key) or self.by_class


class Resource(Struct, frozen=True):
    """One resource that should exist.

    Attributes:
        address: its address.
        fields: the managed fields; the platform keeps its values of all others.
        depends_on: resources whose steps come first, always including the parent.
        owns: kinds of children that the files list completely, so that others are deleted.
        origins: field -> where the files set it.
        declared: where the files declare the resource; None if they do not, as for a rollback.
    """

    address: Address
    fields: Mapping[str, JSON]
    depends_on: tuple[Address, ...] = ()
    owns: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    declared: Origin | None = None


class Graph:
    """Resources by address, in the order of the argument.

    Raises ValueError for a repeated address, or a dependency that is not in the graph. Both are bugs in
    reconciler, as the files cannot express them.
    """

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self._resources: dict[Address, Resource] = {}
        for resource in resources:
            if resource.address in self._resources:
                raise ValueError(f"{resource.address} is in the graph twice")
            self._resources[resource.address] = resource
        for resource in self._resources.values():
            for dependency in resource.depends_on:
                if dependency not in self._resources:
                    raise ValueError(f"{resource.address} depends on {dependency}, which is not in the graph")

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __len__(self) -> int:
        return len(self._resources)

    def __contains__(self, address: object) -> bool:
        return address in self._resources

    def get(self, address: Address) -> Resource | None:
        return self._resources.get(address)


def ordered(dependencies: Mapping[Address, Iterable[Address]]) -> list[Address]:
    """Addresses sorted so that dependencies come first; independent ones by address.

    Raises ValueError, with the addresses, for circular dependencies.
    """
    sorter = TopologicalSorter(dependencies)
    order: list[Address] = []
    try:
        sorter.prepare()
    except CycleError as cycle:
        circle = " -> ".join(str(address) for address in cycle.args[1])
        raise ValueError(f"these depend on each other: {circle}") from None
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        order.extend(address for address in ready if address in dependencies)
        sorter.done(*ready)
    return order
