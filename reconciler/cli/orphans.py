"""Finds the orphans that a command reports: those of the whole workspace, or none."""

from collections.abc import Callable, Iterable

from reconciler.cli import options, stores
from reconciler.drift.orphans import Orphan, find_orphans, is_top
from state.stores.base import Store


def orphans_of(
    selection: options.Selection, scopes: Callable[[], Iterable[str]], store: Store | None = None
) -> list[Orphan]:
    """The orphans in these scopes, such as `my-org@STAGING`; none unless --all selects the whole workspace.

    Args:
        scopes: called only if --all selects the whole workspace.
        store: the store, if it is open.

    Raises: as `scopes` and `find_orphans`.
    """
    workspace = options.workspace()
    if not (selection.request.is_complete and is_top(workspace)):
        return []
    if store is not None:
        return find_orphans(store, scopes(), workspace)
    with stores.opened() as opened:
        return find_orphans(opened, scopes(), workspace)
