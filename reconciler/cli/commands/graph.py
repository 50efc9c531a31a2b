"""`reconciler graph`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import output_option

FORMATS = ("mermaid", "dot", "svg")


@click.command("graph", cls=options.SectionedCommand)
@options.pipelines
@options.where
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    help="Mermaid for Markdown, DOT for Graphviz, SVG as a picture. Default: mermaid, on stdout.",
)
@output_option(*FORMATS)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Draw this plan, saved by plan --out, with a colour for each action.",
)
@options.classes
def command(**arguments: Any) -> int:
    """Draw a pipeline's resources, or what pipelines share.

    For one pipeline, draws its resources and their dependencies, from its files or from a saved plan. For
    several, draws the pipelines with their resources, the models that they share, and the environments with
    their channels. The values of config.toml are those of the environment. Works offline and without a token.

    \b
    Examples:
      reconciler graph my_pipeline
      reconciler graph --all --format dot
    """
    from reconciler.cli.handlers.graph import run

    return run(**arguments)
