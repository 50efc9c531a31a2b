"""The names of a lineage in a store. A stack has one; emptied state under another name does not count.

A killed move in a bucket leaves two, as did copies by an earlier version after the stack was renamed.
"""

from collections.abc import Iterable, Sequence

from state.errors import UnreadableStateError
from state.stores.base import Store


def names_by_lineage(store: Store, stacks: Iterable[str]) -> dict[str, list[str]]:
    """The stacks of each lineage, in their order. Those that are emptied count if the lineage has no others.

    Sends two requests for each stack. A stack without a readable save is left out.
    """
    recorded: dict[str, list[str]] = {}
    emptied: dict[str, list[str]] = {}
    for stack in stacks:
        try:
            newest = next(iter(store.history(stack, 1)), None)
        except UnreadableStateError:
            continue
        if newest is not None:
            names = emptied if _is_emptied(store, stack) else recorded
            names.setdefault(newest.lineage, []).append(stack)
    return {lineage: names[-1:] for lineage, names in emptied.items()} | recorded


def other_names(store: Store, stack: str, stacks: Iterable[str]) -> Sequence[str]:
    """Those of these stacks that have the lineage of a stack, under another name; none if it is emptied."""
    state = store.load(stack)
    if state is None or not (state.resources or state.intents):
        return ()
    names = names_by_lineage(store, (stack, *(other for other in stacks if other != stack)))
    return [name for name in names.get(state.lineage, ()) if name != stack]


def _is_emptied(store: Store, stack: str) -> bool:
    try:
        state = store.load(stack)
    except UnreadableStateError:
        return False
    return state is None or not (state.resources or state.intents)
