"""Finds the orphans that a command reports: those of the whole workspace, or none."""

from collections.abc import Callable, Iterable
from pathlib import Path

from reconciler.cli import options, stores
from reconciler.core.diagnostics import UserError
from reconciler.drift.orphans import Orphan, find_orphans, is_top
from reconciler.workspace.selection import NoPipelineError
from state.stores.base import Store

Scopes = Callable[[], Iterable[str]]
"""Returns the scopes of the orphans to find, such as `my-org@STAGING`."""


def folders_beside_orphans(
    selection: options.Selection,
    failed: Callable[[str, UserError], None],
    scopes: Scopes,
    store: Store | None = None,
) -> list[Path]:
    """The folders of the selection; none, without an error, if orphans are all that a workspace has.

    Args:
        failed: as for `Selection.selected`.
        scopes, store: as for `orphans_of`.

    Raises:
        state.errors.StateError: the store cannot be read.
        UserError: as `Selection.selected`.
    """
    try:
        return selection.named_folders(failed, stores.store)
    except NoPipelineError as problem:
        try:
            found = orphans_of(selection, scopes, store)
        except UserError:  # such as no organization, which a command without a pipeline does not need
            raise problem from None
        if not found:
            raise
        return []


def orphans_of(selection: options.Selection, scopes: Scopes, store: Store | None = None) -> list[Orphan]:
    """The orphans in these scopes; none unless --all selects the whole workspace.

    Args:
        scopes: called only if --all selects the whole workspace.
        store: the store, if it is open.

    Raises: as `scopes` and `find_orphans`.
    """
    workspace = options.workspace()
    if not (selection.request.is_complete and is_top(workspace, Path.cwd())):
        return []
    if store is not None:
        return find_orphans(store, scopes(), workspace)
    with stores.opened() as opened:
        return find_orphans(opened, scopes(), workspace)
