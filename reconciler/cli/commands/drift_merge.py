"""`reconciler drift merge`: one report from those of several jobs."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli.options.common import with_common
from reconciler.cli.outputs import output_files


@click.command("merge")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@output_files("json", "junit", "markdown", "html")
def command(**arguments: Any) -> int:
    """Merge the reports that `drift --shard K/N --json FILE` wrote into one.

    The pipelines of a missing part are reported as not checked. Exits with the codes of `drift`.

    \b
    Example:
      reconciler drift merge part-1.json part-2.json --html drift.html
    """
    from reconciler.cli.handlers.drift_merge import run

    return run(**arguments)


with_common(command)  # `drift` finds it past its group
