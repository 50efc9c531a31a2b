"""Runs `reconciler state`."""

import re
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

import click
from msgspec.structs import asdict, replace
from rich.text import Text

from providers.json_value import JSON
from reconciler.cli import options, prompts, stores
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.prompts import Question, confirm
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED
from reconciler.core.values import Address, present_address
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
from state.changes import Changes, changes
from state.document import to_document
from state.errors import CorruptStateError, StaleStateError, UnreadableStateError
from state.lock_info import LockInfo
from state.register import scope_of
from state.snapshot import Snapshot
from state.stores.base import Store

MOST = 20  # latest serials that `state verify` checks


def list_stacks(json_place: Path | None) -> int:
    with stores.opened() as store:
        stacks = list(store.stacks())
    _print(json_place, {"format": "reconciler/stacks", "version": 1, "stacks": stacks}, map(Text, stacks))
    return DONE


def show(name: str | None, serial: int | None, json_place: Path | None) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        snapshot = _at(store, stack, serial) if serial else _present(store, stack)
    _print(json_place, to_document(snapshot), state_lines(snapshot))
    return DONE


def history(name: str | None, by_save: bool, limit: int, json_place: Path | None) -> int:
    from reconciler.engine.earlier_states import recorded_runs

    with stores.opened() as store:
        stack = _named(store, name)
        has_json = json_place is not None
        runs = list(islice(recorded_runs(store, stack), limit)) if has_json or not by_save else []
        entries = store.history(stack, limit) if has_json or by_save else []
        saves = [(entry, _changed(store, stack, entry.serial, entry.serial)) for entry in entries]
        if json_place is not None:
            write_document(json_place, json_text(history_document(stack, saves, runs)))
        if json_place != STDOUT and by_save:
            _print_lines(save_lines(saves))
        elif json_place != STDOUT:
            _print_lines(
                run_lines(
                    [(run, _changed(store, stack, run.saves[-1].serial, run.saves[0].serial)) for run in runs]
                )
            )
    return DONE


def diff(name: str | None, before: int, after: int, json_place: Path | None) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        changed = changes(_at(store, stack, before), _at(store, stack, after))
    _print(json_place, diff_document(stack, before, after, changed), change_lines(changed))
    return DONE


def forget(
    name: str | None,
    address: Address | None,
    stack: str | None,
    yes: bool,
    lock_timeout: float,
    json_place: Path | None,
) -> int:
    if stack is not None and name is None:
        return _forget_stack(stack, yes, lock_timeout, json_place)
    if name is not None and address is None and (given := options.as_address(name)) is not None:
        name, address = None, given
    if stack is not None or address is None:
        raise click.UsageError(
            "give a stack and the address of a resource: STACK ADDR; or only --stack STACK"
        )
    return _forget_resource(name, address, yes, lock_timeout, json_place)


def _forget_stack(name: str, yes: bool, lock_timeout: float, json_place: Path | None) -> int:
    from reconciler.cli.recorded_stacks import OtherWorkspaceError, recorded_stack
    from reconciler.engine.run_identity import VERSION, this_run
    from reconciler.pipeline.image_source import git_commit
    from state.claims import release_stack
    from state.state_writer import now

    err = console(sys.stderr)
    with stores.opened() as store:
        try:
            stack, _ = recorded_stack(store, name)
        except OtherWorkspaceError as problem:
            print_diagnostics(problem.diagnostics, err)
            return CONFLICT
        run = this_run(options.command_line(), git_commit(Path.cwd()))
        with store.lock(stack, run, timeout=lock_timeout, on_wait=_describe_holder) as lock:
            snapshot = _present(store, stack)
            addresses = sorted({*snapshot.resources, *snapshot.intents})
            serial = snapshot.serial
            if addresses:
                if not yes and not _is_confirmed(
                    Question.FORGET_ALL, addresses=", ".join(addresses), stack=stack
                ):
                    err.print("Nothing was changed.")
                    return FAILED
                empty = Snapshot.new(stack, snapshot.lineage)
                saved = store.save(
                    replace(empty, serial=serial, written_by=VERSION, written_at=now()),
                    expected_serial=serial,
                    lock=lock,
                )
                serial = saved.serial
            release_stack(store, stack)
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
    name: str | None, address: Address, yes: bool, lock_timeout: float, json_place: Path | None
) -> int:
    from reconciler.engine.run_identity import VERSION, this_run
    from reconciler.pipeline.image_source import git_commit
    from state.claims import release
    from state.state_writer import now

    err = console(sys.stderr)
    with stores.opened() as store:
        stack = _named(store, name)
        run = this_run(options.command_line(), git_commit(Path.cwd()))
        with store.lock(stack, run, timeout=lock_timeout, on_wait=_describe_holder) as lock:
            snapshot = _present(store, stack)
            kept = snapshot.without_resource(str(address)).without_intent(str(address))
            if kept == snapshot:
                addresses = "\n".join(sorted({*snapshot.resources, *snapshot.intents})) or "nothing"
                from reconciler.pipeline.suggestions import did_you_mean

                hint = did_you_mean(str(address), {*snapshot.resources, *snapshot.intents}).strip()
                detail = "\n".join(filter(None, [f"The state of {stack} has:", addresses, hint]))
                raise UserError(error(f"{address} is not in the state", detail))
            if not yes and not _is_confirmed(Question.FORGET, address=str(address), stack=stack):
                err.print("Nothing was changed.")
                return FAILED
            store.load_register(scope_of(stack))  # an error, if it cannot be read, before anything is saved
            saved = store.save(
                replace(kept, written_by=VERSION, written_at=now()),
                expected_serial=snapshot.serial,
                lock=lock,
            )
            release(store, stack, str(address))
    document: dict[str, JSON] = {
        "format": "reconciler/forgotten",
        "version": 1,
        "stack": stack,
        "address": str(address),
    }
    line = (
        f"{address} is no longer in the state of {stack} (serial {saved.serial}); the resource itself stays"
    )
    _print(json_place, {**document, "serial": saved.serial}, [Text(line)])
    return DONE


def move(before: str, after: str, lock_timeout: float, json_place: Path | None) -> int:
    from reconciler.engine.run_identity import this_run
    from reconciler.pipeline.image_source import git_commit
    from state.claims import move_state

    if not re.fullmatch(r"[^/@]+@[^/]+/.+", after):
        raise click.UsageError(f"{after!r} is not the name of a stack, such as my-org@STAGING/my_pipeline")
    run = this_run(options.command_line(), git_commit(Path.cwd()))
    with stores.opened() as store:
        stack = _named(store, before)
        if stack == after:
            raise click.UsageError("FROM and TO are the same")
        with (
            store.lock(stack, run, timeout=lock_timeout, on_wait=_describe_holder),
            store.lock(after, run, timeout=lock_timeout, on_wait=_describe_holder),
        ):
            move_state(store, stack, after)
    document: dict[str, JSON] = {"format": "reconciler/moved", "version": 1, "from": stack, "to": after}
    _print(json_place, document, [Text(f"renamed {stack} to {after}; the resources themselves stay")])
    return DONE


def list_claims(rebuild: str | None, json_place: Path | None) -> int:
    from providers.table import EXCLUSIVE
    from state.claims import Registers
    from state.register import to_document as register_document

    with stores.opened() as store:
        registers = Registers(store, EXCLUSIVE, present=present_address)
        if rebuild is not None:
            found = [registers.rebuild(rebuild)]
        else:
            scopes = dict.fromkeys(filter(None, map(scope_of, store.names())))
            found = [registers.read(scope) for scope in scopes]
    document: dict[str, JSON] = {
        "format": "reconciler/claims",
        "version": 1,
        "scopes": [register_document(one) for one in found],
    }
    _print(json_place, document, claim_lines(found) or [Text("there are no claims")])
    return DONE


def unlock(name: str | None, json_place: Path | None) -> int:
    with stores.opened() as store:
        # A full name also unlocks a stack without state, whose first run did not come to an end.
        stack = name if name is not None and "@" in name.partition("/")[0] else _named(store, name)
        holder = store.unlock(stack)
    line = f"{stack} was locked by {holder}" if holder else f"{stack} was not locked"
    document: dict[str, JSON] = {"format": "reconciler/unlocked", "version": 1, "stack": stack}
    _print(json_place, {**document, "holder": asdict(holder) if holder else None}, [Text(line)])
    return DONE


def verify(name: str | None, json_place: Path | None) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        document: dict[str, JSON] = {"format": "reconciler/verified", "version": 1, "stack": stack}
        try:
            snapshot = _present(store, stack)
        except CorruptStateError as problem:
            intact = _intact_serials(store, stack)
            if json_place is not None:
                findings: dict[str, JSON] = {
                    "problems": list(problem.problems) or [problem.message],
                    "whole_serials": intact,
                }
                damage = {**document, "whole": False, "serial": None, **findings}
                write_document(json_place, json_text(damage))
            _print_damage(problem, intact)
            return FAILED
        intact = _intact_serials(store, stack)
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
    from providers.table import EXCLUSIVE
    from state.copying import copy_states

    if source == target:
        raise click.UsageError("FROM and TO are the same")
    err = console(sys.stderr)
    with stores.opened(source) as old, stores.opened(target) as new:
        results = list(copy_states(old, new, EXCLUSIVE))
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


def _named(store: Store, name: str | None) -> str:
    """The stack of this name, or the only stack of the pipeline of this name; None: in the current folder.

    Raises:
        UsageError: no name is given, and the current folder is no pipeline.
        UserError: there is no such stack, or there are several.
    """
    from reconciler.cli.recorded_stacks import without_empty
    from reconciler.engine.missing_state import OTHER_STORE
    from reconciler.pipeline.suggestions import did_you_mean
    from reconciler.workspace.discovery import stacks_called

    if name is None:
        options.pipeline_folder(None)  # raises
    shown, name = name or Path.cwd().name, name or "."
    stacks = store.stacks()
    matching = [stack for stack in stacks if name in (stack, stack.partition("/")[2])]
    if stacks and not matching:
        names = stacks_called(name, Path.cwd(), options.workspace())
        matching = [stack for stack in stacks if stack.partition("/")[2] in names]
    matching = [*without_empty(store, matching)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise UserError(error(f"{shown} has several stacks", f"Use one of {', '.join(matching)}."))
    existing = f"There is state of {', '.join(stacks)}." if stacks else "The store is empty."
    hint = did_you_mean(shown, [known for stack in stacks for known in (stack, stack.partition("/")[2])])
    raise UserError(error(f"there is no state of {shown}", f"{existing}{hint} {OTHER_STORE}"))


def _present(store: Store, stack: str) -> Snapshot:
    """The state of a stack that was in the store. Raises StaleStateError if it was moved since."""
    snapshot = store.load(stack)
    if snapshot is None:
        message = f"another run moved the state of {stack} in the meantime"
        raise StaleStateError(message, hint="reconciler state list shows the present names")
    return snapshot


def _at(store: Store, stack: str, serial: int) -> Snapshot:
    """The state version with this serial. Raises UserError if it does not exist."""
    snapshot = store.load_at(stack, serial)
    if snapshot is None:
        saves = store.history(stack, 1)
        latest = f"The latest is {saves[0].serial}. " if saves else ""
        raise UserError(
            error(f"{stack} has no serial {serial}", f"{latest}See:  reconciler state history {stack}")
        )
    return snapshot


def _readable(store: Store, stack: str, serial: int) -> Snapshot | None:
    """The state version with this serial; None if it cannot be read or is no longer kept."""
    try:
        return store.load_at(stack, serial)
    except UnreadableStateError:
        return None


def _intact_serials(store: Store, stack: str) -> list[int]:
    """The intact ones among the latest serials, latest first."""
    try:
        saves = store.history(stack, MOST)
    except CorruptStateError:
        return []
    return [save.serial for save in saves if _readable(store, stack, save.serial) is not None]


def _changed(store: Store, stack: str, first: int, last: int) -> Changes | None:
    """The changes of the saves from first to last; None if one side is damaged or no longer kept."""
    after = _readable(store, stack, last)
    if after is None:
        return None
    before = _readable(store, stack, first - 1) if first > 1 else Snapshot.new(stack, after.lineage)
    return changes(before, after) if before else None


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
    detail = "\n".join((*problem.problems, earlier, repair))
    print_diagnostics([error(problem.message, detail)], console(sys.stderr))
