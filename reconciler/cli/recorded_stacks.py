"""Finds the stack of `--stack` in the state, for commands that work without the files of a pipeline."""

import shlex
from collections.abc import Sequence

from reconciler.cli import options
from reconciler.core.diagnostics import UserError, error
from reconciler.engine.missing_state import OTHER_STORE, is_empty
from reconciler.engine.sources import workspace_name
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.system.files import display_path
from reconciler.workspace.discovery import stacks_below
from state.errors import UnreadableStateError
from state.register import UNKNOWN_SOURCE, Register, Source, scope_of
from state.stores.base import Store


class OtherWorkspaceError(UserError):
    """The stack was applied from another workspace than the one around the current folder."""


def recorded_stack(store: Store, name: str, scope: str | None = None) -> tuple[str, Source]:
    """The stack of this name in the state, and where it was last applied from.

    Args:
        name: a name in its scope, or a full one: `my-org@STAGING/my_pipeline`. The full name also selects a
            stack of another workspace.
        scope: the scope that the stack must be in; None for any.

    Raises:
        OtherWorkspaceError: it is of another workspace, and `name` is not its full name.
        UserError: there is no such stack, or several.
        state.errors.StateError: the store cannot be read.
    """
    stacks, is_full = store.stacks(), "@" in name.partition("/")[0]
    here = [stack for stack in stacks if scope is None or scope_of(stack) == scope]
    found = [stack for stack in here if name == (stack if is_full else stack.partition("/")[2])]
    found = [*without_empty(store, found)]
    if len(found) > 1:
        raise UserError(error(f"{name} has several stacks", f"Use one of {', '.join(found)}."))
    if not found and name in stacks:
        raise UserError(
            error(
                f"{name} is not in {scope}, which this command works on",
                "Select its organization and environment with --organization and --env.",
            )
        )
    if not found:
        known = here if is_full else [stack.partition("/")[2] for stack in here]
        where = f" in {scope}" if scope else ""
        existing = f"There is state of {', '.join(known)}." if known else f"There is no state{where}."
        raise UserError(
            error(
                f"no stack{where} is called {name}",
                f"{existing}{did_you_mean(name, known)} {OTHER_STORE}",
            )
        )
    stack = found[0]
    register = store.load_register(scope_of(stack)) or Register(scope_of(stack))
    source = register.stacks.get(stack, UNKNOWN_SOURCE)
    workspace = options.workspace()
    own = workspace_name(workspace.root, workspace.name)
    if source.workspace and source.workspace != own and not is_full:
        raise OtherWorkspaceError(
            error(
                f"{stack} is a stack of {source.workspace}, and this workspace "
                f"{f'is {own}' if own else 'has no name'}",
                f"Run the command there. To run it here, use the full name: --stack '{stack}'",
            )
        )
    return stack, source


def without_empty(store: Store, stacks: Sequence[str]) -> Sequence[str]:
    """Those of several stacks that have resources, as no destroyed one is meant; all if none has."""

    def has_resources(stack: str) -> bool:
        try:
            snapshot = store.load(stack)
        except UnreadableStateError:
            return True
        return snapshot is not None and not is_empty(snapshot)

    return (len(stacks) > 1 and [stack for stack in stacks if has_resources(stack)]) or stacks


def refuse_existing_folder(stack: str, target_options: Sequence[str]) -> None:
    """Raise UserError if a folder of the workspace declares this stack of the target with these options."""
    name = stack.partition("/")[2]
    for folder, names in stacks_below(options.workspace().root).items():
        if name in names:
            shown = display_path(folder)
            command = shlex.join(("reconciler", "destroy", shown, *target_options))
            raise UserError(
                error(
                    f"{stack} has a folder: {shown}",
                    f"Destroy it with its files:  {command}",
                )
            )
