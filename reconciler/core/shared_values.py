"""The values of shared objects that other stacks applied: a plan does not overwrite them unasked. Pure.

Any number of stacks may write an object of a shared kind, which has no claims. If two declare different
values, each would call the other's a change outside, and write its own, without an end.
"""

from collections.abc import Iterable, Mapping

from providers.protocol import KindFacts
from reconciler.core.diff import Change, ChangeClass, normalised, same
from reconciler.core.plan import Step
from reconciler.core.remote import RemoteState
from reconciler.core.values import MISSING, Address
from state.snapshot import Snapshot

Appliers = Mapping[Address, Mapping[str, str]]
"""The address of a shared object -> its fields, each with the other stack that applied the live value."""


def overwrites_shared(steps: Iterable[Step], facts: Mapping[str, KindFacts]) -> bool:
    """Whether a step would overwrite a value of a shared object that this stack did not apply."""
    return any(is_shared(facts[s.address.kind]) and any(map(is_overwrite, s.changes)) for s in steps)


def is_shared(kind: KindFacts) -> bool:
    """Whether any number of stacks may write an object of this kind."""
    return kind.shared and kind.exclusive is None


_OF_OTHERS = frozenset({ChangeClass.DRIFT, ChangeClass.UNRECORDED, ChangeClass.CONFLICT})


def is_overwrite(change: Change) -> bool:
    """Whether the change writes over a live value that this stack did not apply."""
    return change.write and bool(change.path) and change.cls in _OF_OTHERS


def appliers(
    remote_state: RemoteState, others: Iterable[Snapshot], facts: Mapping[str, KindFacts]
) -> Appliers:
    """The live values of shared objects that the last apply of another stack left.

    Args:
        others: the states of the other stacks of the organization.
    """
    addresses = {
        (address.kind, live.id): address
        for address, live in remote_state.found.items()
        if is_shared(facts[address.kind])
    }
    found: dict[Address, dict[str, str]] = {}
    for state in others:
        for recorded in state.resources.values():
            address = addresses.get((recorded.kind, recorded.id))
            if address is None:
                continue
            rules, live = facts[address.kind].rules, remote_state.found[address].fields
            for name, value in recorded.inputs.items():
                rule = rules.get(name)
                shown = live.get(name, MISSING)
                if rule is not None and same(normalised(value, rule), normalised(shown, rule)):
                    found.setdefault(address, {})[name] = state.stack
    return found
