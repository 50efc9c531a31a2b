"""`status`: each pipeline in each environment, from state and, unless offline, the live objects.

Reads only. A row that cannot be read says why, and hides no other row.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from providers.reasons import Reason
from reconciler.core.diagnostics import UserError, error
from reconciler.core.events import Emit, Event, Note, Notice
from reconciler.core.plan import Stack
from reconciler.credentials.target import Target
from reconciler.drift.check import check, last_apply
from reconciler.drift.findings import DriftState, LastApply, Report
from reconciler.engine.requests import ReadOptions
from reconciler.engine.rollback import image_in, pipeline_at
from reconciler.engine.session import Session, session, stack_of, with_older_names
from reconciler.engine.validate import validate
from reconciler.workspace.discovery import stacks_in
from state.errors import AmbiguousStateError, CorruptStateError, StateError
from state.renaming import RenamingStore
from state.snapshot import Snapshot
from state.stores.base import Store

_NOT_REQUESTED = Reason(DriftState.NOT_REQUESTED)
_READ = (DriftState.IN_SYNC, DriftState.DIFFERENT)


@dataclass(frozen=True, slots=True)
class Row:
    """One pipeline in one environment.

    Attributes:
        pipeline: its name.
        where: `my-org@STAGING`.
        version, digest: of the image in the state; "" if there is none.
        applied: the last apply; None if there is no state.
        drift: a `DriftState` with its details.
    """

    pipeline: str
    where: str
    version: str = ""
    digest: str = ""
    applied: LastApply | None = None
    drift: Reason = _NOT_REQUESTED

    @property
    def checked(self) -> bool:
        """Whether every live object could be read."""
        return self.drift.code in _READ


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
    """Yield a row for each pipeline in each environment that has its state, and in the first target.

    Args:
        targets: environments with a login; the one in use comes first.
        live: also read the live objects.
        failed: gets each config.toml that has errors, once per folder, and each damaged state.

    Raises:
        state.errors.StateError: the store cannot be read.
    """
    emit_once = _once(emit)
    stored = store.stacks()  # raises before the first row
    names = {name for folder in folders for name in stacks_in(folder)}
    listed: set[str] = set()

    def load(store: Store, stack: str) -> Snapshot | Row | None:
        """The state of a stack; its row if the state is damaged, so that other rows still appear."""
        try:
            return store.load(stack)
        except CorruptStateError as problem:
            failed(UserError(error(problem.message, problem.hint)))
            where, _, name = stack.partition("/")
            return Row(name, where, drift=Reason(DriftState.DAMAGED_STATE))

    broken: set[Path] = set()
    for number, target in enumerate(targets):
        here = []
        with with_older_names(target, store, emit_once) if live else nullcontext(store) as renaming:
            older: Store = renaming
            for folder in folders:
                try:
                    stack = stack_of(
                        target, pipeline_at(folder, target.environment.name, read_options.shared)
                    )
                except UserError as problem:
                    if folder not in broken:
                        failed(problem)
                    broken.add(folder)
                    continue
                reads = older
                try:
                    state = load(reads, str(stack))
                except (UserError, AmbiguousStateError) as problem:
                    reads = store  # the live read repeats the error, for the row
                    older = older if isinstance(problem, AmbiguousStateError) else store
                    state = load(reads, str(stack))
                if isinstance(state, Row):
                    yield state
                    listed.add(str(stack))
                elif state is not None or number == 0:
                    here.append((folder, stack, _row(stack, state, reads)))
                    listed.add(str(stack))
                    if isinstance(reads, RenamingStore):
                        listed.add(reads.stored_name(str(stack)))
        if not live:
            yield from (row for _, _, row in here)
        elif here:
            yield from _live_rows(target, here, store, read_options, now, emit_once)
    for text in stored:
        where, _, name = text.partition("/")
        if text in listed or name not in names:
            continue
        state = load(store, text)
        if isinstance(state, Row):
            yield state
        else:
            row = _row_of_state(name, where, state, last_apply(store, text))
            yield replace(row, drift=Reason(DriftState.NO_LOGIN))


def _once(emit: Emit) -> Emit:
    """Passes events on, and each notice once: a session finds the same older names of state again."""
    passed: set[str] = set()

    def emit_once(event: Event) -> None:
        if isinstance(event, Notice):
            if event.text in passed:
                return
            passed.add(event.text)
        emit(event)

    return emit_once


def _live_rows(
    target: Target,
    rows: Sequence[tuple[Path, Stack, Row]],
    store: Store,
    read_options: ReadOptions,
    now: datetime,
    emit: Emit,
) -> Iterator[Row]:
    """The rows of one environment, with their drift."""
    read_options = replace(read_options, environment=target.environment.name)
    try:
        with session(target, store, emit, threading.Event()) as opened:
            for folder, stack, row in rows:
                emit(Note(f"reading {stack}"))
                drift = _drift(opened, folder, read_options, now)
                yield replace(row, drift=drift)
    except UserError as problem:
        drift = _unreadable(problem.diagnostics[0].summary)
        yield from (replace(row, drift=drift) for _, _, row in rows)


def _drift(opened: Session, folder: Path, read_options: ReadOptions, now: datetime) -> Reason:
    try:
        report = check(opened, validate(folder, read_options), first_seen={}, now=now)
    except UserError as problem:
        return _unreadable(problem.diagnostics[0].summary)
    except StateError as problem:
        return _unreadable(problem.message)
    counts = {cls: count for cls, count in Report(now, (report,)).counts.items() if count}
    if report.unchecked:
        return Reason(DriftState.PARTLY_READ, {"counts": counts})
    return Reason(DriftState.DIFFERENT, {"counts": counts}) if counts else Reason(DriftState.IN_SYNC)


def _unreadable(problem: str) -> Reason:
    return Reason(DriftState.UNREADABLE, {"problem": problem})


def _row(stack: Stack, state: Snapshot | None, store: Store) -> Row:
    where = str(stack).partition("/")[0]
    return _row_of_state(stack.pipeline, where, state, last_apply(store, str(stack)) if state else None)


def _row_of_state(pipeline: str, where: str, state: Snapshot | None, applied: LastApply | None) -> Row:
    image = image_in(state) if state else None
    if image is None:
        return Row(pipeline, where, applied=applied)
    digest = str(image.outputs.get("digest") or "")
    return Row(pipeline, where, str(image.inputs.get("version") or ""), digest, applied)
