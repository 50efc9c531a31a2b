"""What the commands for the state read and change, without a run of a pipeline."""

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from providers.regular_files import real_path
from reconciler.api.states import State, several_stacks, snapshot_of, without_empty
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.values import Address, present_address
from reconciler.engine.missing_state import OTHER_STORE
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.system.files import display_path
from reconciler.workspace.config_file import declaration
from reconciler.workspace.discovery import PipelineIndex
from reconciler.workspace.stack_names import full_name, split_name, stack_filter
from state.changes import Changes, changes
from state.document import to_document
from state.errors import VERIFY_COMMAND, CorruptStateError, UnreadableStateError
from state.lock_info import LockInfo
from state.register import UNKNOWN_SOURCE, Register, Source, kind_of, recorded_claims, scope_of
from state.register import to_document as register_document
from state.snapshot import Snapshot
from state.stores.base import ALL_SAVES, Store

if TYPE_CHECKING:
    from state.claims import Registers
    from state.copying import CopyResult
    from state.lock import Lock

__all__ = [
    "ALL_SAVES",
    "VERIFY_COMMAND",
    "CorruptStateError",
    "LockInfo",
    "OtherWorkspaceError",
    "SharedStackError",
    "StateRun",
    "all_claims",
    "changes_between",
    "changes_of_saves",
    "claims_problems",
    "copied_stacks",
    "damage_beside",
    "damaged_serials",
    "forget_resource",
    "forget_stack",
    "full_name",
    "ids_problems",
    "intact_serials",
    "move_stack",
    "names_problems",
    "rebuilt_claims",
    "recorded_stack",
    "refuse_declared",
    "refuse_shared",
    "refuse_unreadable",
    "register_document",
    "snapshot_of",
    "to_document",
    "unfinished_move",
]

MOST = 20
"""The latest serials that are read at most."""


class OtherWorkspaceError(UserError):
    """The stack was applied from another workspace than this one."""


class SharedStackError(UserError):
    """Another stack of the store has the history or the resources of this one."""


class StateRun(Struct, frozen=True):
    """A run that changes the state alone.

    Attributes:
        command: for the history.
        lock_timeout: seconds to wait for another run's lock.
        on_wait: gets the run that has the lock, when this one starts to wait.
    """

    command: Sequence[str]
    lock_timeout: float
    on_wait: Callable[[LockInfo], None]


def recorded_stack(
    state: State,
    name: str,
    scope: str | None = None,
    *,
    environment: str | None = None,
    organization: str | None = None,
) -> tuple[str, Source]:
    """The stack of this name in the state, whose folder may be gone, and where it was last applied from.

    Args:
        name: a name in its scope, or a full one: `my-org@STAGING/my_pipeline`. The full name also selects
            a stack of another workspace. `STAGING/my_pipeline` is a name in an environment.
        scope: the scope that the stack must be in; None for any.
        environment, organization: as for `State.stack`.

    Raises:
        OtherWorkspaceError: it is of another workspace, and `name` is not its full name.
        UserError: there is no such stack, or several.
    """
    store = state.store
    stacks = state.stacks(environment=environment, organization=organization)
    is_full = "@" in name.partition("/")[0]
    here = [stack for stack in stacks if scope is None or scope_of(stack) == scope]
    if name not in stacks and not any(name == stack.partition("/")[2] for stack in here):
        named, rest = split_name(state.settings(), name)
        in_it = [stack for stack in here if named.has(stack) and stack.partition("/")[2] == rest]
        if rest != name and len(in_it) == 1:
            name = in_it[0] if is_full else rest
            here = in_it
    found = [stack for stack in here if name == (stack if is_full else stack.partition("/")[2])]
    found = [*without_empty(store, found)]
    if len(found) > 1:
        raise several_stacks(state.settings, name, found)
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
    source = (store.load_register(scope_of(stack)) or Register(scope_of(stack))).stacks.get(
        stack, UNKNOWN_SOURCE
    )
    if source.workspace and not is_full:
        _refuse_other_workspace(state, stack, source)
    return stack, source


def refuse_unreadable(state: State, stack: str, source: Source) -> None:
    """Raise UserError if the folder of a stack is there, and does not tell whether it declares the stack.

    Args:
        source: where the stack was last applied from.
    """
    if (folder := _recorded_folder(state, source)) is not None and (problem := declaration(folder).problem):
        raise UserError(_unreadable(stack, folder, problem))


def refuse_declared(
    state: State, stack: str, environment: str, source: Source, command: Callable[[str], str]
) -> None:
    """Raise UserError if a folder of this workspace declares a stack, or may declare it and cannot be read.

    A folder whose config.toml cannot be read may be the one of the stack after a move, unless the state has
    it as the folder of another stack.

    Args:
        source: where the stack was last applied from.
        command: returns the one that works on the pipeline in a folder, by its path.
    """
    settings, name = state.settings(), stack.partition("/")[2]
    index = PipelineIndex(settings.root, settings)
    recorded = _recorded_folder(state, source)
    found = {**index.declarations, **({recorded: declaration(recorded)} if recorded is not None else {})}
    for folder, declared in found.items():
        if declared.declares(name, environment):
            shown = display_path(folder)
            detail = f"Destroy it with its files:  {command(shown)}"
            raise UserError(error(f"{stack} has a folder: {shown}", detail))
    refuse_unreadable(state, stack, source)
    register = state.store.load_register(scope_of(stack)) or Register(scope_of(stack))
    others = (other for name, other in register.stacks.items() if name != stack)
    of_others = {other.folder for other in others if other.workspace == _workspace_of(state)}
    for folder, declared in found.items():
        if declared.problem and settings.path_of(folder) not in of_others:
            raise UserError(_unreadable(stack, folder, declared.problem))
    if index.problems:
        raise UserError(*(one for problem in index.problems.values() for one in problem.diagnostics))


def _recorded_folder(state: State, source: Source) -> Path | None:
    """The folder of a stack as of its last apply; None if it is unknown, or in another workspace."""
    if not source.folder or source.workspace != _workspace_of(state):
        return None
    return real_path(state.settings().root) / source.folder


def _workspace_of(state: State) -> str:
    """The workspace of the current folder, as stacks are recorded with."""
    from reconciler.engine.sources import workspace_name

    settings = state.settings()
    return workspace_name(settings.root, settings.name)


def _unreadable(stack: str, folder: Path, problem: str) -> Diagnostic:
    return error(
        f"{display_path(folder)} may declare {stack}, but its {FILE_NAME} does not tell: {problem}",
        "Correct the file. If the pipeline is gone, remove its folder, and repeat the command.",
        file=folder / FILE_NAME,
    )


def refuse_shared(state: State, stack: str) -> None:
    """Raise SharedStackError if destroying a stack would delete what another recorded stack has.

    What another stack claims is not meant: destroying never deletes it. Sends a request for each stack of the
    scope.
    """
    from providers.table import EXCLUSIVE
    from state.lineages import other_names

    store, scope = state.store, scope_of(stack)
    names = store.names()
    if twins := other_names(store, stack, names):
        raise SharedStackError(
            error(
                f"{stack} and {', '.join(twins)} are one stack under several names: they have one history",
                "Its resources are theirs. To remove only the name, and leave everything on the platform:  "
                f"reconciler state forget --stack {shlex.quote(stack)}",
            )
        )
    own = recorded_claims(snapshot_of(store, stack), EXCLUSIVE, since="")
    register = store.load_register(scope) or Register(scope)
    registers = _registers(state)
    meant = {
        address: claim
        for address, claim in own.items()
        if {stack}.issuperset(
            holding.stack
            for other in register.of_others(stack, address, [claim.id]).items()
            for holding in registers.valid(*other).values()
        )
    }
    ids = {(kind_of(address), claim.id): address for address, claim in meant.items() if claim.id}
    for other in names:
        if scope_of(other) != scope or other == stack or (found := _latest(store, other)) is None:
            continue
        for address, claim in recorded_claims(found, EXCLUSIVE, since="").items():
            mine = address if address in meant else ids.get((kind_of(address), claim.id or ""))
            if mine is not None:
                raise SharedStackError(
                    error(
                        f"{stack} has {mine}, which {other} has in its state, too",
                        "Forget it where it is not right, and leave it on the platform:\n"
                        f"  reconciler state forget {shlex.quote(stack)} {shlex.quote(mine)}\n"
                        f"  reconciler state forget {shlex.quote(other)} {shlex.quote(address)}",
                    )
                )


def names_problems(state: State, snapshot: Snapshot) -> list[str]:
    """The broken invariants of a stack among the others of its store, and how to mend them."""
    from state.invariants import verify_name
    from state.lineages import other_names

    return verify_name(other_names(state.store, snapshot.stack, state.store.names()))


def _latest(store: Store, stack: str) -> Snapshot | None:
    try:
        return store.load(stack)
    except UnreadableStateError:
        return None


def changes_of_saves(state: State, stack: str, first: int, last: int) -> Changes | None:
    """The changes of the saves from first to last; None if one side is damaged or no longer kept."""
    after = _readable(state, stack, last)
    if after is None:
        return None
    before = _readable(state, stack, first - 1) if first > 1 else Snapshot.new(stack, after.lineage)
    return changes(before, after) if before else None


def changes_between(state: State, stack: str, before: int, after: int) -> Changes:
    """The changes between the state versions with two serials. Raises UserError as `snapshot_of`."""
    return changes(snapshot_of(state.store, stack, before), snapshot_of(state.store, stack, after))


def intact_serials(state: State, stack: str) -> list[int]:
    """The intact ones among the latest serials, latest first."""
    try:
        saves = state.store.history(stack, MOST)
    except CorruptStateError:
        return []
    return [save.serial for save in saves if _readable(state, stack, save.serial) is not None]


def all_claims(
    state: State, *, environment: str | None = None, organization: str | None = None
) -> list[Register]:
    """The claims of each scope, with the filters of `State.stacks`."""
    registers, names = _registers(state), state.store.names()
    if environment is not None or organization is not None:
        where = stack_filter(state.settings(), environment, organization)
        names = [name for name in names if where.has(name)]
    scopes = dict.fromkeys(filter(None, map(scope_of, names)))
    return [registers.read(scope) for scope in scopes]


def rebuilt_claims(state: State, scope: str) -> Register:
    """Write the claims of a scope anew, from the states of its stacks, and return them.

    Args:
        scope: also with the name of an environment, or such a name alone: `my-org@LIVE`, `LIVE`.

    Raises:
        UserError: the store has nothing of this scope.
    """
    full = scope_of(full_name(state.settings(), f"{scope}/")) or scope
    scopes = [*dict.fromkeys(filter(None, map(scope_of, state.store.names())))]
    if full not in scopes and not _has_register(state.store, full):
        there_is = f"There is state of {', '.join(scopes)}." if scopes else "The store is empty."
        hint = did_you_mean(scope, scopes)
        raise UserError(error(f"there is no state of {scope}", f"{there_is}{hint} {OTHER_STORE}"))
    return _registers(state).rebuild(full)


def _has_register(store: Store, scope: str) -> bool:
    """Whether a register is stored for the scope, damaged or not."""
    try:
        return store.load_register(scope) is not None
    except UnreadableStateError:
        return True


def forget_stack(
    state: State, stack: str, run: StateRun, approve: Callable[[Sequence[str]], bool]
) -> tuple[list[str], int] | None:
    """Empty the state of a stack, and release its claims. The resources themselves stay.

    Args:
        approve: gets the addresses of what the state has, if it has something.

    Returns:
        The addresses, and the serial of the empty state; None if it was not approved.
    """
    from reconciler.engine.run_identity import version
    from state.claims import naming_done
    from state.state_writer import now

    with _locked(state, run, stack) as lock:
        snapshot = snapshot_of(state.store, stack)
        addresses = sorted({*snapshot.resources, *snapshot.intents})
        serial = snapshot.serial
        if addresses:
            if not approve(addresses):
                return None
            empty = Snapshot.new(stack, snapshot.lineage)
            saved = state.store.save(
                replace(empty.changed_alone(), serial=serial, written_by=version(), written_at=now()),
                expected_serial=serial,
                lock=lock,
            )
            serial = saved.serial
        with naming_done(f"the state of {stack} is empty, but its claims are not released"):
            _registers(state).release_stack(stack)
    return addresses, serial


def forget_resource(
    state: State, stack: str, address: Address, run: StateRun, approve: Callable[[], bool]
) -> int | None:
    """Remove a resource from the state of a stack, and release its claim. The resource itself stays.

    One that an earlier state had is removed already, and nothing is saved or approved.

    Returns:
        The serial of the state without it; None if it was not approved.

    Raises:
        UserError: it is not in the state, nor in one of the latest `MOST`.
    """
    from reconciler.engine.run_identity import version
    from state.claims import naming_done
    from state.state_writer import now

    with _locked(state, run, stack) as lock:
        snapshot = snapshot_of(state.store, stack)
        kept = snapshot.without_resource(str(address)).without_intent(str(address))
        if kept == snapshot and _had(state, stack, address):
            _registers(state).release(stack, str(address))  # a run may have been killed before it did
            return snapshot.serial
        if kept == snapshot:
            addresses = "\n".join(sorted({*snapshot.resources, *snapshot.intents})) or "nothing"
            hint = did_you_mean(str(address), {*snapshot.resources, *snapshot.intents}).strip()
            detail = "\n".join(filter(None, [f"The state of {stack} has:", addresses, hint]))
            raise UserError(error(f"{address} is not in the state", detail))
        if not approve():
            return None
        # An error, if it cannot be read, before anything is saved.
        state.store.load_register(scope_of(stack))
        saved = state.store.save(
            replace(kept.changed_alone(), written_by=version(), written_at=now()),
            expected_serial=snapshot.serial,
            lock=lock,
        )
        with naming_done(f"{address} is no longer in the state of {stack}, but its claim is not released"):
            _registers(state).release(stack, str(address))
    return saved.serial


def damaged_serials(state: State, stack: str) -> list[str]:
    """The damaged ones among the latest serials, latest first, with what is wrong; [] for an intact stack."""
    found = []
    for save in state.store.history(stack, MOST):
        try:
            state.store.load_at(stack, save.serial)
        except CorruptStateError as problem:
            found.append(f"serial {save.serial}: {problem.message}")
    return found


def damage_beside(state: State, stack: str) -> list[CorruptStateError]:
    """The damage beside the state of a stack, which stops its next run: of its lock and of the register."""
    found = []
    for read in (
        lambda: state.store.holder(stack),
        lambda: state.store.load_register(scope_of(stack)),
    ):
        try:
            read()
        except CorruptStateError as problem:
            found.append(problem)
    return found


def _had(state: State, stack: str, address: Address) -> bool:
    """Whether one of the latest state versions has this resource."""
    found = (_readable(state, stack, save.serial) for save in state.store.history(stack, MOST))
    return any(version is not None and str(address) in version.resources for version in found)


def move_stack(state: State, before: str, after: str, run: StateRun) -> None:
    """Rename a stack, with its history and claims. The resources themselves stay."""
    from state.claims import move_state

    with _locked(state, run, before, after):
        move_state(state.store, before, after, present=present_address)


def unfinished_move(state: State, name: str, after: str) -> str | None:
    """The former name of a stack whose move was killed before its claims had its new name; None for no move.

    Args:
        name: the former name, full or in the scope of the new one.
        after: the full new name.
    """
    from state.claims import is_moved

    for before in (full_name(state.settings(), name), f"{scope_of(after)}/{name}"):
        if scope_of(before) and is_moved(state.store, before, after, present=present_address):
            return before
    return None


def claims_problems(state: State, snapshot: Snapshot) -> list[str]:
    """The resources of a stack that are claimed in the name of one that does not have them.

    Nothing for a register that cannot be read.
    """
    from providers.table import EXCLUSIVE
    from state.invariants import verify_claims

    stack, registers = snapshot.stack, _registers(state)
    own = recorded_claims(snapshot.with_addresses(present_address), EXCLUSIVE, since="")
    found: dict[str, str] = {}
    with suppress(UnreadableStateError):
        register = registers.read(scope_of(stack))
        for address, claim in own.items():
            for other, held in register.of_others(stack, address, [claim.id]).items():
                if any(holding.stack == stack for holding in registers.valid(other, held).values()):
                    found[address] = held.stack
    return verify_claims(found)


def ids_problems(snapshot: Snapshot) -> list[str]:
    """The resources of a stack that have the object of another one."""
    from providers.table import FACTS
    from state.invariants import verify_ids

    collections = {name: facts.collection for name, facts in FACTS.items()}
    return verify_ids(snapshot, [name for name, one in collections.items() if one and "{id}" in one.item])


def copied_stacks(source: State, target: State) -> "list[CopyResult]":
    """Copy every stack, with its history and claims, to another store. Only adds, never overwrites.

    Raises:
        StaleStateError: the target has state that the source does not continue; nothing is written.
    """
    from providers.table import EXCLUSIVE
    from state.copying import copy_states

    return list(copy_states(source.store, target.store, EXCLUSIVE, present=present_address))


def _refuse_other_workspace(state: State, stack: str, source: Source) -> None:
    from reconciler.engine.sources import workspace_name

    settings = state.settings()
    own = workspace_name(settings.root, settings.name)
    if source.workspace != own:
        raise OtherWorkspaceError(
            error(
                f"{stack} is a stack of {source.workspace}, and this workspace "
                f"{f'is {own}' if own else 'has no name'}",
                f"Run the command there. To run it here, use the full name: --stack {shlex.quote(stack)}",
            )
        )


def _readable(state: State, stack: str, serial: int) -> Snapshot | None:
    """The state version with this serial; None if it cannot be read or is no longer kept."""
    try:
        return state.store.load_at(stack, serial)
    except UnreadableStateError:
        return None


def _registers(state: State) -> "Registers":
    from providers.table import EXCLUSIVE
    from state.claims import Registers

    return Registers(state.store, EXCLUSIVE, present=present_address)


@contextmanager
def _locked(state: State, run: StateRun, *stacks: str) -> "Iterator[Lock]":
    """Holds the locks of these stacks, and yields that of the last one."""
    from reconciler.engine.run_identity import this_run
    from reconciler.pipeline.image_source import git_commit

    info = this_run(run.command, git_commit(state.folder))
    with ExitStack() as held:
        for stack in stacks:
            lock = held.enter_context(
                state.store.lock(stack, info, timeout=run.lock_timeout, on_wait=run.on_wait)
            )
        yield lock
