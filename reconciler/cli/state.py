"""`reconciler state …`. A stack is named as plans and messages write it: my-org@STAGING/my_pipeline."""

import sys

import click
from rich.text import Text

from reconciler.cli import options
from reconciler.cli.exits import DONE, FAILED
from reconciler.diagnostics import UserError, error
from reconciler.views.lines import columns, console
from reconciler.views.reports import print_diagnostics
from state.errors import CorruptStateError
from state.store import Store

MOST_SAVES = 20  # entries of the history that are shown


@click.group("state")
def command() -> None:
    """Look after the record of what was applied."""


@command.command("list")
def list_stacks() -> int:
    """List the stacks of which there is a record."""
    out = console(sys.stdout)
    with options.store() as store:
        for stack in store.stacks():
            out.print(stack)
    return DONE


@command.command("history")
@click.argument("stack", metavar="STACK")
def history(stack: str) -> int:
    """Show who saved a stack's record when, and with which command, latest first."""
    with options.store() as store:
        stack = _named(store, stack)
        saves = store.history(stack, MOST_SAVES)
    rows = [
        [
            Text(str(save.serial), "bold"),
            Text(save.written_at, "dim"),
            Text(f"{save.owner}@{save.host}"),
            Text(save.command),
        ]
        for save in saves
    ]
    out = console(sys.stdout)
    for line in columns(rows):
        out.print(line)
    return DONE


@command.command("verify")
@click.argument("stack", metavar="STACK")
def verify(stack: str) -> int:
    """Check a stack's record against its invariants."""
    out, err = console(sys.stdout), console(sys.stderr)
    with options.store() as store:
        stack = _named(store, stack)
        try:
            snapshot = store.load(stack)
        except CorruptStateError as problem:
            whole = [
                str(save.serial)
                for save in store.history(stack, MOST_SAVES)
                if _is_whole(store, stack, save.serial)
            ]
            told = "\n".join(
                (*problem.problems, f"Earlier serials that are whole: {', '.join(whole) or 'none'}.")
            )
            print_diagnostics([error(problem.message, told)], err)
            return FAILED
    assert snapshot is not None
    out.print(f"{stack} is whole: serial {snapshot.serial}, {len(snapshot.resources)} resources")
    return DONE


@command.command("unlock")
@click.argument("stack", metavar="STACK")
def unlock(stack: str) -> int:
    """Take the lock of a stack away from a run that will never give it back.

    A run that is still alive can no longer save once its lock is taken.
    """
    with options.store() as store:
        holder = store.unlock(stack)
    console(sys.stdout).print(f"{stack} was locked by {holder}" if holder else f"{stack} was not locked")
    return DONE


def _named(store: Store, name: str) -> str:
    """The stack of this name, or the only one of a pipeline of this name. Raises UserError."""
    known = store.stacks()
    found = [stack for stack in known if name in (stack, stack.partition("/")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(error(f"{name} has several records", f"There are: {', '.join(found)}."))
    there = f"There are: {', '.join(known)}." if known else "There are no records at all."
    raise UserError(error(f"there is no record of {name}", there))


def _is_whole(store: Store, stack: str, serial: int) -> bool:
    try:
        return store.load_at(stack, serial) is not None
    except CorruptStateError:
        return False
