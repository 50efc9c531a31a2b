"""Opens the state store of a workspace."""

from pathlib import Path

from providers.errors import ProviderError
from providers.regular_files import real_path
from providers.timeouts import answer_timeout
from providers.waits import SILENCE, Silence, SilenceEnd, pending
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit
from state.stores.base import Store
from state.stores.objects import PATIENCE, Watcher
from state.stores.opening import open_store, state_files

__all__ = ["Store", "files_of_state", "open_state"]


def open_state(emit: Emit, url: str | None) -> Store:
    """The store at this URL; None for the default place.

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

    def announce(silent: float | None) -> None:
        assert url is not None, "only buckets announce silence"
        emit(SilenceEnd(url) if silent is None else Silence(url, silent, patience))

    watcher = Watcher(announce, SILENCE, lambda: pending(url or ""))
    return open_store(url, patience=patience, watcher=watcher)


def files_of_state(url: str | None) -> tuple[Path, ...]:
    """The files of the store at this URL, which may be part of no image; none for a bucket."""
    return tuple(real_path(file.parent) / file.name for file in state_files(url))
