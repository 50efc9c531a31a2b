"""Runs `reconciler graph`."""

import sys
from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.documents import print_document
from reconciler.core.exit_codes import DONE
from reconciler.core.plan import with_folder
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from reconciler.pipeline.compile import desired_graph
from reconciler.system.files import display_path
from reconciler.views.reports.graphs import Drawing, dot, mermaid, of_files, of_plan, svg
from reconciler.views.reports.plan_json import read_plan
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView

DRAWN = {"mermaid": mermaid, "dot": dot, "svg": svg}


def run(name: str | None, format_: str, plan_file: Path | None, read_options: ReadOptions) -> int:
    if name and plan_file:
        raise click.UsageError("pass a pipeline or --plan, not both")
    drawing = of_plan(read_plan(plan_file)[0]) if plan_file else _of_pipeline(name, read_options)
    print_document(DRAWN[format_](drawing), format_)
    return DONE


def _of_pipeline(name: str | None, read_options: ReadOptions) -> Drawing:
    with ProgressView(console(sys.stderr)) as progress:
        pipeline, key = validate(options.pipeline_folder(name), read_options, emit=progress).require_valid()
    title = with_folder(pipeline.name, pipeline.name, display_path(pipeline.folder))
    return of_files(title, desired_graph(pipeline, key.key))
