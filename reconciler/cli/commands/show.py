"""`reconciler show`."""

from pathlib import Path
from typing import Any

import click


@click.command("show")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def command(**arguments: Any) -> int:
    """Show a saved plan, or the results of a run.

    FILE is what plan --out saved, for one pipeline or several, or the results that a command saved with
    --json or --events. show reads only the file, so it shows a plan as it was made, even if it is stale. From
    the events of a run that was killed, it shows what was done until then.

    \b
    Example:
      reconciler show plan.json
    """
    from reconciler.cli.handlers.show import run

    return run(**arguments)
