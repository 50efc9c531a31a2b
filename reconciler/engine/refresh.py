"""Reading what is there now: concurrent, read-only, and in as few requests as the kinds allow.

The result is data for the planner. What could not be read is in it too; nothing is guessed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from providers.errors import ProviderError
from providers.protocol import ListedKind, LiveObject, Reference, ResourceKind
from reconciler.core.graph import Graph
from reconciler.core.remote import RemoteState, parent_of
from reconciler.core.values import Address
from state.snapshot import RecordedResource

THREADS = 32


def read(
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    kinds: Mapping[str, ResourceKind],
    *,
    also: Collection[Address] = (),
    threads: int = THREADS,
) -> RemoteState:
    """Everything that the files ask for, and all siblings in lists that the files own.

    A child is read after its parent, as it is found through it; a child of something that does not exist
    does not exist either.

    Args:
        recorded: gives the identities under which renamed objects are found.
        also: recorded resources that left the files and have to be read all the same.
        threads: requests at once; with 1 they are sent from here, so that many may do this side by side.
    """
    wanted = {resource.address for resource in desired} | set(also)
    wanted |= {a for a in recorded if _is_listed(a, parent_of(a, kinds[a.kind].facts), desired)}
    wanted |= {p for a in also if (p := parent_of(a, kinds[a.kind].facts))}
    parents = {address: parent_of(address, kinds[address.kind].facts) for address in wanted}
    listed = {address for address, parent in parents.items() if _is_listed(address, parent, desired)}
    waiting = parents.keys() - listed
    found: dict[Address, LiveObject] = {}
    unreadable: dict[Address, ProviderError] = {}

    def read_one(address: Address) -> None:
        parent = parents[address]
        try:
            live = _ask(address, desired, recorded, kinds, found[parent] if parent else None)
            if live is None:
                return
            found[address] = live
            resource = desired.get(address)
            for kind in resource.owns if resource else ():
                listed_kind = kinds[kind]
                assert isinstance(listed_kind, ListedKind), f"{kind} is owned, but cannot be listed"
                found.update({Address(kind, child.name): child for child in listed_kind.siblings(live)})
        except ProviderError as problem:
            unreadable[address] = problem

    with _side_by_side(threads) as each:
        while waiting:
            wave = sorted(address for address in waiting if parents[address] not in waiting)
            waiting = waiting - set(wave)
            each(read_one, [a for a in wave if (p := parents[a]) is None or p in found])
            unreadable.update({a: unreadable[p] for a in wave if (p := parents[a]) in unreadable})
    unreadable.update({a: unreadable[p] for a in listed if (p := parents[a]) in unreadable})
    return RemoteState(found, unreadable, wanted | found.keys())


@contextmanager
def _side_by_side(threads: int) -> Iterator[Callable[[Callable[[Address], None], list[Address]], object]]:
    """Calls a function with each of some addresses, and returns when all are done."""
    if threads == 1:
        yield lambda call, addresses: list(map(call, addresses))
        return
    pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="read")
    try:
        yield lambda call, addresses: list(pool.map(call, addresses))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an interruption nobody waits for the rest


def _is_listed(address: Address, parent: Address | None, desired: Graph) -> bool:
    """Whether its owner's list answers for it, so that it needs no request of its own."""
    owner = desired.get(parent) if parent else None
    return owner is not None and address.kind in owner.owns


def _ask(
    address: Address,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    kinds: Mapping[str, ResourceKind],
    parent: LiveObject | None,
) -> LiveObject | None:
    resource, record = desired.get(address), recorded.get(address)
    fields = resource.fields if resource else record.inputs if record else {}
    return kinds[address.kind].read(
        Reference(address.name, record.id, parent, fields, record.outputs)
        if record
        else Reference(address.name, None, parent, fields)
    )
