"""`reconciler rollback`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("rollback")
@click.argument("name", metavar="PIPELINE")
@options.where
@click.option(
    "--to",
    metavar="SERIAL|VERSION",
    help="The last serial of a run, as state history shows it, or a version; the last that differs from now "
    "when it is not given.",
)
@click.option("--write", is_flag=True, help="Write that version into config.toml, too.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask; allow inputs to be deleted and replaced.")
@options.applying
def command(**given: Any) -> int:
    """Go back to what was applied earlier.

    An ordinary plan, back to an earlier record: the platform gets the parameters, inputs and resources of
    then, and the tags in the registry go back to the image of then. Nothing is built. The files stay as they
    are, so the next apply brings back what they say: go back there, too, with --write and your version
    control.
    """
    from reconciler.cli.handlers.rollback import run

    return run(**given)
