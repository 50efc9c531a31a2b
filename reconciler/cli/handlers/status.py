"""Runs `reconciler status`."""

import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from reconciler.cli import options, stores
from reconciler.cli.documents import print_document
from reconciler.cli.orphans import folders_beside_orphans, orphans_of
from reconciler.core.diagnostics import UserError
from reconciler.core.exit_codes import DONE, FAILED, UNCHECKED
from reconciler.credentials import saved
from reconciler.credentials.target import Target, resolve
from reconciler.drift.findings import DriftState
from reconciler.drift.orphans import orphans_note
from reconciler.drift.status import orphan_row, status
from reconciler.engine.missing_state import no_state_note
from reconciler.engine.requests import ReadOptions
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import diagnostics_of, print_diagnostics
from reconciler.views.terminal.overview import overview_document, overview_lines
from reconciler.views.terminal.progress import ProgressView
from state.errors import StateError
from state.register import scope_of


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    offline: bool,
    as_json: bool,
    read_options: ReadOptions,
) -> int:
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
                folders, targets, store, read_options, now=now, emit=progress, live=not offline, failed=failed
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
