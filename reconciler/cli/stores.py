"""Opens the store of a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from providers.errors import ProviderError
from providers.timeouts import answer_timeout
from providers.waits import SILENCE, Silence, SilenceEnd, pending
from reconciler.cli import options
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView
from state.stores.base import Store
from state.stores.objects import PATIENCE, Watcher
from state.stores.opening import open_store


def store(emit: Emit, url: str | None = None) -> Store:
    """The store at this URL, else at RECONCILER_STATE, else in reconciler.toml.

    Args:
        emit: receives `Silence` while a bucket does not answer, and `SilenceEnd` after it.

    Raises:
        UserError: RECONCILER_TIMEOUT is invalid.
        StateError: the store cannot be opened.
    """
    try:
        patience = answer_timeout(PATIENCE)
    except ProviderError as problem:
        raise UserError(error(problem.message, problem.hint)) from None
    url = url or options.state_url()

    def announce(silent: float | None) -> None:
        assert url is not None, "only buckets announce silence"
        emit(SilenceEnd(url) if silent is None else Silence(url, silent, patience))

    watcher = Watcher(announce, SILENCE, lambda: pending(url or ""))
    return open_store(url, patience=patience, watcher=watcher)


@contextmanager
def opened(url: str | None = None) -> Iterator[Store]:
    """A store for commands that need no session. Shows when a bucket does not answer."""
    with ProgressView(console(sys.stderr)) as progress, store(progress, url) as state_store:
        yield state_store
