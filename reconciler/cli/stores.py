"""The store that a command uses."""

import os

from providers.errors import ProviderError
from providers.timeouts import answer_timeout
from reconciler.core.diagnostics import UserError, error
from state.stores.base import Store
from state.stores.objects import PATIENCE
from state.stores.opening import open_store


def store(url: str | None = None) -> Store:
    """The store that this URL names, else RECONCILER_STATE. Raises UserError or StateError."""
    try:
        patience = answer_timeout(PATIENCE)
    except ProviderError as problem:
        raise UserError(error(problem.message, problem.hint)) from None
    return open_store(url or os.environ.get("RECONCILER_STATE"), patience=patience)
