"""`reconciler status`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import output_files


@click.command("status", cls=options.SectionedCommand)
@options.pipelines
@options.where
@click.option("--offline", is_flag=True, help="Read only the state, neither the platform nor the registry.")
@click.option(
    "--matrix", is_flag=True, help="Show pipelines and environments side by side, in the order of promotion."
)
@output_files(
    "json", "html", texts={"html": "With --matrix: write one HTML page."}, flags=["json"], dashboard=False
)
@options.executor
@options.classes
def command(**arguments: Any) -> int:
    """Show the version that runs, was applied last and is in the files, by pipeline and environment.

    A pipeline is in sync only if all three agree and nothing else has drift. Lists the environments that you
    are logged in to, those of reconciler.toml whose token variable is set, and those in the state, so it
    needs no --env. Only reads. Exits with 13 if an environment that you are logged in to could not be
    checked. Drift does not change the exit code.

    --matrix has a column for each environment of reconciler.toml, with the versions that each lacks. One that
    cannot be read says why, and the exit code is 13.

    \b
    Examples:
      reconciler status my_pipeline
      reconciler status --all --matrix
    """
    from reconciler.cli.handlers.status import run

    options.start_workers(arguments["selection"], arguments["executor"])
    return run(**arguments)
