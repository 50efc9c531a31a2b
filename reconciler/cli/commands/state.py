"""`reconciler state …`. A stack is named as plans and messages write it: my-org@STAGING/my_pipeline."""

from typing import Any

import click

from reconciler.cli import options

MOST = 20  # runs or saves of the history that are shown, unless asked for more
_stack = click.argument("name", metavar="STACK")
_json = click.option("--json", "as_json", is_flag=True, help="Print a document.")


@click.group("state")
def command() -> None:
    """Look after the record of what was applied.

    STACK is a name as plans write it, my-org@STAGING/my_pipeline, or that of the pipeline where only one
    stack has it.
    """


@command.command("list")
@_json
def list_stacks(**given: Any) -> int:
    """List the stacks of which there is a record."""
    from reconciler.cli.handlers import state

    return state.list_stacks(**given)


@command.command("show")
@_stack
@click.option("--serial", type=click.IntRange(1), help="As it was at this serial, instead of now.")
@_json
def show(**given: Any) -> int:
    """Show a stack's record: what was applied last, with every field."""
    from reconciler.cli.handlers import state

    return state.show(**given)


@command.command("history")
@_stack
@click.option(
    "--saves", "by_save", is_flag=True, help="Each save by itself: a run saves before and after each write."
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=MOST,
    show_default=True,
    help="So many runs at most; so many saves with --saves, and with --json, which prints saves.",
)
@_json
def history(**given: Any) -> int:
    """Show who changed a record when and from where, with which command, and what; latest first.

    A run is told once, with the serials of its saves: 12-19. A write that it left open was begun, and nobody
    knows whether it was done: the run did not end well, or is still at work.
    """
    from reconciler.cli.handlers import state

    return state.history(**given)


@command.command("diff")
@_stack
@click.argument("before", metavar="A", type=click.IntRange(1))
@click.argument("after", metavar="B", type=click.IntRange(1))
@_json
def diff(**given: Any) -> int:
    """Show what changed in a stack's record from serial A to serial B, field by field."""
    from reconciler.cli.handlers import state

    return state.diff(**given)


@command.command("forget")
@_stack
@click.argument("address", metavar="ADDR", type=options.AddressType())
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@options.lock_timeout
@_json
def forget(**given: Any) -> int:
    """Take one resource out of a stack's record. What exists stays as it is.

    The next plan finds it anew by its name, if the files still ask for it.
    """
    from reconciler.cli.handlers import state

    return state.forget(**given)


@command.command("move")
@click.argument("before", metavar="FROM")
@click.argument("after", metavar="TO")
@options.lock_timeout
@_json
def move(**given: Any) -> int:
    """Give the state of a stack another name, with its history. What exists stays as it is.

    For state of the same platform under an older name that plan and apply found but did not use. TO is a name
    as plans write it: my-org@STAGING/my_pipeline.
    """
    from reconciler.cli.handlers import state

    return state.move(**given)


@command.command("unlock")
@click.argument("stack", metavar="STACK")
@_json
def unlock(**given: Any) -> int:
    """Take the lock of a stack away from a run that will never give it back.

    A run that is still alive can no longer save once its lock is taken.
    """
    from reconciler.cli.handlers import state

    return state.unlock(**given)


@command.command("verify")
@_stack
@_json
def verify(**given: Any) -> int:
    """Check a stack's record against its numbered invariants, and say how to repair it."""
    from reconciler.cli.handlers import state

    return state.verify(**given)


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@_json
def copy(**given: Any) -> int:
    """Copy all records with their history to another store, as RECONCILER_STATE names it.

    A second time copies what was added since. A record there that is newer, or another one, is never
    overwritten. What is damaged is left out and listed, and the exit code is 1.
    """
    from reconciler.cli.handlers import state

    return state.copy(**given)
