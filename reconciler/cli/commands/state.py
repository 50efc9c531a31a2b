"""`reconciler state …`. STACK is a stack's name as in plans and messages: my-org@STAGING/my_pipeline."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.mistyped import CommandGroup
from reconciler.cli.options.param_types import WholeNumberType
from reconciler.cli.outputs import json_document

MOST = 20  # runs or saves that `state history` shows by default
_stack = click.argument("name", metavar="[STACK]", required=False, shell_complete=options.completions.stacks)


@click.group("state", cls=CommandGroup)
def command() -> None:
    """Show, check and repair state.

    STACK is the name of a stack as in plans, my-org@STAGING/my_pipeline. The name of the pipeline is enough
    if the pipeline has only one stack. If it has several, select one with --env, or with the environment in
    front of the name: STAGING/my_pipeline. In the folder of that pipeline, no name is needed.

    \b
    Examples:
      reconciler state list
      reconciler state history my_pipeline
      reconciler state show my_pipeline --env STAGING
    """


@command.command("list")
@options.among_stacks
@json_document
def list_stacks(**arguments: Any) -> int:
    """List the stacks that have state.

    \b
    Example:
      reconciler state list --json
    """
    from reconciler.cli.handlers import state

    return state.list_stacks(**arguments)


@command.command("show", short_help="Show the resources of the last apply, with all fields.")
@_stack
@click.option(
    "--serial",
    type=WholeNumberType(1),
    shell_complete=options.completions.serials,
    help="Show the state version with this serial. Default: the latest.",
)
@options.among_stacks
@json_document
def show(**arguments: Any) -> int:
    """Show a stack's state: the resources of the last apply with all fields.

    \b
    Example:
      reconciler state show my_pipeline --serial 4
    """
    from reconciler.cli.handlers import state

    return state.show(**arguments)


@command.command("history")
@_stack
@click.option(
    "--saves", "by_save", is_flag=True, help="Show each save. A run saves before and after each write."
)
@click.option(
    "--limit",
    type=WholeNumberType(1),
    default=MOST,
    show_default=True,
    help="Largest number of runs to show; of saves with --saves or --json.",
)
@options.among_stacks
@json_document
def history(**arguments: Any) -> int:
    """Show each run that changed a stack's state, latest first.

    Each run has the time, the user and host, the command, the changes and the serials of its saves: 12-19. A
    write is "left open" if the run started it and has not recorded its result: the run was interrupted, or
    still runs.

    \b
    Example:
      reconciler state history my_pipeline --limit 5
    """
    from reconciler.cli.handlers import state

    return state.history(**arguments)


@command.command("diff", short_help="Compare two state versions, field by field.")
@click.argument(
    "values",
    metavar="[STACK] A B",
    nargs=-1,
    required=True,
    shell_complete=options.completions.stack_and_serials,
)
@options.among_stacks
@json_document
def diff(values: tuple[str, ...], where: options.TargetOptions, json_place: Path | None) -> int:
    """Show the changes in a stack's state from serial A to serial B, field by field.

    \b
    Example:
      reconciler state diff my_pipeline 4 7
    """
    from reconciler.cli.handlers import state

    *name, before, after = values if len(values) in (2, 3) else ("", "", "")
    if not after:
        raise click.UsageError("give two serials, after the name of the stack: STACK A B")
    serial = WholeNumberType(1)
    return state.diff(name[0] if name else None, serial(before), serial(after), where, json_place)


@command.command("forget", short_help="Remove resources from state only.")
@click.argument("name", metavar="[STACK]", required=False, shell_complete=options.completions.stacks)
@click.argument("address", metavar="[ADDR]", required=False, type=options.ADDRESS)
@click.option(
    "--stack",
    metavar="STACK",
    shell_complete=options.completions.stacks,
    help="Remove everything from this stack's state, and release its claims. The history stays.",
)
@click.option("--yes", "-y", is_flag=True, help="Do not ask for approval.")
@options.lock_timeout
@options.among_stacks
@json_document
def forget(**arguments: Any) -> int:
    """Remove one resource, or everything with --stack, from a stack's state. The resources themselves stay.

    If a resource is still in the files, the next plan finds it by its name again.

    \b
    Examples:
      reconciler state forget my_pipeline input/my_pipeline/threshold
      reconciler state forget --stack my-org@STAGING/my_pipeline
    """
    from reconciler.cli.handlers import state

    return state.forget(**arguments)


@command.command("move")
@click.argument("before", metavar="FROM", shell_complete=options.completions.stacks)
@click.argument("after", metavar="TO")
@options.lock_timeout
@options.among_stacks
@json_document
def move(**arguments: Any) -> int:
    """Rename the state of a stack, with its history. The resources themselves stay.

    Use it if plan or apply reports state of the same platform under an older name. TO is the name of a stack
    as in plans: my-org@STAGING/my_pipeline.

    \b
    Example:
      reconciler state move my-org@STAGING/old_name my-org@STAGING/my_pipeline
    """
    from reconciler.cli.handlers import state

    return state.move(**arguments)


@command.command("claims", short_help="List the resources that each stack claims.")
@click.option(
    "--rebuild",
    metavar="SCOPE",
    shell_complete=options.completions.scopes,
    help="Rebuild the claims of an organization and environment, such as my-org@STAGING, from the states.",
)
@options.among_stacks
@json_document
def claims(**arguments: Any) -> int:
    """List which stack claims each processing, model version and image repository.

    A resource belongs to one stack at a time. apply claims the resources of a pipeline before its first
    write, and refuses those that another stack claims, unless --take moves the claim.

    \b
    Example:
      reconciler state claims --rebuild my-org@STAGING
    """
    from reconciler.cli.handlers import state

    return state.list_claims(**arguments)


@command.command("unlock")
@_stack
@options.among_stacks
@json_document
def unlock(**arguments: Any) -> int:
    """Remove the lock of a run that ended without releasing it.

    If the run is still alive, it can no longer save its state.

    \b
    Example:
      reconciler state unlock my-org@STAGING/my_pipeline
    """
    from reconciler.cli.handlers import state

    return state.unlock(**arguments)


@command.command("verify")
@_stack
@options.among_stacks
@json_document
def verify(**arguments: Any) -> int:
    """Check a stack's state for damage, and show how to repair it.

    \b
    Example:
      reconciler state verify my_pipeline
    """
    from reconciler.cli.handlers import state

    return state.verify(**arguments)


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@json_document
def copy(**arguments: Any) -> int:
    """Copy the state of all stacks, with its history, to another store.

    FROM and TO are stores as in RECONCILER_STATE. Copying again adds the state versions that are new since.
    copy never overwrites state in TO that is newer or has another lineage. It leaves damaged state versions
    out, lists them and exits with 1.

    \b
    Example:
      reconciler state copy ./state.db s3://my-bucket/reconciler
    """
    from reconciler.cli.handlers import state

    return state.copy(**arguments)
