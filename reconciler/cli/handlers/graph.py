"""Runs `reconciler graph`."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from reconciler.api.requests import ReadOptions, SelectionRequest
from reconciler.api.validating import validate
from reconciler.cli import options
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.outputs import Outputs
from reconciler.core.diagnostics import UserError, has_errors
from reconciler.core.events import Emit, FleetProgress
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.core.plan import with_folder
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.load import Pipeline, load_pipeline, unnamed_image
from reconciler.system.files import display_path
from reconciler.views.reports.drawing import Drawing
from reconciler.views.reports.graph_text import dot, mermaid
from reconciler.views.reports.graphs import of_files, of_plan
from reconciler.views.reports.organization import of_pipelines
from reconciler.views.reports.plan_json import read_plan
from reconciler.views.reports.svg import svg
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView

DRAWN = {"mermaid": mermaid, "dot": dot, "svg": svg}


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    format_: str | None,
    plan_file: Path | None,
    outputs: Outputs,
    read_options: ReadOptions,
) -> int:
    if format_ is not None and outputs.places:
        raise click.UsageError("pass --format or -o, not both")
    read_options = where.reads(read_options)
    places = outputs.places or {format_ or "mermaid": STDOUT}
    err = console(sys.stderr)
    code = DONE

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    if plan_file:
        if selection.request != SelectionRequest():
            raise click.UsageError("pass pipelines or --plan, not both")
        drawing = of_plan(read_plan(plan_file)[0])
    else:
        folders = selection.folders(failed)
        with ProgressView(err) as progress:
            if selection.request.is_by_name and len(folders) == 1 and len(selection.request.names) <= 1:
                drawing = _of_pipeline(folders[0], read_options, progress)
            else:
                drawing = _of_pipelines(folders, read_options, progress, failed)
    for name, place in places.items():
        write_document(place, DRAWN[name](drawing), name)
    return code


def _of_pipeline(folder: Path, read_options: ReadOptions, emit: Emit) -> Drawing:
    pipeline, key = validate(folder, read_options, emit=emit).require_valid()
    title = with_folder(pipeline.name, pipeline.name, display_path(folder))
    return of_files(title, desired_graph(pipeline, key.key))


def _of_pipelines(
    folders: Sequence[Path], read_options: ReadOptions, emit: Emit, failed: Callable[[UserError], None]
) -> Drawing:
    """The drawing of pipelines. `failed` is called with the errors of those whose box only says so."""
    pipelines: dict[Path, Pipeline | None] = {}
    for count, folder in enumerate(folders):
        emit(FleetProgress(count, len(folders)))
        pipeline, problems = load_pipeline(
            folder,
            python=read_options.python,
            static_only=read_options.static_only,
            timeout=read_options.timeout,
            environment=read_options.environment,
            shared=read_options.shared,
        )
        if pipeline is not None and not pipeline.config.docker.image_name:
            problems = (*problems, unnamed_image(pipeline.loaded))
        if has_errors(problems):
            failed(UserError(*problems))
        pipelines[folder] = None if has_errors(problems) else pipeline
    return of_pipelines(pipelines)
