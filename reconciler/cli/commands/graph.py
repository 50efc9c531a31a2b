"""`reconciler graph`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options

FORMATS = ("mermaid", "dot", "svg")


@click.command("graph")
@click.argument("name", metavar="[PIPELINE]", required=False)
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
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
def command(**given: Any) -> int:
    """Draw what a pipeline is made of, and what must come before what.

    Of the files alone, or of a saved plan. Asks nobody, so it works offline and without a token.
    """
    from reconciler.cli.handlers.graph import run

    return run(**given)
