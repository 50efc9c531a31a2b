"""Notes about stacks whose state does not show what was applied: there is none, or it is empty."""

import shlex
from collections.abc import Mapping, Sequence

from providers.protocol import ResourceKind, is_published
from providers.text import shown_names
from reconciler.core.diagnostics import Diagnostic, info
from reconciler.core.plan import Stack
from reconciler.core.remote import RemoteState
from state.errors import UnreadableStateError
from state.snapshot import Snapshot
from state.stores.base import Store, saves_by_run

OTHER_STORE = (
    "If it was applied from another machine, use the state from there: `reconciler whoami --explain` shows "
    "where this state is."
)
_REMOVED = "The resources were destroyed or removed from the state."
_LISTED = 5


def state_note(
    stack: Stack,
    stored: Snapshot,
    remote_state: RemoteState,
    kinds: Mapping[str, ResourceKind],
    *,
    is_emptied: bool,
) -> Diagnostic | None:
    """Why a plan cannot show what was applied; None if it can, and if nothing exists yet.

    Args:
        is_emptied: see `is_emptied`.
    """
    if not is_empty(stored):
        return None
    if is_emptied:
        return _empty(stack, stored)
    exists = any(
        not (is_published(kind := kinds[address.kind]) or kind.facts.shared) for address in remote_state.found
    )
    return no_state_note([stack], stack.command("apply")) if exists else None


def is_empty(stored: Snapshot) -> bool:
    """Whether a state has no resources and no open writes."""
    return not (stored.resources or stored.intents)


def is_emptied(store: Store, stack: str, stored: Snapshot | None) -> bool:
    """Whether a state has had resources and has none now. Runs that failed may have left one that never had.

    Reads the history of an empty state, as far as it is kept; what is no longer kept counts as resources.

    Raises:
        state.errors.StateError: the store cannot be read.
    """
    if stored is None or not stored.serial or not is_empty(stored):
        return False
    oldest = stored.serial
    for saves in saves_by_run(store, stack):
        oldest = saves[-1].serial
        try:
            before = store.load_at(stack, saves[0].serial)
        except UnreadableStateError:
            return True
        if before is None or before.resources:
            return True
    return oldest > 1


def not_applied_note(stacks: Sequence[Stack], apply_command: str, *, destroyed: bool) -> Diagnostic:
    """The note about stacks of which nothing exists."""
    was, is_, it = ("were", "are", "them") if stacks[1:] else ("was", "is", "it")
    words = f"{is_} destroyed" if destroyed else f"{was} never applied"
    return info(f"{_listed(stacks)} {words}", f"Apply {it}: {apply_command}")


def emptied_note(stacks: Sequence[Stack], apply_command: str) -> Diagnostic:
    """The note about stacks whose state has had resources and has none now."""
    return info(
        f"the state of {_listed(stacks)} is empty",
        f"{_REMOVED} Apply the files to create or add them again: {apply_command}",
    )


def _listed(stacks: Sequence[Stack]) -> str:
    return shown_names([stack.label for stack in stacks], _LISTED)


def no_state_note(stacks: Sequence[Stack], apply_command: str) -> Diagnostic:
    """The note about stacks without state."""
    return info(
        f"there is no state of {_listed(stacks)}",
        "So nothing shows which values were applied, and which were changed since. "
        f"{OTHER_STORE} Otherwise apply the files, which adds them to the state: {apply_command}",
    )


def _empty(stack: Stack, stored: Snapshot) -> Diagnostic:
    since = f" since {stored.written_at[:16].replace('T', ' ')}" if stored.written_at else ""
    return info(
        f"the state of {stack.label} is empty{since}",
        f"{_REMOVED} The earlier versions are still there: "
        f"reconciler state history {shlex.quote(str(stack))}",
    )
