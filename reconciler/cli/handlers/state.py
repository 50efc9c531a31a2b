"""What `reconciler state` does."""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path

import click
from rich.text import Text

from reconciler.cli import options, prompts, stores
from reconciler.cli.documents import print_document
from reconciler.cli.prompts import confirm
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.core.values import JSON, Address
from reconciler.views.counting import plural
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.history import (
    change_lines,
    diff_document,
    history_document,
    record_lines,
    run_lines,
    save_lines,
)
from reconciler.views.terminal.messages import print_diagnostics
from state.changes import Changes, changes
from state.document import to_document
from state.errors import CorruptStateError
from state.lock_info import LockInfo
from state.snapshot import Snapshot
from state.stores.base import Store, saves_by_run

MOST = 20  # runs or saves of the history that are shown, unless asked for more


def list_stacks(as_json: bool) -> int:
    with stores.opened() as store:
        stacks = list(store.stacks())
    _print(as_json, {"format": "reconciler/stacks", "version": 1, "stacks": stacks}, map(Text, stacks))
    return DONE


def show(name: str, serial: int | None, as_json: bool) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        snapshot = _at(store, stack, serial) if serial else store.load(stack)
    assert snapshot is not None
    _print(as_json, to_document(snapshot), record_lines(snapshot))
    return DONE


def history(name: str, by_save: bool, limit: int, as_json: bool) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        if as_json or by_save:
            entries = store.history(stack, limit)
            saves = [(entry, _changed(store, stack, entry.serial, entry.serial)) for entry in entries]
            _print(as_json, history_document(stack, saves), save_lines(saves))
        else:
            latest = islice(saves_by_run(store, stack), limit)
            _print_lines(
                run_lines([(run, _changed(store, stack, run[-1].serial, run[0].serial)) for run in latest])
            )
    return DONE


def diff(name: str, before: int, after: int, as_json: bool) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        found = changes(_at(store, stack, before), _at(store, stack, after))
    _print(as_json, diff_document(stack, before, after, found), change_lines(found))
    return DONE


def forget(name: str, address: Address, yes: bool, lock_timeout: float, as_json: bool) -> int:
    from reconciler.engine.run_identity import VERSION, this_run
    from reconciler.pipeline.image_source import git_commit
    from state.state_writer import now

    err = console(sys.stderr)
    with stores.opened() as store:
        stack = _named(store, name)
        run = this_run(options.command_line(), git_commit(Path.cwd()))
        with store.lock(stack, run, timeout=lock_timeout, on_wait=_describe_holder) as lock:
            record = store.load(stack)
            assert record is not None
            kept = record.without_resource(str(address)).without_intent(str(address))
            if kept == record:
                there = "\n".join(sorted({*record.resources, *record.intents})) or "nothing"
                raise UserError(error(f"nothing is recorded of {address}", f"Recorded of {stack}:\n{there}"))
            if not yes and not _confirmed(f"Forget {address} of {stack}?", "forget"):
                err.print("Nothing was changed.")
                return FAILED
            saved = store.save(
                replace(kept, written_by=VERSION, written_at=now()), expected_serial=record.serial, lock=lock
            )
    told = {"format": "reconciler/forgotten", "version": 1, "stack": stack, "address": str(address)}
    line = f"forgot {address} of {stack}: serial {saved.serial}; what exists stays as it is"
    _print(as_json, {**told, "serial": saved.serial}, [Text(line)])
    return DONE


def move(before: str, after: str, lock_timeout: float, as_json: bool) -> int:
    from reconciler.engine.run_identity import this_run
    from reconciler.pipeline.image_source import git_commit

    if not re.fullmatch(r"[^/@]+@[^/]+/.+", after):
        raise click.UsageError(f"{after!r} is not the name of a stack: my-org@STAGING/my_pipeline")
    run = this_run(options.command_line(), git_commit(Path.cwd()))
    with stores.opened() as store:
        stack = _named(store, before)
        if stack == after:
            raise click.UsageError("FROM and TO are the same")
        with (
            store.lock(stack, run, timeout=lock_timeout, on_wait=_describe_holder),
            store.lock(after, run, timeout=lock_timeout, on_wait=_describe_holder),
        ):
            store.move(stack, after)
    document = {"format": "reconciler/moved", "version": 1, "from": stack, "to": after}
    _print(as_json, document, [Text(f"{stack} is {after} now; what exists stays as it is")])
    return DONE


def unlock(stack: str, as_json: bool) -> int:
    with stores.opened() as store:
        holder = store.unlock(stack)
    told = f"{stack} was locked by {holder}" if holder else f"{stack} was not locked"
    document = {"format": "reconciler/unlocked", "version": 1, "stack": stack}
    _print(as_json, {**document, "holder": asdict(holder) if holder else None}, [Text(told)])
    return DONE


def verify(name: str, as_json: bool) -> int:
    with stores.opened() as store:
        stack = _named(store, name)
        document = {"format": "reconciler/verified", "version": 1, "stack": stack}
        try:
            snapshot = store.load(stack)
        except CorruptStateError as problem:
            whole = _readable_serials(store, stack)
            if as_json:
                told = {"problems": list(problem.problems) or [problem.message], "whole_serials": whole}
                print_document(json_text({**document, "whole": False, "serial": None, **told}))
            _print_damage(problem, whole)
            return FAILED
        whole = _readable_serials(store, stack)
    assert snapshot is not None
    told = {"whole": True, "serial": snapshot.serial, "problems": [], "whole_serials": whole}
    lines = [
        Text(f"{stack} is whole: serial {snapshot.serial}, {plural(len(snapshot.resources), 'resource')}")
    ]
    if snapshot.intents:
        open_writes = plural(len(snapshot.intents), "write")
        lines.append(Text(f"an unfinished run left {open_writes} open; the next apply settles that"))
    _print(as_json, {**document, **told}, lines)
    return DONE


def copy(source: str, target: str, as_json: bool) -> int:
    from state.copying import copy_states

    if source == target:
        raise click.UsageError("FROM and TO are the same")
    err = console(sys.stderr)
    with stores.opened(source) as old, stores.opened(target) as new:
        copied = list(copy_states(old, new))
    for done in copied:
        if done.damage:
            err.print(Text(f"{done.damage}: what is whole of it was copied"))
        if done.left_out:
            lost = ", ".join(map(str, done.left_out))
            err.print(Text(f"left out of {done.stack}: serials {lost}, damaged or no longer kept"))
    lossy = any(done.left_out or done.damage for done in copied)
    if lossy:
        err.print(Text(f"everything else is in {target}; keep {source} until you need nothing of it"))
    document = {"format": "reconciler/copied", "version": 1, "stacks": [asdict(done) for done in copied]}
    lines = [Text(f"{done.stack}: {plural(len(done.serials), 'serial')} copied") for done in copied]
    _print(as_json, document, lines or [Text(f"there are no records in {source}")])
    return FAILED if lossy else DONE


def _print(as_json: bool, document: JSON, lines: Iterable[Text]) -> None:
    if as_json:
        print_document(json_text(document))
    else:
        _print_lines(lines)


def _print_lines(lines: Iterable[Text]) -> None:
    out = console(sys.stdout)
    for line in lines:
        out.print(line)


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


def _at(store: Store, stack: str, serial: int) -> Snapshot:
    """The record at that serial. Raises UserError when it is not there."""
    snapshot = store.load_at(stack, serial)
    if snapshot is None:
        saves = store.history(stack, 1)
        told = f"The latest is {saves[0].serial}; " if saves else ""
        raise UserError(
            error(f"{stack} has no serial {serial}", f"{told}see reconciler state history {stack}")
        )
    return snapshot


def _readable(store: Store, stack: str, serial: int) -> Snapshot | None:
    """The record at that serial, or None when it is damaged or no longer kept."""
    try:
        return store.load_at(stack, serial)
    except CorruptStateError:
        return None


def _readable_serials(store: Store, stack: str) -> list[int]:
    """Of the latest ones, those that can be read, latest first."""
    try:
        saves = store.history(stack, MOST)
    except CorruptStateError:
        return []
    return [save.serial for save in saves if _readable(store, stack, save.serial) is not None]


def _changed(store: Store, stack: str, first: int, last: int) -> Changes | None:
    """What the saves from first to last changed; None when one side of it is not there to be compared."""
    after = _readable(store, stack, last)
    if after is None:
        return None
    before = _readable(store, stack, first - 1) if first > 1 else Snapshot.new(stack, after.lineage)
    return changes(before, after) if before else None


def _describe_holder(holder: LockInfo) -> None:
    console(sys.stderr).print(f"waiting for {holder}")


def _confirmed(question: str, what: str) -> bool:
    """The answer at a terminal. Raises UserError where nobody can be asked."""
    if not prompts.someone_watches():
        raise UserError(error(f"nobody can be asked whether to {what} this", "Say so with --yes."))
    return confirm(question, default=False)


def _print_damage(problem: CorruptStateError, whole: Sequence[int]) -> None:
    earlier = f"Serials that are whole: {', '.join(map(str, whole)) or 'none'}."
    repair = (
        "To go on from the latest of them, copy what is whole to a new place and use that from now on:\n"
        "  reconciler state copy FROM TO"
        if whole
        else "Name an empty place with RECONCILER_STATE and apply: what exists is taken over by its name."
    )
    told = "\n".join((*problem.problems, earlier, repair))
    print_diagnostics([error(problem.message, told)], console(sys.stderr))
