"""`reconciler whoami`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import json_document


@click.command("whoami", cls=options.SectionedCommand)
@options.where
@click.option("--explain", is_flag=True, help="Show each value with its source, offline.")
@json_document
def command(**arguments: Any) -> int:
    """Show the platform, organization and token in use, and check that they work.

    Names the source of each value: an option, a variable, a file or the default.

    \b
    Example:
      reconciler whoami --explain
    """
    from reconciler.cli.handlers.whoami import explain, run

    return explain(**arguments) if arguments.pop("explain") else run(**arguments)
