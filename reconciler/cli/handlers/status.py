"""Runs `reconciler status`."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial

from reconciler.cli import options, stores
from reconciler.cli.cluster import workers_of
from reconciler.cli.documents import print_document
from reconciler.cli.orphans import folders_beside_orphans, orphans_of
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit
from reconciler.core.exit_codes import DONE, FAILED, UNCHECKED
from reconciler.credentials import saved
from reconciler.credentials.target import Target, resolve
from reconciler.drift.findings import DriftState
from reconciler.drift.orphans import orphans_note
from reconciler.drift.status import orphan_row, status
from reconciler.engine.chunks import SignIn
from reconciler.engine.missing_state import no_state_note
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session, session
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.overview import overview_document, overview_lines
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below
from state.errors import StateError
from state.register import scope_of


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    offline: bool,
    as_json: bool,
    executor: str | None,
    read_options: ReadOptions,
) -> int:
    if executor is not None:
        where = where.explicit()  # workers have other variables
    out, err = console(sys.stdout), console(sys.stderr)
    now, code = datetime.now(UTC), DONE

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    with ProgressView(err) as progress, stores.store(progress) as store:

        def scopes() -> list[str]:
            return sorted({*map(scope_of, store.names())} - {""})

        folders = folders_beside_orphans(selection, lambda _, problem: failed(problem), scopes, store)
        targets = _targets(where)
        rows = list(
            status(
                folders,
                targets,
                store,
                read_options,
                now=now,
                emit=progress,
                sign_in=None if offline else partial(_sign_in, where),
                failed=failed,
                open_workers=workers_of(executor, where),
            )
        )
        orphans = []
        for scope in scopes():
            try:
                orphans += orphans_of(selection, partial(list, (scope,)), store)
            except (UserError, StateError) as problem:
                failed(UserError(*diagnostics_of(problem)))
        rows += map(orphan_row, orphans)
        for orphan in orphans:
            if orphan.problem is not None:
                failed(UserError(*diagnostics_of(orphan.problem)))
    unchecked = (row for row in rows if not row.checked and row.drift.code is not DriftState.NO_LOGIN)
    if code == DONE and not offline and any(unchecked):
        code = UNCHECKED
    if as_json:
        print_document(json_text(overview_document(rows)))
        return code
    for line in overview_lines(rows, now):
        out.print(line)
    if missing := [f"{row.where}/{row.stack}" for row in rows if row.is_missing]:
        print_diagnostics([no_state_note(missing, "reconciler apply")], err)
    if orphans:
        print_diagnostics([orphans_note(orphans)], err)
    return code


def _sign_in(where: options.TargetOptions, target: Target) -> SignIn:
    """Opens sessions of a target. Can be pickled without its token, which each process looks up."""
    return partial(_session_of, where, target.organization, target.environment.name)


def _session_of(
    where: options.TargetOptions, organization: str, environment: str, emit: Emit, sessions: int
) -> AbstractContextManager[Session]:
    wanted = organization, environment
    target = next((t for t in _targets(where) if (t.organization, t.environment.name) == wanted), None)
    if target is None:
        detail = "Set the variable of its token on the workers, too."
        raise UserError(error(f"a worker has no login for {organization}@{environment}", detail))
    return session(target, stores.store(emit), emit, threading.Event(), stacks_below=stacks_below)


def _targets(where: options.TargetOptions) -> Iterator[Target]:
    """The target in use, then the environments of reconciler.toml whose token variable is set, then all other
    saved logins."""
    first, declared = where.target(), options.workspace().declared()
    yield first
    yielded = {(first.organization, first.environment.name)}
    for name, environment in declared.items():
        # Without the other variables: PICSELLIA_TOKEN is for the target in use.
        token = environment.token.value if environment.token else ""
        if os.environ.get(token) and (environment.organization.value, name) not in yielded:
            yielded.add((environment.organization.value, name))
            yield resolve(None, name, {token: os.environ[token]}, declared)
    for login in saved.logins():
        if (login.organization, login.environment) not in yielded:
            yield resolve(login.organization, login.environment, {}, declared)
