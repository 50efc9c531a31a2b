"""The story of `status`: what each pipeline is in each environment, from the records and the far ends.

Reads only. What cannot be asked says so in its row; no row hides another one.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit, Note
from reconciler.core.plan import Stack
from reconciler.credentials.target import Target
from reconciler.drift.check import check, last_apply
from reconciler.drift.findings import LastApply, Report
from reconciler.engine.requests import ReadOptions
from reconciler.engine.rollback import image_in, pipeline_at
from reconciler.engine.session import Session, session, stack_of
from reconciler.engine.validate import validate
from reconciler.workspace.discovery import names_in
from state.errors import CorruptStateError, StateError
from state.snapshot import Snapshot
from state.stores.base import Store

IN_SYNC = "in sync"
NO_LOGIN = "no login"
DAMAGED = "damaged state"


@dataclass(frozen=True, slots=True)
class Row:
    """One pipeline in one environment.

    Attributes:
        pipeline: its name.
        where: `my-org@STAGING`.
        version, digest: of the image that was applied last; "" when there is no record.
        applied: when and by whom; None when there is no record.
        drift: "in sync", what differs, or why nobody knows; "" when it was not asked for.
        checked: whether the far ends answered, all of them.
    """

    pipeline: str
    where: str
    version: str = ""
    digest: str = ""
    applied: LastApply | None = None
    drift: str = ""
    checked: bool = False


def status(
    folders: Sequence[Path],
    targets: Iterable[Target],
    store: Store,
    read_options: ReadOptions,
    *,
    now: datetime,
    emit: Emit,
    live: bool,
    failed: Callable[[UserError], None],
) -> Iterator[Row]:
    """A row for each pipeline in each environment that it is recorded in, or that is the first target.

    Args:
        targets: that we are logged in to; the one in use comes first.
        live: ask the far ends, too, and not the records alone.
        failed: gets, once for each folder, a config.toml that has errors, and each damaged record.

    Raises:
        state.errors.StateError: the records cannot be read.
    """
    known = store.stacks()  # first of all: where nothing can be read there is no row
    names = {name for folder in folders for name in names_in(folder)}
    seen: set[str] = set()

    def load(stack: str) -> Snapshot | Row | None:
        """What is recorded; a row that says so when it is damaged, which no other row has to do with."""
        try:
            return store.load(stack)
        except CorruptStateError as problem:
            failed(UserError(error(problem.message, problem.hint)))
            where, _, name = stack.partition("/")
            return Row(name, where, drift=DAMAGED)

    broken: set[Path] = set()
    for number, target in enumerate(targets):
        here = []
        for folder in folders:
            try:
                stack = stack_of(target, pipeline_at(folder, target.environment.name))
            except UserError as problem:
                if folder not in broken:
                    failed(problem)
                broken.add(folder)
                continue
            record = load(str(stack))
            if isinstance(record, Row):
                yield record
                seen.add(str(stack))
            elif record is not None or number == 0:
                here.append((folder, stack, record))
                seen.add(str(stack))
        if not live:
            yield from (_row(stack, record, store) for _, stack, record in here)
        elif here:
            yield from _checked(target, here, store, read_options, now, emit)
    for text in known:
        where, _, name = text.partition("/")
        if text in seen or name not in names:
            continue
        record = load(text)
        if isinstance(record, Row):
            yield record
        else:
            yield replace(_recorded(name, where, record, last_apply(store, text)), drift=NO_LOGIN)


def _checked(
    target: Target,
    stacks: Iterable[tuple[Path, Stack, Snapshot | None]],
    store: Store,
    read_options: ReadOptions,
    now: datetime,
    emit: Emit,
) -> Iterator[Row]:
    """The rows of one environment, with what differs there."""
    read_options = replace(read_options, environment=target.environment.name)
    stacks = list(stacks)
    try:
        with session(target, store, emit, threading.Event()) as opened:
            for folder, stack, record in stacks:
                emit(Note(f"reading {stack}"))
                told, checked = _drift(opened, folder, read_options, now)
                yield replace(_row(stack, record, store), drift=told, checked=checked)
    except UserError as problem:
        why = problem.diagnostics[0].summary
        yield from (replace(_row(stack, record, store), drift=why) for _, stack, record in stacks)


def _drift(opened: Session, folder: Path, read_options: ReadOptions, now: datetime) -> tuple[str, bool]:
    """What differs, in a few words, and whether all of it was asked."""
    try:
        report = check(opened, validate(folder, read_options), first_seen={}, now=now)
    except UserError as problem:
        return problem.diagnostics[0].summary, False
    except StateError as problem:
        return problem.message, False
    told = [f"{count} {cls}" for cls, count in Report(now, (report,)).counts.items() if count]
    unread = ["not all could be read"] if report.unchecked else []
    return ", ".join([*told, *unread]) or IN_SYNC, not unread


def _row(stack: Stack, record: Snapshot | None, store: Store) -> Row:
    where = str(stack).partition("/")[0]
    return _recorded(stack.pipeline, where, record, last_apply(store, str(stack)) if record else None)


def _recorded(pipeline: str, where: str, record: Snapshot | None, applied: LastApply | None) -> Row:
    image = image_in(record) if record else None
    if image is None:
        return Row(pipeline, where, applied=applied)
    digest = str(image.outputs.get("digest") or "")
    return Row(pipeline, where, str(image.inputs.get("version") or ""), digest, applied)
