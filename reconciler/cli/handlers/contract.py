"""Runs `reconciler contract`."""

import sys
from pathlib import Path

from reconciler.api.contracts import compare_contracts
from reconciler.api.errors import CannotCheckError
from reconciler.api.requests import ReadOptions
from reconciler.cli import options
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.core.diagnostics import UserError, has_errors
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, PENDING, UNCHECKED
from reconciler.pipeline.load import Pipeline, load_pipeline
from reconciler.views.reports.contract_json import contract_document
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.contract import print_contract
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView


def run(
    name: str | None,
    before: str | None,
    after: str | None,
    where: options.TargetOptions,
    exit_code: bool,
    json_place: Path | None,
    read_options: ReadOptions,
) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    if after is None and name is not None and options.is_in_pipeline() and not _is_pipeline(name):
        name, before, after = None, name, before
    pipeline = _pipeline(name, where.reads(read_options))
    try:
        with ProgressView(err) as progress:
            report = compare_contracts(pipeline, before, after, where.named(), options.state_url(), progress)
    except CannotCheckError as problem:
        print_diagnostics(problem.diagnostics, err)
        return UNCHECKED if exit_code else FAILED
    if json_place is not None:
        write_document(json_place, json_text(contract_document(report)))
    if json_place != STDOUT:
        print_contract(report, out)
    if not exit_code or not report.changes:
        return DONE
    return CONFLICT if any(change.is_breaking for change in report.changes) else PENDING


def _is_pipeline(name: str) -> bool:
    """Whether the argument selects a pipeline, rather than a version of the one in the current folder."""
    try:
        options.pipeline_folder(name)
    except UserError:
        return False
    return True


def _pipeline(name: str | None, read_options: ReadOptions) -> Pipeline:
    """The pipeline, without the source of its image. Raises UserError."""
    pipeline, diagnostics = load_pipeline(
        options.pipeline_folder(name),
        python=read_options.python,
        static_only=read_options.static_only,
        timeout=read_options.timeout,
        environment=read_options.environment,
        shared=read_options.shared,
    )
    if pipeline is None or has_errors(diagnostics):
        raise UserError(*diagnostics)
    print_diagnostics(diagnostics, console(sys.stderr))
    return pipeline
