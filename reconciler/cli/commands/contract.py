"""`reconciler contract`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import json_document


@click.command("contract", cls=options.SectionedCommand)
@options.pipeline
@click.argument("before", metavar="[A]", required=False, shell_complete=options.completions.versions)
@click.argument("after", metavar="[B]", required=False, shell_complete=options.completions.versions)
@options.where
@click.option(
    "--exit-code",
    is_flag=True,
    help="Exit with 12 if a change is breaking, and with 10 if there are only compatible ones.",
)
@json_document
@options.classes
def command(**arguments: Any) -> int:
    """Show the inputs of a processing, or what changes for those who start jobs.

    Without A and B, it shows the contract in the files; with A, the changes from A to the files; with both,
    the changes from A to B. A and B are versions or serials of the state, and otherwise tags or digests of
    the image, which has its contract in a label. Reads only, and needs no token for the platform.

    \b
    Examples:
      reconciler contract my_pipeline
      reconciler contract my_pipeline 1.0.0 --exit-code
    """
    from reconciler.cli.handlers.contract import run

    return run(**arguments)
