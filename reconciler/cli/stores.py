"""Opens the store of a command."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.api.states import State
from reconciler.api.stores import Store, open_state
from reconciler.cli import options
from reconciler.core.events import Emit
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView


def store(emit: Emit, url: str | None = None) -> Store:
    """The store at this URL, else at RECONCILER_STATE, else in reconciler.toml. Raises as `open_state`."""
    return open_state(emit, url or options.state_url())


@contextmanager
def opened(url: str | None = None) -> Iterator[State]:
    """The state, for commands that need no session. Shows when a bucket does not answer."""
    with ProgressView(console(sys.stderr)) as progress, store(progress, url) as state_store:
        yield State(state_store, options.workspace, Path.cwd())
