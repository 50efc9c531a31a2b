"""Runs `reconciler status`."""

import os
import shlex
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import partial

import click

from reconciler.cli import options, stores
from reconciler.cli.cluster import workers_of
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.orphans import folders_beside_orphans, orphans_of
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import terminal
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit
from reconciler.core.exit_codes import DONE, FAILED, UNCHECKED
from reconciler.core.platforms import scope
from reconciler.credentials import saved
from reconciler.credentials.target import Target, resolve
from reconciler.drift.findings import DriftState
from reconciler.drift.matrix import Column, Matrix
from reconciler.drift.matrix import matrix as side_by_side
from reconciler.drift.orphans import orphans_note
from reconciler.drift.status import missing_state_notes, orphan_row, status
from reconciler.engine.chunks import SignIn
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session, session
from reconciler.views.reports.matrix_json import matrix_document
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.matrix import print_matrix
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.overview import overview_document, overview_lines
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.discovery import stacks_below
from reconciler.workspace.schema import WorkspaceEnvironment
from state.errors import StateError
from state.register import scope_of


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    offline: bool,
    matrix: bool,
    outputs: Outputs,
    executor: str | None,
    read_options: ReadOptions,
) -> int:
    if "html" in outputs.places and not matrix:
        raise click.UsageError("--html needs --matrix")
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
        targets, columns = _matrix_targets(where) if matrix else ([*_targets(where)], [])
        rows = list(
            status(
                folders,
                targets,
                store,
                read_options,
                now=now,
                emit=progress,
                sign_in=None if offline else partial(_sign_in, where, matrix),
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
        rows += map(orphan_row, orphans) if not matrix else ()
        beside = side_by_side(rows, columns, store, progress) if matrix else None
        for orphan in orphans:
            if orphan.problem is not None:
                failed(UserError(*diagnostics_of(orphan.problem)))
    if beside is not None:
        if not offline and code == DONE and not beside.is_complete:
            code = UNCHECKED
        return _show_matrix(beside, now, outputs, code)
    unchecked = (row for row in rows if not row.checked and row.drift.code is not DriftState.NO_LOGIN)
    if code == DONE and not offline and any(unchecked):
        code = UNCHECKED
    if (place := outputs.places.get("json")) is not None:
        write_document(place, json_text(overview_document(rows)))
        if place == STDOUT:
            return code
    for line in overview_lines(rows, now):
        out.print(line)
    print_diagnostics(missing_state_notes(rows, targets), err)
    if orphans:
        print_diagnostics([orphans_note(orphans, where.arguments("drift"))], err)
    return code


def _show_matrix(found: Matrix, now: datetime, outputs: Outputs, code: int) -> int:
    if (html := outputs.places.get("html")) is not None:
        from reconciler.views.reports.html import matrix_html

        write_document(html, matrix_html(found, now), "html")
    if (place := outputs.places.get("json")) is not None:
        write_document(place, json_text(matrix_document(found)))
    if place != STDOUT:
        print_matrix(found, now, terminal(outputs))
    return code


def _matrix_targets(where: options.TargetOptions) -> tuple[list[Target], list[Column]]:
    """The environments of reconciler.toml with a login, and a column for each; without any, as `_targets`."""
    workspace = options.workspace()
    if not workspace.environments:
        targets = list(_targets(where))
        return targets, [Column(target.environment.name, _scope(target)) for target in targets]
    found = {
        (target.organization, target.environment.name): target for target in _targets(where, matrix=True)
    }
    columns = []
    for name, environment in workspace.environments.items():
        target = found.get((environment.organization, name))
        problem = "" if target else _no_login(environment)
        here = scope(environment.organization, name, target.host if target else environment.host)
        columns.append(Column(name, here, environment.promote_from or "", problem))
    targets = [found[key] for key in found if key[1] in workspace.environments]
    return targets, columns


def _no_login(environment: WorkspaceEnvironment) -> str:
    variable = f"set {environment.token}, or " if environment.token else ""
    login = shlex.join(
        ("reconciler", "login", "--organization", environment.organization, "--env", environment.name)
    )
    return f"no login: {variable}run {login}"


def _scope(target: Target) -> str:
    return scope(target.organization, target.environment.name, target.host)


def _sign_in(where: options.TargetOptions, matrix: bool, target: Target) -> SignIn:
    """Opens sessions of a target. Can be pickled without its token, which each process looks up."""
    return partial(_session_of, where, matrix, target.organization, target.environment.name)


def _session_of(
    where: options.TargetOptions, matrix: bool, organization: str, environment: str, emit: Emit, sessions: int
) -> AbstractContextManager[Session]:
    wanted = organization, environment
    targets = _targets(where, matrix=matrix)
    target = next((t for t in targets if (t.organization, t.environment.name) == wanted), None)
    if target is None:
        detail = "Set the variable of its token on the workers, too."
        raise UserError(error(f"a worker has no login for {organization}@{environment}", detail))
    return session(target, stores.store(emit), emit, threading.Event(), stacks_below=stacks_below)


def _targets(where: options.TargetOptions, *, matrix: bool = False) -> Iterator[Target]:
    """The target in use, then the environments of reconciler.toml whose token variable is set, then all other
    saved logins.

    Args:
        matrix: a target in use is not needed, if reconciler.toml has environments.
    """
    declared = options.workspace().declared()
    yielded = set()
    try:
        first = where.target()
    except UserError:
        if not (matrix and declared):
            raise
    else:
        yield first
        yielded.add((first.organization, first.environment.name))
    for name, environment in declared.items():
        # Without the other variables: PICSELLIA_TOKEN is for the target in use.
        token = environment.token.value if environment.token else ""
        if os.environ.get(token) and (environment.organization.value, name) not in yielded:
            yielded.add((environment.organization.value, name))
            yield resolve(None, name, {token: os.environ[token]}, declared)
    for login in saved.logins():
        if (login.organization, login.environment) not in yielded:
            yield resolve(login.organization, login.environment, {}, declared)
