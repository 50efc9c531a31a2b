"""`reconciler list`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import json_document


@click.command("list", cls=options.SectionedCommand)
@options.pipelines
@options.where
@click.option("--explain", is_flag=True, help="Also show why each pipeline is selected.")
@json_document
@click.option(
    "--github-matrix",
    "as_matrix",
    is_flag=True,
    help="Print a matrix for GitHub Actions, one line of JSON with a job for each pipeline.",
)
@options.classes
def command(**arguments: Any) -> int:
    """List pipelines: folder, stack, type, version and GPUs.

    Lists the pipelines that other commands would select with the same arguments; without arguments, every
    pipeline below the current folder. Works offline and without a token. Without --changed and
    --stale, it reads config.toml files only.

    \b
    Examples:
      reconciler list --type TRAINING
      reconciler list --changed --github-matrix
    """
    from reconciler.cli.handlers.list import run

    return run(**arguments)
