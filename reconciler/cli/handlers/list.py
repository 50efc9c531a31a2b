"""Runs `reconciler list`."""

import shlex
import sys
from pathlib import Path

import click
from msgspec.structs import replace

from reconciler.api.requests import ReadOptions
from reconciler.cli import options
from reconciler.cli.documents import print_document, write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.core.diagnostics import UserError, error, warning
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.views.reports.pipelines import MOST_JOBS, matrix_text, pipelines_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.pipelines import pipeline_lines


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    explain: bool,
    json_place: Path | None,
    as_matrix: bool,
    read_options: ReadOptions,
) -> int:
    if json_place == STDOUT and as_matrix:
        raise click.UsageError("two outputs cannot go to the same place")
    out, err = console(sys.stdout), console(sys.stderr)
    code = DONE

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    if selection.request.is_by_name and not selection.request.names:
        selection = replace(selection, request=replace(selection.request, everything=True))
    pipelines = replace(selection, is_offline=True).pipelines()
    for missing in pipelines.problems.values():
        failed(missing)
    summaries = pipelines.summaries(selection.where.named() if selection.where else None)
    rows = [(summary, one.why) for summary, one in zip(summaries, pipelines, strict=True)]
    for summary, _ in rows:
        if not summary.is_readable:
            advice = f"Its values are unknown. Run:  reconciler validate {shlex.quote(str(summary.folder))}"
            problem = warning("config.toml cannot be read", advice, file=summary.folder / "config.toml")
            print_diagnostics([problem], err)
    if as_matrix:
        if len(rows) > MOST_JOBS:
            raise UserError(
                error(
                    f"a matrix of GitHub Actions has at most {MOST_JOBS} jobs, and {len(rows)} pipelines are "
                    "selected",
                    "Select fewer with --group or --type, or split the work with drift --shard.",
                )
            )
        print_document(matrix_text(rows))
    if json_place is not None:
        write_document(json_place, pipelines_text(rows))
    if not as_matrix and json_place != STDOUT:
        for line in pipeline_lines(rows, explain=explain):
            out.print(line)
    return code
