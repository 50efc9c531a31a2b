"""Orphans: the stacks of a workspace that its files no longer declare.

The folder of an orphan is gone, or declares another stack that has state of its own. Reads the register, the
state and git, no platform. Stacks of other workspaces in the same store are none, nor are those of folders
that moved or that are not checked out (by a sparse checkout, or in a submodule), nor the former stack of a
folder whose next apply moves its state.
"""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from os.path import lexists
from pathlib import Path

from msgspec import Struct

from providers.regular_files import real_path
from providers.text import shown_names
from reconciler.core.diagnostics import Diagnostic, info
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.platforms import CUSTOM, HOSTS
from reconciler.core.reasons import UNSTATED
from reconciler.credentials.target import Target
from reconciler.drift.check import last_apply
from reconciler.drift.findings import LastApply, StackReport, orphan_finding
from reconciler.engine.sources import left_out_folders, workspace_name
from reconciler.pipeline import FILE_NAME
from reconciler.system.files import display_path
from reconciler.workspace.config_file import declaration, summarize
from reconciler.workspace.discovery import PipelineIndex, find_all
from reconciler.workspace.schema import Workspace
from state.errors import UnreadableStateError
from state.lineages import other_names
from state.register import Register, scope_of
from state.snapshot import Snapshot
from state.stores.base import Store

_NAMED = 5  # orphans in a note


class Orphan(Struct, frozen=True):
    """A stack that no folder declares.

    Attributes:
        stack: `my-org@STAGING/my_pipeline`.
        folder: the folder of its last apply, from the root of the workspace.
        declared: the name of the stack that the folder declares now; "" if the folder is gone.
        state: its state; None if it cannot be read.
        last_apply: the last apply; None if it is unknown.
        problem: why its state cannot be read; None if it can.
        twin: the stack that has the same history, as after a move that was killed; "" for none.
    """

    stack: str
    folder: str
    declared: str
    state: Snapshot | None
    last_apply: LastApply | None = None
    problem: UnreadableStateError | None = None
    twin: str = ""

    @property
    def name(self) -> str:
        """The name of the stack in its organization and environment."""
        return self.stack.partition("/")[2]

    @property
    def scope(self) -> str:
        return self.stack.partition("/")[0]


def is_top(workspace: Workspace, here: Path) -> bool:
    """Whether a folder is the top of the workspace, so that `--all` selects all of it."""
    return real_path(here) == real_path(workspace.root)


def _ignore(_: str) -> None: ...


def find_orphans(
    store: Store, scopes: Iterable[str], workspace: Workspace, notify: Callable[[str], None] = _ignore
) -> list[Orphan]:
    """The orphans of a workspace in these scopes, such as `my-org@STAGING`.

    A workspace without a name has none. Sends a request for each scope, and up to three for each orphan.

    Args:
        notify: receives a sentence about each submodule with stacks that is not checked out, and one if some
            stacks may be orphans of a workspace without a name.

    Raises:
        UserError: git cannot read which folders are not checked out.
        state.errors.StateError: the store cannot be read.
    """
    name = workspace_name(workspace.root, workspace.name)
    root = real_path(workspace.root)
    found: list[Orphan] = []
    for scope in scopes:
        register = store.load_register(scope) or Register(scope)
        if not name:
            _notify_of_unknown(register, root, _environment(scope, workspace), notify)
            continue
        undeclared = dict(_undeclared(store, register, name, root, _environment(scope, workspace), notify))
        found += (
            orphan
            for stack, declared in sorted(undeclared.items())
            if (orphan := _orphan(store, register, stack, declared)) is not None
        )
    return found


NO_NAME = "the workspace has no name: neither a git remote, nor [workspace] name in reconciler.toml"


def not_sought(workspace: Workspace, here: Path) -> str:
    """Why no orphans are looked for in a folder, in a few words; "" if they are."""
    if not is_top(workspace, here):
        return "this is not the top of the workspace"
    return "" if workspace_name(workspace.root, workspace.name) else NO_NAME


def _notify_of_unknown(
    register: Register, root: Path, environment: str, notify: Callable[[str], None]
) -> None:
    """Notify of the stacks that are of an unknown workspace, if no folder below the root declares them."""
    gone = [
        stack
        for stack, source in register.stacks.items()
        if not source.workspace and source.folder and not lexists(root / source.folder / FILE_NAME)
    ]
    if not gone:
        return
    declared = {summarize(folder, environment).stack for folder in find_all(root)}
    left = sorted(stack for stack in gone if stack.partition("/")[2] not in declared)
    if left:
        named = shown_names(left, _NAMED)
        notify(f"orphans were not looked for, as {NO_NAME}; no folder here declares {named}")


def _undeclared(
    store: Store,
    register: Register,
    workspace: str,
    root: Path,
    environment: str,
    notify: Callable[[str], None],
) -> Iterator[tuple[str, str]]:
    """The stacks of this workspace that no folder declares, each with the stack that its folder declares."""
    gone: dict[str, str] = {}
    renamed: dict[str, str] = {}
    for stack, source in register.stacks.items():
        if source.workspace != workspace or not source.folder:
            continue
        folder = root / source.folder
        if not lexists(folder / FILE_NAME):
            gone[stack] = source.folder
        elif (
            (now := summarize(folder, environment).stack)
            and now != stack.partition("/")[2]
            and not declaration(folder).problem
        ):
            renamed[stack] = now
    if not gone and not renamed:
        return
    index = PipelineIndex(root)
    declared = {summarize(folder, environment).stack for folder in index.folders}
    for place in index.unsearched:
        below = [stack for stack, folder in gone.items() if (root / folder).is_relative_to(place)]
        if below:
            notify(f"{', '.join(below)}: not looked at, as {display_path(place)} cannot be searched")
        gone = {stack: folder for stack, folder in gone.items() if stack not in below}
    left_out = left_out_folders(root, gone.values()) if gone else {}
    for submodule in sorted({*left_out.values()} - {""}):
        below = [stack for stack, folder in gone.items() if left_out.get(folder) == submodule]
        notify(
            f"{', '.join(below)}: not looked at, as the submodule {submodule} is not checked out; "
            f"to check it out: git submodule update --init {shlex.quote(submodule)}"
        )
    for stack, folder_name in gone.items():
        if stack.partition("/")[2] not in declared and folder_name not in left_out:
            yield stack, ""
    for stack, now in renamed.items():
        present = f"{register.scope}/{now}"
        # Otherwise the state is found under its former name, see `renames.FormerStacks`.
        if stack.partition("/")[2] not in declared and (
            present in register.stacks or store.load(present) is not None
        ):
            yield stack, now


def _environment(scope: str, workspace: Workspace) -> str:
    """The environment whose values of config.toml count in a scope."""
    place = scope.rpartition("@")[2]
    return workspace.shared().names.get(scope) or (place if place in HOSTS else CUSTOM)


def orphan_report(
    orphan: Orphan, target: Target, *, first_seen: Mapping[str, datetime], now: datetime
) -> StackReport:
    """The report of an orphan with readable state: one finding.

    Args:
        target: the environment of the orphan.
        first_seen: finding id -> the first time that an earlier run reported it.
    """
    assert orphan.state is not None
    where = (target.organization, target.environment.name, target.host)
    stack = Stack(*where, orphan.name, orphan.name, orphan.folder)
    finding = orphan_finding(
        stack, orphan.state, orphan.declared, orphan.twin, first_seen=first_seen, now=now
    )
    step = Step(finding.address, Action.NOOP, UNSTATED)
    return StackReport(stack, (finding,), Plan(stack, "", 0, (step,)), last_apply=orphan.last_apply)


def orphans_note(orphans: Sequence[Orphan], target_options: Sequence[str]) -> Diagnostic:
    """One line about orphans of the target with these options."""
    names = shown_names([orphan.stack for orphan in orphans], _NAMED)
    are = "stack of this workspace is" if len(orphans) == 1 else "stacks of this workspace are"
    command = shlex.join(("reconciler", "drift", "--all", *target_options))
    return info(
        f"{len(orphans):,} {are} no longer declared in its files: {names}",
        f"Show what is left, and how to remove it: {command}",
    )


def _orphan(store: Store, register: Register, stack: str, declared: str) -> Orphan | None:
    """The orphan; None if it has no state, as after a move that was killed."""
    folder = register.stacks[stack].folder
    try:
        state = store.load(stack)
        applied = last_apply(store, stack, state)
    except UnreadableStateError as problem:
        return Orphan(stack, folder, declared, None, problem=problem)
    if state is None or applied is None:
        return None
    twin = next(iter(other_names(store, stack, _unclaiming(store, register, declared))), "")
    return Orphan(stack, folder, declared, state, applied, twin=twin)


def _unclaiming(store: Store, register: Register, declared: str) -> list[str]:
    """The stacks that may have the history of an orphan: of two names of a stack, one has the claims."""
    claiming = {claim.stack for claim in register.claims.values()} - {f"{register.scope}/{declared}"}
    return [name for name in store.names() if scope_of(name) == register.scope and name not in claiming]
