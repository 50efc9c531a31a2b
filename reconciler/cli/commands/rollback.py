"""`reconciler rollback`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import run_outputs


@click.command("rollback", cls=options.SectionedCommand)
@options.pipelines
@options.where
@click.option(
    "--to",
    metavar="SERIAL|VERSION",
    shell_complete=options.completions.versions,
    help="A version, or the last serial of a run in state history. Default: what ran before the present "
    "version, or before a run that failed.",
)
@click.option("--write", is_flag=True, help="Also write the restored version into config.toml.")
@options.deciding("that state version")
@options.dry_run
@options.approval("Do not ask for approval; allow inputs to be deleted and replaced.")
@options.side_by_side
@options.applying
@run_outputs
def command(**arguments: Any) -> int:
    """Restore the state of an earlier run.

    Shows a plan and applies it, as apply does. The plan restores the parameters, inputs and resources of an
    earlier state version on the platform, and moves the tags in the registry back to its image. rollback
    builds nothing.

    rollback leaves your files unchanged, so the next apply would undo it. Restore the files, too: use --write
    for the version in config.toml, and version control for the rest.

    rollback overwrites changes made outside since. A value of a shared object that another stack applied is a
    conflict: choose a side with --ours or --theirs.

    rollback of one pipeline goes one version further back each time. Several pipelines go back once: those
    whose last run was a rollback keep its target, so that the command can be repeated after a failure.

    \b
    Examples:
      reconciler rollback my_pipeline
      reconciler rollback my_pipeline --to 1.2.0 --write
    """
    from reconciler.cli.handlers.rollback import run

    return run(**arguments)
