"""`reconciler graph`."""

from pathlib import Path

import click

from reconciler.cli import options
from reconciler.cli.documents import print_document
from reconciler.core.diagnostics import UserError
from reconciler.core.exit_codes import DONE
from reconciler.engine.session import ReadOptions, validate
from reconciler.pipeline.compile import desired_graph
from reconciler.views.reports.graphs import Drawing, dot, mermaid, of_files, of_plan, svg
from reconciler.views.reports.plan_json import read_plan

FORMATS = {"mermaid": mermaid, "dot": dot, "svg": svg}


@click.command("graph")
@click.argument("name", metavar="[PIPELINE]", required=False)
@click.option(
    "--format",
    "format_",
    type=click.Choice(list(FORMATS)),
    default="mermaid",
    show_default=True,
    help="Mermaid for Markdown, DOT for Graphviz, SVG for anything that shows pictures.",
)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw this plan, made by plan --out, with its actions in colour.",
)
@options.classes
def command(name: str | None, format_: str, plan_file: Path | None, read_options: ReadOptions) -> int:
    """Draw what a pipeline is made of, and what must come before what.

    Of the files alone, or of a saved plan. Asks nobody, so it works offline and without a token.
    """
    if name and plan_file:
        raise click.UsageError("name a pipeline, or use --plan, not both")
    drawing = of_plan(read_plan(plan_file)[0]) if plan_file else _of_pipeline(name, read_options)
    print_document(FORMATS[format_](drawing), format_)
    return DONE


def _of_pipeline(name: str | None, read_options: ReadOptions) -> Drawing:
    def failed(problem: UserError) -> None:
        raise problem

    (folder,) = options.Selection((name,) if name else (), everything=False).folders(failed)
    pipeline, key = validate(folder, read_options).sound()
    return of_files(pipeline.name, desired_graph(pipeline, key.key))
