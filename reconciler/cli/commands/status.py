"""`reconciler status`."""

import sys
from collections.abc import Iterator
from datetime import UTC, datetime

import click

from reconciler.cli import options
from reconciler.cli.documents import print_document
from reconciler.core.diagnostics import UserError
from reconciler.core.exit_codes import DONE, FAILED, UNCHECKED
from reconciler.credentials import Target, resolve, saved
from reconciler.drift.status import NO_LOGIN, status
from reconciler.engine.session import ReadOptions
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.overview import overview_document, overview_lines
from reconciler.views.terminal.progress import ProgressView


@click.command("status")
@options.pipelines
@options.where
@click.option("--offline", is_flag=True, help="Ask the records only, neither platform nor registry.")
@click.option("--json", "as_json", is_flag=True, help="Print the rows as a JSON document.")
@options.classes
def command(
    selection: options.Selection,
    where: options.TargetOptions,
    offline: bool,
    as_json: bool,
    read_options: ReadOptions,
) -> int:
    """Show each pipeline in each environment: version, image, when and by whom, and whether it drifted.

    Environments are those that you are logged in to, and those that are recorded. Reads only. Exits with 13
    when one of those that you are logged in to could not be asked, whatever differs.
    """
    out, err = console(sys.stdout), console(sys.stderr)
    now, code = datetime.now(UTC), DONE

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    with ProgressView(err) as watch, options.store() as store:
        folders = selection.folders(failed)
        targets = _targets(where)
        rows = list(
            status(
                folders, targets, store, read_options, now=now, emit=watch, live=not offline, failed=failed
            )
        )
    if code == DONE and not offline and any(not row.checked and row.drift != NO_LOGIN for row in rows):
        code = UNCHECKED
    if as_json:
        print_document(json_text(overview_document(rows)))
        return code
    for line in overview_lines(rows, now):
        out.print(line)
    return code


def _targets(where: options.TargetOptions) -> Iterator[Target]:
    """The target in use, then every other login that is saved."""
    first = where.target()
    yield first
    for login in saved.logins():
        if (login.organization, login.environment) != (first.organization, first.environment):
            yield resolve(login.organization, login.environment, {})
