"""Selects pipelines for a command that also reports orphans, which may be all that a workspace has."""

import sys

from reconciler.api.errors import UserError
from reconciler.api.orphaned import Scopes, orphans_of
from reconciler.api.pipelines import NoPipelineError, Pipelines
from reconciler.api.stores import Store
from reconciler.cli import options
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView


def pipelines_beside_orphans(
    selection: options.Selection, scopes: Scopes, store: Store | None = None
) -> Pipelines:
    """The pipelines of the selection; none, without an error, if orphans are all that a workspace has.

    Args:
        scopes, store: as for `orphans_of`.

    Raises:
        state.errors.StateError: the store cannot be read.
        UserError: as `Selection.pipelines`.
    """
    try:
        return selection.pipelines()
    except NoPipelineError as problem:
        none = Pipelines(options.open_workspace(), (), selection.request, selection.reads())
        try:
            with ProgressView(console(sys.stderr)) as progress:
                found = orphans_of(none, scopes, progress, store)
        except UserError:  # such as no organization, which a command without a pipeline does not need
            raise problem from None
        if not found:
            raise
        return none
