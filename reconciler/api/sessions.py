"""Sessions of an environment for a run: one for each process that works on its pipelines."""

import threading
from contextlib import AbstractContextManager
from functools import partial

from providers.rate_limit import AT_ONCE
from reconciler.api.environments import Environment
from reconciler.api.stores import open_state
from reconciler.core.events import Emit
from reconciler.credentials.target import Target
from reconciler.engine.chunks import SignIn
from reconciler.engine.renames import WorkspaceFiles
from reconciler.engine.session import Session, refused_value, session, signing_in
from reconciler.engine.workers import STOP
from reconciler.workspace.discovery import stacks_below
from reconciler.workspace.documents import documents_below, environments_of

__all__ = ["FILES", "Session", "SignIn", "open_session", "refused_value", "sign_in", "user_of"]

FILES = WorkspaceFiles(stacks_below, documents_below, environments_of)


def sign_in(
    environment: Environment,
    state: str | None,
    *,
    rps: float | None = None,
    verb: str = "apply",
    override: str = "",
) -> SignIn:
    """Opens sessions. Can be pickled; a token that was not given is looked up where the session is opened.

    Args:
        state: the address of the state; None for the default place.
        rps: requests per second of all sessions together; None for no limit.
        verb: the command that hints suggest.
        override: why gates and reviews are overridden; "" to keep to them.
    """
    return partial(open_session, environment, state, rps, verb=verb, override=override)


def open_session(
    environment: Environment,
    state: str | None,
    rps: float | None,
    emit: Emit,
    shares: int,
    *,
    verb: str = "apply",
    stop: threading.Event | None = None,
    override: str = "",
) -> AbstractContextManager[Session]:
    """A session that gets an equal share of the allowed requests, at once and per second.

    Args:
        shares: number of sessions.
        stop: when it is set, no further step of an apply starts; None for `STOP` of a worker process.

    The others are as for `sign_in`.

    Raises:
        UserError, StateError: as `session`.
    """
    return session(
        environment.target(),
        open_state(emit, state),
        emit,
        stop or STOP,
        verb=verb,
        rps=rps and rps / shares,
        at_once=max(1, AT_ONCE // shares),
        files=FILES,
        find_target=environment.beside,
        override=override,
    )


def user_of(target: Target, state: str | None, emit: Emit) -> str:
    """The name of the user whose token this is, according to the platform.

    Raises:
        UserError, StateError: as `session`. `refused_value` has what the platform refused.
    """
    with session(target, open_state(emit, state), emit, threading.Event()) as opened, signing_in(target):
        return opened.platform.username()
