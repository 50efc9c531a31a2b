"""Which resources should exist and what must come before what. Pure; knows no provider and no state."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from reconciler.core.values import JSON, Address


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the files say it: shown beside a change, and where `adopt` writes what is live.

    Attributes:
        file: config.toml, the file of a class, or the folder.
        line: counted from 1; None where code computed it.
        key: path of the value in config.toml where it stands there as it is; () where it does not.
        by_class: whether a literal argument in a class says it.
    """

    file: Path
    line: int | None = None
    key: tuple[str | int, ...] = ()
    by_class: bool = False

    @property
    def adoptable(self) -> bool:
        """Whether another value can be written there; what is computed from other values cannot."""
        return bool(self.key) or self.by_class


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing that should exist.

    Attributes:
        address: which one.
        fields: the managed fields; a field that is not here is left alone on the platform.
        depends_on: what must be done before; the resource that it lives in is always among them.
        owns: kinds of children of which the files give the whole list, so that others are deleted.
        origins: field -> where the files say so.
    """

    address: Address
    fields: Mapping[str, JSON]
    depends_on: tuple[Address, ...] = ()
    owns: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)


class Graph:
    """Resources by address, as given; `ordered` sorts them.

    Raises ValueError for an address given twice, or a dependency that is not in the graph: both are bugs of
    ours, as the files cannot express them.
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
    """Addresses with every dependency first; those that are free of each other in address order.

    Raises ValueError, naming the addresses, when they depend on each other in a circle.
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
