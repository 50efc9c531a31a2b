"""The store that a command uses."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from providers.errors import ProviderError
from providers.timeouts import answer_timeout
from providers.waits import Silence, SilenceEnd
from reconciler.cli import options
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView
from state.stores.base import Store
from state.stores.objects import PATIENCE
from state.stores.opening import open_store

STATE = "RECONCILER_STATE"


def store(emit: Emit, url: str | None = None) -> Store:
    """The store that this URL names, else RECONCILER_STATE, else reconciler.toml.

    Args:
        emit: called while a bucket does not answer.

    Raises: UserError or StateError.
    """
    try:
        patience = answer_timeout(PATIENCE)
    except ProviderError as problem:
        raise UserError(error(problem.message, problem.hint)) from None
    url = url or os.environ.get(STATE) or options.workspace().state

    def announce(silent: float | None) -> None:
        assert url is not None, "only a bucket announces"
        emit(SilenceEnd(url) if silent is None else Silence(url, silent, patience))

    return open_store(url, patience=patience, announce=announce)


@contextmanager
def opened(url: str | None = None) -> Iterator[Store]:
    """The store for a command that only uses the store, and shows when a bucket does not answer."""
    with ProgressView(console(sys.stderr)) as watch, store(watch, url) as found:
        yield found
