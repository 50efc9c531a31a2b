"""`reconciler show`."""

from pathlib import Path
from typing import Any

import click


@click.command("show")
@click.argument("plan_file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def command(**given: Any) -> int:
    """Show a plan that was saved by plan --out, as it was made.

    Asks nobody, so it works for a plan that is long out of date.
    """
    from reconciler.cli.handlers.show import run

    return run(**given)
