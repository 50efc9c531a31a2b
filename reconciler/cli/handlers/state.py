"""Runs `reconciler state`."""

import re
import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from msgspec.structs import asdict

from providers.json_value import JSON
from reconciler.api.errors import StateError
from reconciler.api.state_edits import (
    ALL_SAVES,
    VERIFY_COMMAND,
    CorruptStateError,
    LockInfo,
    OtherWorkspaceError,
    StateRun,
    all_claims,
    changes_between,
    changes_of_saves,
    claims_problems,
    copied_stacks,
    damage_beside,
    damaged_serials,
    forget_resource,
    forget_stack,
    full_name,
    ids_problems,
    intact_serials,
    move_stack,
    names_problems,
    rebuilt_claims,
    recorded_stack,
    refuse_unreadable,
    register_document,
    snapshot_of,
    to_document,
    unfinished_move,
)
from reconciler.api.states import State
from reconciler.cli import options, prompts, stores
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.output_places import refuse_state
from reconciler.cli.prompts import Question, confirm
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED
from reconciler.core.values import Address
from reconciler.views.counting import plural
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.history import (
    change_lines,
    claim_lines,
    diff_document,
    history_document,
    run_lines,
    save_lines,
    state_lines,
)
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.text import Text


def list_stacks(where: options.TargetOptions, json_place: Path | None) -> int:
    with stores.opened() as state:
        stacks = state.stacks(environment=where.environment, organization=where.organization)
    _print(json_place, {"format": "reconciler/stacks", "version": 1, "stacks": stacks}, map(Text, stacks))
    return DONE


def show(name: str | None, serial: int | None, where: options.TargetOptions, json_place: Path | None) -> int:
    with stores.opened() as state:
        snapshot = snapshot_of(state.store, _named(state, name, where), serial)
    _print(json_place, to_document(snapshot), state_lines(snapshot))
    return DONE


def history(
    name: str | None, by_save: bool, limit: int, where: options.TargetOptions, json_place: Path | None
) -> int:
    with stores.opened() as state:
        stack = _named(state, name, where)
        has_json = json_place is not None
        runs = state.runs(stack, limit) if has_json or not by_save else []
        entries = state.store.history(stack, limit) if has_json or by_save else []
        state.store.check_history(stack, limit)
        saves = [(entry, changes_of_saves(state, stack, entry.serial, entry.serial)) for entry in entries]
        if json_place is not None:
            write_document(json_place, json_text(history_document(stack, saves, runs)))
        if json_place != STDOUT and by_save:
            _print_lines(save_lines(saves))
        elif json_place != STDOUT:
            spans = [(run, run.saves[-1].serial, run.saves[0].serial) for run in runs]
            changed = [(run, changes_of_saves(state, stack, first, last)) for run, first, last in spans]
            _print_lines(run_lines(changed))
    return DONE


def diff(
    name: str | None, before: int, after: int, where: options.TargetOptions, json_place: Path | None
) -> int:
    with stores.opened() as state:
        stack = _named(state, name, where)
        changed = changes_between(state, stack, before, after)
    _print(json_place, diff_document(stack, before, after, changed), change_lines(changed))
    return DONE


def forget(
    name: str | None,
    address: Address | None,
    stack: str | None,
    yes: bool,
    lock_timeout: float,
    where: options.TargetOptions,
    json_place: Path | None,
) -> int:
    if stack is not None and name is None:
        return _forget_stack(stack, yes, lock_timeout, where, json_place)
    if name is not None and address is None and (given := options.as_address(name)) is not None:
        name, address = None, given
    if stack is not None or address is None:
        raise click.UsageError(
            "give a stack and the address of a resource: STACK ADDR; or only --stack STACK"
        )
    return _forget_resource(name, address, yes, lock_timeout, where, json_place)


def _forget_stack(
    name: str, yes: bool, lock_timeout: float, where: options.TargetOptions, json_place: Path | None
) -> int:
    err = console(sys.stderr)
    with stores.opened() as state:
        try:
            stack, source = recorded_stack(
                state, name, environment=where.environment, organization=where.organization
            )
            refuse_unreadable(state, stack, source)
        except OtherWorkspaceError as problem:
            print_diagnostics(problem.diagnostics, err)
            return CONFLICT

        def approve(addresses: Sequence[str]) -> bool:
            return yes or _is_confirmed(Question.FORGET_ALL, addresses=", ".join(addresses), stack=stack)

        forgotten = forget_stack(state, stack, _run(lock_timeout), approve)
    if forgotten is None:
        err.print("Nothing was changed.")
        return FAILED
    addresses, serial = forgotten
    document: dict[str, JSON] = {
        "format": "reconciler/forgotten",
        "version": 1,
        "stack": stack,
        "address": None,
        "addresses": addresses,
        "serial": serial,
    }
    lines = [Text(f"the state of {stack} is empty (serial {serial}), and its claims are released")]
    if addresses:
        lines.append(Text("these resources stay, and are no longer managed:"))
    _print(json_place, document, [*lines, *(Text(f"  {address}") for address in addresses)])
    return DONE


def _forget_resource(
    name: str | None,
    address: Address,
    yes: bool,
    lock_timeout: float,
    where: options.TargetOptions,
    json_place: Path | None,
) -> int:
    with stores.opened() as state:
        stack = _named(state, name, where)

        def approve() -> bool:
            return yes or _is_confirmed(Question.FORGET, address=str(address), stack=stack)

        serial = forget_resource(state, stack, address, _run(lock_timeout), approve)
    if serial is None:
        console(sys.stderr).print("Nothing was changed.")
        return FAILED
    document: dict[str, JSON] = {
        "format": "reconciler/forgotten",
        "version": 1,
        "stack": stack,
        "address": str(address),
    }
    line = f"{address} is no longer in the state of {stack} (serial {serial}); the resource itself stays"
    _print(json_place, {**document, "serial": serial}, [Text(line)])
    return DONE


def move(
    before: str, after: str, lock_timeout: float, where: options.TargetOptions, json_place: Path | None
) -> int:
    after = full_name(options.workspace(), after)
    if not re.fullmatch(r"[^/@]+@[^/]+/.+", after):
        raise click.UsageError(f"{after!r} is not the name of a stack, such as my-org@STAGING/my_pipeline")
    with stores.opened() as state:
        try:
            stack = _named(state, before, where)
            if stack == after:
                raise click.UsageError("FROM and TO are the same")
        except (UserError, click.UsageError):
            if (unfinished := unfinished_move(state, before, after)) is None:
                raise
            stack = unfinished
        move_stack(state, stack, after, _run(lock_timeout))
    document: dict[str, JSON] = {"format": "reconciler/moved", "version": 1, "from": stack, "to": after}
    _print(json_place, document, [Text(f"renamed {stack} to {after}; the resources themselves stay")])
    return DONE


def list_claims(rebuild: str | None, where: options.TargetOptions, json_place: Path | None) -> int:
    with stores.opened() as state:
        if rebuild is None:
            found = all_claims(state, environment=where.environment, organization=where.organization)
        else:
            found = [rebuilt_claims(state, rebuild)]
    document: dict[str, JSON] = {
        "format": "reconciler/claims",
        "version": 1,
        "scopes": [register_document(one) for one in found],
    }
    _print(json_place, document, claim_lines(found) or [Text("there are no claims")])
    return DONE


def unlock(name: str | None, where: options.TargetOptions, json_place: Path | None) -> int:
    with stores.opened() as state:
        # A full name also unlocks a stack without state, whose first run did not come to an end.
        is_full = name is not None and "@" in name.partition("/")[0]
        stack = full_name(options.workspace(), name) if name and is_full else _named(state, name, where)
        holder = state.store.unlock(stack)
    line = f"{stack} was locked by {holder}" if holder else f"{stack} was not locked"
    document: dict[str, JSON] = {"format": "reconciler/unlocked", "version": 1, "stack": stack}
    _print(json_place, {**document, "holder": asdict(holder) if holder else None}, [Text(line)])
    return DONE


_FORGET_NAMES = (
    "These are one stack under several names. Forget those that no files declare, and leave "
    "everything on the platform:\n  reconciler state forget --stack NAME"
)
_CLAIM_AGAIN = (
    "A run or a move of state was interrupted. The next apply of this stack claims its "
    "resources. After a move, you can also repeat it:  reconciler state move FROM TO"
)

_APPLY = (
    "One was renamed to the other on the platform, or a run was interrupted. The next apply of this "
    "stack corrects it."
)

_COPY = (
    "The latest is intact. To keep the intact ones without these, copy them to a new store and use that "
    "store:\n  reconciler state copy FROM TO"
)


def verify(name: str | None, where: options.TargetOptions, json_place: Path | None) -> int:
    with stores.opened() as state:
        stack = _named(state, name, where)
        document: dict[str, JSON] = {"format": "reconciler/verified", "version": 1, "stack": stack}
        try:
            snapshot = snapshot_of(state.store, stack)
            state.store.check_history(stack, ALL_SAVES)
        except CorruptStateError as problem:
            intact = intact_serials(state, stack)
            if json_place is not None:
                findings: dict[str, JSON] = {
                    "problems": list(problem.problems) or [problem.message],
                    "whole_serials": intact,
                }
                damage = {**document, "whole": False, "serial": None, **findings}
                write_document(json_place, json_text(damage))
            _print_damage(problem, intact)
            return FAILED
        intact, damaged = intact_serials(state, stack), damaged_serials(state, stack)
        beside = damage_beside(state, stack)
        names, claims = names_problems(state, snapshot), claims_problems(state, snapshot)
    ids = ids_problems(snapshot)
    if names or claims or ids or damaged or beside:
        findings = {
            "whole": False,
            "serial": snapshot.serial,
            "problems": [*names, *claims, *ids, *damaged, *(problem.message for problem in beside)],
            "whole_serials": intact,
        }
        if json_place is not None:
            write_document(json_place, json_text({**document, **findings}))
        for problems, summary, detail in (
            (names, f"{stack} is not the only one with its history", _FORGET_NAMES),
            (claims, f"resources of {stack} are claimed in the name of another stack", _CLAIM_AGAIN),
            (ids, f"two resources of {stack} are one object", _APPLY),
            (damaged, f"earlier states of {stack} are damaged", _COPY),
            *(([problem.hint], problem.message, "") for problem in beside),
        ):
            if problems:
                print_diagnostics(
                    [error(summary, "\n".join(filter(None, (*problems, detail))))], console(sys.stderr)
                )
        return FAILED
    findings = {"whole": True, "serial": snapshot.serial, "problems": [], "whole_serials": intact}
    lines = [
        Text(f"{stack} is intact: serial {snapshot.serial}, {plural(len(snapshot.resources), 'resource')}")
    ]
    if snapshot.intents:
        open_writes = plural(len(snapshot.intents), "write")
        lines.append(Text(f"an unfinished run left {open_writes} open; the next apply settles them"))
    _print(json_place, {**document, **findings}, lines)
    return DONE


def copy(source: str, target: str, json_place: Path | None) -> int:
    if source == target:
        raise click.UsageError("FROM and TO are the same")
    if json_place is not None and json_place != STDOUT:
        refuse_state(json_place, source, target)
    err = console(sys.stderr)
    with stores.opened(source) as old, stores.opened(target) as new:
        if not old.store.exists():
            detail = "Is the name right? The first save creates a store. Nothing was copied."
            raise UserError(error(f"{source} does not exist", detail))
        try:
            results = copied_stacks(old, new)
        except StateError as problem:
            places = {"SOURCE": source, "TARGET": target}
            for place, url in places.items():
                problem.hint = problem.hint.replace(f"={place} ", f"={shlex.quote(url)} ")
            raise
    for result in results:
        if result.damage:
            err.print(Text(f"{result.damage}: only its intact state versions were copied"))
        if result.left_out:
            serials = ", ".join(map(str, result.left_out))
            err.print(Text(f"{result.stack}: serials {serials} not copied: damaged or no longer kept"))
    lossy = any(result.left_out or result.damage for result in results)
    if lossy:
        err.print(Text(f"everything else is in {target}; keep {source} until you do not need it any more"))
    document: dict[str, JSON] = {
        "format": "reconciler/copied",
        "version": 1,
        "stacks": [asdict(result) for result in results],
    }
    lines = [Text(f"{result.stack}: {plural(len(result.serials), 'serial')} copied") for result in results]
    _print(json_place, document, lines or [Text(f"there is no state in {source}")])
    return FAILED if lossy else DONE


def _print(json_place: Path | None, document: JSON, lines: Iterable[Text]) -> None:
    if json_place is not None:
        write_document(json_place, json_text(document))
    if json_place != STDOUT:
        _print_lines(lines)


def _print_lines(lines: Iterable[Text]) -> None:
    out = console(sys.stdout)
    for line in lines:
        out.print(line)


def _named(state: State, name: str | None, where: options.TargetOptions) -> str:
    """The stack of this name, or of the pipeline of this name; None: in the current folder.

    Raises:
        UsageError: no name is given, and the current folder is no pipeline.
        UserError: there is no such stack, or there are several.
    """
    if name is None:
        options.pipeline_folder(None)  # raises
    return state.stack(name or ".", environment=where.environment, organization=where.organization)


def _run(lock_timeout: float) -> StateRun:
    return StateRun(options.command_line(), lock_timeout, _describe_holder)


def _describe_holder(holder: LockInfo) -> None:
    console(sys.stderr).print(f"waiting for {holder}")


def _is_confirmed(question: Question, **names: str) -> bool:
    """The answer at a terminal. Raises UserError without a terminal."""
    if not prompts.is_interactive():
        raise UserError(error("state forget needs your approval", "Without a terminal, use --yes."))
    return confirm(question, (), **names)


def _print_damage(problem: CorruptStateError, intact: Sequence[int]) -> None:
    earlier = f"Intact serials: {', '.join(map(str, intact)) or 'none'}."
    repair = (
        "To continue from the latest of them, copy the intact state to a new store and use that store:\n"
        "  reconciler state copy FROM TO"
        if intact
        else "Set RECONCILER_STATE to an empty store and apply: existing resources are found by their names."
    )
    hint = () if VERIFY_COMMAND in problem.hint else (problem.hint,)
    detail = "\n".join((*problem.problems, *hint, earlier, repair))
    print_diagnostics([error(problem.message, detail)], console(sys.stderr))
