"""The folders that the stacks of a workspace were applied from, as the state knows them."""

from collections.abc import Callable

from reconciler.api.stores import open_local, open_state
from reconciler.api.workspaces import Workspace
from reconciler.core.events import Emit
from reconciler.engine.missing_state import is_empty
from reconciler.engine.sources import workspace_name
from state.errors import UnreadableStateError
from state.register import scope_of
from state.stores.base import Store

__all__ = ["known_folders"]


def known_folders(
    workspace: Workspace, is_meant: Callable[[str, str], bool], emit: Emit, *, is_offline: bool
) -> dict[str, str]:
    """Folder, from the root of the workspace -> a stack that was last applied from there and has resources.

    Sends a request for each scope, and one for each stack that is meant.

    Args:
        is_meant: gets a folder and the name of its stack in its scope.
        is_offline: leave out what is in a bucket.

    Raises:
        StateError: the state cannot be read.
    """
    settings = workspace.settings
    own = workspace_name(settings.root, settings.name)
    found: dict[str, str] = {}
    try:
        opened = open_local(workspace.state) if is_offline else open_state(emit, workspace.state)
    except LookupError:
        return {}
    with opened as store:
        for scope in sorted({*map(scope_of, store.names())} - {""}):
            register = store.load_register(scope)
            for stack, source in sorted(register.stacks.items()) if register is not None else ():
                if source.workspace != own or not source.folder or source.folder in found:
                    continue
                if is_meant(source.folder, stack.partition("/")[2]) and _has_content(store, stack):
                    found[source.folder] = stack
    return found


def _has_content(store: Store, stack: str) -> bool:
    """Whether a stack has resources, or its state cannot be read."""
    try:
        state = store.load(stack)
    except UnreadableStateError:
        return True
    return state is not None and not is_empty(state)
