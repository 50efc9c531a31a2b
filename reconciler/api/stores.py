"""Opens the state store of a workspace."""

from pathlib import Path

from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit
from state.errors import StoreUnavailableError
from state.stores.base import Store, saves_by_run
from state.stores.opening import check_url, default_path, open_store, state_files
from state.stores.watcher import PATIENCE, Watcher

__all__ = [
    "Store",
    "address_of_state",
    "files_of_state",
    "open_local",
    "open_state",
    "saves_by_run",
]


def open_state(emit: Emit, url: str | None) -> Store:
    """The store at this URL; None for the default place.

    Args:
        emit: receives `Silence` while a bucket does not answer, and `SilenceEnd` after it.

    Raises:
        UserError: RECONCILER_TIMEOUT is invalid.
        StateError: the store cannot be opened.
    """
    # Late: a completion opens a file at most.
    from providers.errors import ProviderError
    from providers.timeouts import answer_timeout
    from providers.waits import SILENCE, Silence, SilenceEnd, pending

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
    from providers.regular_files import real_path

    return tuple(real_path(file.parent) / file.name for file in state_files(url))


def open_local(url: str | None) -> Store:
    """The store at this URL, if it is on this machine. Raises LookupError if it is in a bucket."""
    if not state_files(url):
        raise LookupError("a bucket is not asked")
    return open_store(url)


def address_of_state(url: str | None) -> str:
    """The address of the store at this URL; None for the default place.

    Raises:
        UserError: no store supports the URL, which the error does not repeat: it may contain a key.
    """
    if url is None:
        return str(default_path())
    try:
        check_url(url)
    except StoreUnavailableError as problem:
        raise UserError(error(problem.message, problem.hint)) from None
    return url
