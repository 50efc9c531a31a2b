"""Unmanaged objects: those of the organization that no stack in the state has. Reads only, by listing."""

from collections.abc import Iterator
from contextlib import suppress

from providers.protocol import BrowsableKind, LiveObject
from providers.threads import Pool
from reconciler.core.values import Address
from reconciler.drift.findings import UnmanagedObject
from reconciler.engine.kinds import kinds_of
from reconciler.engine.session import Session
from state.errors import CorruptStateError
from state.register import kind_of, scope_of
from state.snapshot import Snapshot

_THREADS = 8


def find_unmanaged(session: Session) -> tuple[UnmanagedObject, ...]:
    """The objects that no stack in the state claims or has, in the order of their addresses.

    An object belongs to a stack by its id or by its name, also if it is shared, as models are. Sends a
    request for each page of each list (one list for each model), and one for the state of each stack.

    Raises:
        ProviderError: a list cannot be read.
        state.errors.StateError: the store cannot be read.
    """
    ids, addresses = _managed(session)
    return tuple(
        UnmanagedObject(
            address,
            live.id,
            str(live.outputs.get("page") or ""),
            str(live.outputs.get("modified_at") or ""),
            str(live.outputs.get("modified_by") or ""),
        )
        for address, live in sorted(_objects(session), key=lambda found: (found[0], found[1].id))
        if (address.kind, live.id) not in ids and str(address) not in addresses
    )


def _managed(session: Session) -> tuple[set[tuple[str, str]], set[str]]:
    """Kind and id, and the address, of each object that a stack of this organization claims or has."""
    scope = session.target.scope
    register = session.registers.read(scope)
    ids = {(kind_of(address), claim.id) for address, claim in register.claims.items() if claim.id}
    addresses = set(register.claims)

    def load(stack: str) -> Snapshot | None:
        with suppress(CorruptStateError):  # `drift` reports it for its own stack
            return session.store.load(stack)
        return None

    stacks = [stack for stack in session.store.names() if scope_of(stack) == scope]
    with Pool(_THREADS, thread_name_prefix="state") as pool:
        for state in filter(None, pool.map(load, stacks)):
            ids |= {(resource.kind, resource.id) for resource in state.resources.values()}
            addresses |= {*state.resources, *state.intents}
    return ids, addresses


def _objects(session: Session) -> Iterator[tuple[Address, LiveObject]]:
    """Every object of the kinds that can be listed, those of a kind below their parents."""
    kinds = {
        name: kind for name, kind in kinds_of(session.platform).items() if isinstance(kind, BrowsableKind)
    }
    with Pool(_THREADS, thread_name_prefix="list") as pool:
        for name, kind in kinds.items():
            if kind.facts.parent is not None:
                continue
            found = list(kind.objects(None))
            yield from ((Address(name, live.name), live) for live in found)
            for child_name, child in kinds.items():
                if child.facts.parent == name:
                    for below in pool.map(lambda parent, child=child: list(child.objects(parent)), found):
                        yield from ((Address(child_name, live.name), live) for live in below)
