"""Reads the live objects of a stack: concurrent, read-only, with as few requests as the kinds allow.

The result is data for the planner, with an error for each object that could not be read.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from providers.errors import ProviderError
from providers.json_value import JSON
from providers.protocol import ListedKind, LiveObject, Reference, ResourceKind, SharedListKind, is_a
from providers.rate_limit import AT_ONCE
from providers.threads import Pool
from reconciler.core.graph import Graph
from reconciler.core.remote import RemoteState, parent_of
from reconciler.core.values import Address
from state.snapshot import RecordedResource


def read(
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    kinds: Mapping[str, ResourceKind],
    *,
    also: Collection[Address] = (),
    with_children: Collection[Address] = (),
    threads: int = AT_ONCE,
) -> RemoteState:
    """Read every desired resource, and all siblings in lists that the files own.

    A child is read through its parent, so after it. A child of a missing parent does not exist. An object
    belongs to one address: to that of its present name, if that is read, too.

    Args:
        recorded: the recorded resources, whose ids find renamed objects.
        also: recorded resources to read although they left the files.
        with_children: resources that may be deleted, whose children of listed kinds go with them.
        threads: most requests at once; 1 sends them from the calling thread.
    """
    requested = {resource.address for resource in desired} | set(also)
    requested |= {a for a in recorded if _is_listed(a, parent_of(a, kinds[a.kind].facts), desired)}
    requested |= {p for a in also if (p := parent_of(a, kinds[a.kind].facts))}
    parents = {address: parent_of(address, kinds[address.kind].facts) for address in requested}
    listed = {address for address, parent in parents.items() if _is_listed(address, parent, desired)}
    waiting = parents.keys() - listed
    listed_kinds = {name: kind.facts.parent for name, kind in kinds.items() if is_a(kind, ListedKind)}
    found: dict[Address, LiveObject] = {}
    unreadable: dict[Address, ProviderError] = {}
    renamed: dict[Address, Address] = {}

    def listed_below(address: Address) -> set[str]:
        owned, below = desired.get(address), address in with_children
        return {
            *(owned.owns if owned else ()),
            *(n for n, p in listed_kinds.items() if below and p == address.kind),
        }

    def read_one(address: Address) -> None:
        parent = parents[address]
        try:
            live = _read_live(address, desired, recorded, kinds, found[parent] if parent else None)
            if live is None:
                return
            found[address] = live
            for kind in sorted(listed_below(address)):
                listed_kind = kinds[kind]
                assert is_a(listed_kind, ListedKind), f"{kind} is owned, but cannot be listed"
                found.update({Address(kind, child.name): child for child in listed_kind.siblings(live)})
        except ProviderError as problem:
            unreadable[address] = problem

    for name in {address.kind for address in waiting}:
        if is_a(kind := kinds[name], SharedListKind):
            kind.read_ahead()
    with _concurrent_calls(threads) as call_each:
        while waiting:
            wave = sorted(address for address in waiting if parents[address] not in waiting)
            waiting = waiting - set(wave)
            call_each(read_one, [a for a in wave if (p := parents[a]) is None or p in found])
            for address, other in _of_other_addresses(wave, found, desired).items():
                del found[address]
                renamed[address] = other
            unreadable.update({a: unreadable[p] for a in wave if (p := parents[a]) in unreadable})
    unreadable.update({a: unreadable[p] for a in listed if (p := parents[a]) in unreadable})
    return RemoteState(found, unreadable, requested | found.keys(), renamed)


def _of_other_addresses(
    wave: Sequence[Address], found: Mapping[Address, LiveObject], desired: Graph
) -> dict[Address, Address]:
    """The addresses whose recorded id found the object of another address, with that address.

    An object belongs to the address of its present name; else to a desired address before any other.
    """

    def rank(address: Address) -> tuple[object, ...]:
        return found[address].name[-1] != address.name[-1], address not in desired, address

    owners: dict[tuple[str, tuple[str, ...], str], Address] = {}
    others: dict[Address, Address] = {}
    for address in sorted((address for address in wave if address in found), key=rank):
        owner = owners.setdefault((address.kind, address.name[:-1], found[address].id), address)
        if owner != address:
            others[address] = owner
    return others


@contextmanager
def _concurrent_calls(threads: int) -> Iterator[Callable[[Callable[[Address], None], list[Address]], object]]:
    """A function that calls another one with each address, and returns after all calls."""
    if threads == 1:
        yield lambda call, addresses: list(map(call, addresses))
        return
    pool = Pool(max_workers=threads, thread_name_prefix="read")
    try:
        yield lambda call, addresses: list(pool.map(call, addresses))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an interruption, do not wait for the rest


def _is_listed(address: Address, parent: Address | None, desired: Graph) -> bool:
    """Whether the parent's list contains it, so that no separate request is needed."""
    owner = desired.get(parent) if parent else None
    return owner is not None and address.kind in owner.owns


def _read_live(
    address: Address,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    kinds: Mapping[str, ResourceKind],
    parent: LiveObject | None,
) -> LiveObject | None:
    resource, known = desired.get(address), recorded.get(address)
    fields = resource.fields if resource else known.inputs if known else {}
    return kinds[address.kind].read(reference_to(address, known, fields, parent))


def reference_to(
    address: Address,
    recorded: RecordedResource | None,
    fields: Mapping[str, JSON],
    parent: LiveObject | None = None,
) -> Reference:
    """What a kind reads an object by: its name, these fields, and what the state has of it."""
    if recorded is None:
        return Reference(address.name, None, parent, fields)
    return Reference(address.name, recorded.id, parent, fields, recorded.outputs, recorded.inputs)
