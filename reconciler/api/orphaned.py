"""The stacks of a workspace that no folder declares any more, beside the selected pipelines."""

from collections.abc import Callable, Iterable

from reconciler.api.pipelines import Pipelines
from reconciler.api.stores import open_state
from reconciler.core.events import Emit, Notice
from reconciler.drift.orphans import Orphan, find_orphans, is_top, orphans_note
from state.stores.base import Store

__all__ = ["Orphan", "Scopes", "orphans_note", "orphans_of"]

Scopes = Callable[[], Iterable[str]]
"""Returns the scopes of the orphans to find, such as `my-org@STAGING`."""


def orphans_of(pipelines: Pipelines, scopes: Scopes, emit: Emit, store: Store | None = None) -> list[Orphan]:
    """The orphans in these scopes; none unless all pipelines of the workspace are selected.

    Args:
        scopes: called only if they are.
        store: the store, if it is open.

    Raises: as `scopes` and `find_orphans`.
    """
    workspace = pipelines.workspace
    if not (pipelines.request.is_complete and is_top(workspace.settings, workspace.folder)):
        return []

    def notify(text: str) -> None:
        emit(Notice(text))

    if store is not None:
        return find_orphans(store, scopes(), workspace.settings, notify)
    with open_state(emit, workspace.state) as opened:
        return find_orphans(opened, scopes(), workspace.settings, notify)
