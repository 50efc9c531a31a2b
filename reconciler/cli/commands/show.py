"""`reconciler show`."""

from pathlib import Path
from typing import Any

import click


@click.command("show")
@click.argument("plan_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def command(**arguments: Any) -> int:
    """Show a plan that plan --out saved.

    Reads only the file, so it shows the plan as it was made, even if it is stale.
    """
    from reconciler.cli.handlers.show import run

    return run(**arguments)
