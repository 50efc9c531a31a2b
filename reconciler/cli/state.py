"""`reconciler state …`."""

import sys

import click

from reconciler.cli import options
from reconciler.cli.exits import DONE
from reconciler.diagnostics import UserError
from reconciler.pipeline.load import load_pipeline
from reconciler.session import stack_of
from reconciler.views.lines import console


@click.group("state")
def command() -> None:
    """Look after the record of what was applied."""


@command.command("unlock")
@click.argument("name", metavar="PIPELINE")
@options.where
def unlock(name: str, where: options.Where) -> int:
    """Take the lock of a stack away from a run that will never give it back.

    A run that is still alive can no longer save once its lock is taken.
    """
    (folder,) = options.Chosen((name,), everything=False).folders()
    pipeline, found = load_pipeline(folder, static_only=True)
    if pipeline is None:
        raise UserError(*found)
    stack = str(stack_of(where.target(), pipeline))
    with options.store() as store:
        holder = store.unlock(stack)
    console(sys.stdout).print(f"{stack} was locked by {holder}" if holder else f"{stack} was not locked")
    return DONE
