"""Runs `reconciler status`."""

import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

import click
from msgspec.structs import replace

from reconciler.api.clusters import workers_of
from reconciler.api.environments import Environment, Target, environments_with_login
from reconciler.api.errors import UserError
from reconciler.api.executors import LocalWorkers
from reconciler.api.orphaned import orphans_note
from reconciler.api.requests import ReadOptions
from reconciler.api.statuses import (
    Column,
    DriftState,
    Matrix,
    find_status,
    missing_state_notes,
    orphan_row,
    stored_scopes,
)
from reconciler.cli import options, stores
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.orphans import pipelines_beside_orphans
from reconciler.cli.outputs import Outputs
from reconciler.cli.report_files import terminal
from reconciler.core.exit_codes import DONE, FAILED, UNCHECKED
from reconciler.core.platforms import scope
from reconciler.views.reports.matrix_json import matrix_document
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.matrix import print_matrix
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.overview import overview_document, overview_lines
from reconciler.views.terminal.progress import ProgressView

Login = tuple[Target, Environment]
"""An environment with a login, and its values."""


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

    with LocalWorkers() as here, ProgressView(err) as progress, stores.store(progress) as store:
        pipelines = pipelines_beside_orphans(
            replace(selection, read_options=read_options), partial(stored_scopes, store), store
        )
        for problem in pipelines.problems.values():
            failed(problem)
        logins, columns = _matrix_logins(where) if matrix else (_logins(where), None)
        if not (logins or matrix or stored_scopes(store)):
            where.target()  # raises
        found = find_status(
            pipelines,
            logins,
            store,
            now=now,
            offline=offline,
            emit=progress,
            failed=failed,
            workers=workers_of(executor, pipelines.workspace, where.named(), here),
            columns=columns,
        )
    if found.matrix is not None:
        if not offline and code == DONE and not found.matrix.is_complete:
            code = UNCHECKED
        return _show_matrix(found.matrix, now, outputs, code)
    rows = [*found.rows, *map(orphan_row, found.orphans)]
    unchecked = (row for row in rows if not row.checked and row.drift.code is not DriftState.NO_LOGIN)
    if code == DONE and not offline and any(unchecked):
        code = UNCHECKED
    if (place := outputs.places.get("json")) is not None:
        write_document(place, json_text(overview_document(rows)))
        if place == STDOUT:
            return code
    for line in overview_lines(rows, now, options.workspace().shared().names):
        out.print(line)
    print_diagnostics(missing_state_notes(rows, [target for target, _ in logins]), err)
    if found.orphans:
        print_diagnostics([orphans_note(found.orphans, where.arguments("drift"))], err)
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


def _logins(where: options.TargetOptions, *, needs_one_in_use: bool | None = None) -> list[Login]:
    """The environment in use, then all others with a login.

    Raises:
        UserError: an environment is selected and has no login, or there is neither one nor a reconciler.toml.
    """
    if needs_one_in_use is None:
        needs_one_in_use = where.settings().selects_environment
    found = environments_with_login(where.named(), needs_one_in_use=needs_one_in_use)
    return [(environment.target(), environment) for environment in found]


def _matrix_logins(where: options.TargetOptions) -> tuple[list[Login], Sequence[Column]]:
    """The environments of reconciler.toml with a login, and a column for each; without any, as `_logins`."""
    workspace = options.workspace()
    if not workspace.environments:
        logins = _logins(where)
        return logins, [Column(target.environment.name, target.scope) for target, _ in logins]
    found = {
        (target.organization, target.environment.name): (target, environment)
        for target, environment in _logins(where, needs_one_in_use=False)
    }
    columns = []
    for name, environment in workspace.environments.items():
        login = found.get((environment.organization, name))
        problem = ""
        if login is None:
            problem = _no_login(environment.token, environment.organization, name)
        here = scope(environment.organization, name, login[0].host if login else environment.host)
        columns.append(Column(name, here, environment.promote_from or "", problem))
    return [login for (_, name), login in found.items() if name in workspace.environments], columns


def _no_login(token: str | None, organization: str, name: str) -> str:
    variable = f"set {token}, or " if token else ""
    login = shlex.join(("reconciler", "login", "--organization", organization, "--env", name))
    return f"no login: {variable}run {login}"
