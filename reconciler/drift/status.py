"""`status`: each pipeline in each environment, from state and, unless offline, the live objects.

Reads only. A row that cannot be read has the reason, and hides no other row.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from providers.json_value import JSON
from providers.reasons import Reason
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.events import Emit, Event, Notice, PipelineEvent
from reconciler.core.plan import Stack, command_for
from reconciler.core.platforms import environment_of
from reconciler.core.values import IMAGE_FIELDS, NoValue, image_address, present_address
from reconciler.credentials.target import Target
from reconciler.drift.check import last_apply, report_of
from reconciler.drift.findings import DriftState, LastApply, Report, StackReport
from reconciler.drift.orphans import Orphan
from reconciler.engine.chunks import Problem, SignIn
from reconciler.engine.inspection import read_each, shared_stacks
from reconciler.engine.local_workers import local
from reconciler.engine.missing_state import (
    emptied_note,
    is_emptied,
    is_empty,
    no_state_note,
    not_applied_note,
)
from reconciler.engine.plan import PlanResult, make_plan
from reconciler.engine.recorded import image_in, pipeline_at
from reconciler.engine.renames import WorkspaceFiles
from reconciler.engine.requests import PlanRequest, ReadOptions
from reconciler.engine.session import Session, stack_of, with_older_names
from reconciler.engine.validate import ValidatedPipeline
from reconciler.engine.workers import OpenWorkers
from reconciler.pipeline.channels import followed_environment
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.shared import SharedSettings
from reconciler.system.files import display_path
from reconciler.workspace.config_file import DeclaredStacks, declaration
from reconciler.workspace.discovery import stacks_below
from reconciler.workspace.documents import documents_below, environments_of
from state.errors import AmbiguousStateError, NewerFormatError, StateError, UnreadableStateError
from state.register import scope_of
from state.renaming import RenamingStore
from state.snapshot import Snapshot
from state.stores.base import Store

_NOT_REQUESTED = Reason(DriftState.NOT_REQUESTED)
_NO_LOGIN = Reason(DriftState.NO_LOGIN)
_READ = (
    DriftState.IN_SYNC,
    DriftState.IGNORED,
    DriftState.IGNORED_IMAGE,
    DriftState.DIFFERENT,
    DriftState.FOLLOWS,
    DriftState.NOT_RECORDED,
    DriftState.NOT_APPLIED,
    DriftState.ORPHANED,  # the state is all there is to read
)
_STATE_UNREAD = (DriftState.DAMAGED_STATE, DriftState.NEWER_STATE)


class Row(Struct, frozen=True):
    """One pipeline in one environment.

    Attributes:
        pipeline: metadata.name.
        stack: the name of the stack in its environment.
        folder: the pipeline's folder.
        where: `my-org@STAGING`.
        version, digest: of the image that the last apply left; "" if there is none.
        files_version: the version in config.toml; "" if no folder of the environment was read.
        running_version, running_digest: of the image behind the tag that the platform has; "" if unknown.
        follows: the environment whose channel this one shares on purpose; "" for none.
        is_emptied: whether the state has had resources and has none now.
        applied: the last apply; None if there is no state.
        drift: a `DriftState` with its details.
    """

    pipeline: str
    stack: str
    folder: str
    where: str
    version: str = ""
    digest: str = ""
    applied: LastApply | None = None
    drift: Reason = _NOT_REQUESTED
    files_version: str = ""
    running_version: str = ""
    running_digest: str = ""
    follows: str = ""
    is_emptied: bool = False

    @property
    def checked(self) -> bool:
        """Whether every live object could be read."""
        return self.drift.code in _READ

    @property
    def is_missing(self) -> bool:
        """Whether there is no state, or an empty one."""
        return self.applied is None and self.state_is_readable

    @property
    def state_is_readable(self) -> bool:
        return self.drift.code not in _STATE_UNREAD

    @property
    def agrees(self) -> bool:
        """Whether the platform runs the image of the last apply, and the files have its version."""
        return (
            self.running_digest != ""
            and self.running_digest == self.digest
            and self.files_version == self.version
        )


def status(
    folders: Sequence[Path],
    targets: Iterable[Target],
    store: Store,
    read_options: ReadOptions,
    *,
    now: datetime,
    emit: Emit,
    sign_in: Callable[[Target], SignIn] | None,
    failed: Callable[[UserError], None],
    open_workers: OpenWorkers = local,
    scopes: Collection[str] | None = None,
) -> Iterator[Row]:
    """Yield a row for each pipeline in each environment that has its state, and in the first target.

    Args:
        targets: environments with a login; the one in use comes first.
        sign_in: opens sessions, to read the live objects, too; None to read files and state only.
        failed: gets each config.toml that has errors, once per folder, and each state that cannot be read.
        scopes: those that get a row for state without a login; None for all.

    Raises:
        state.errors.StateError: the store cannot be read.
    """
    emit_once = _once(emit)
    stored = store.stacks()  # raises before the first row
    failed_once = _once_per_folder(failed)
    listed: set[str] = set()
    used: list[Target] = []
    for number, target in enumerate(targets):
        used.append(target)
        reads = replace(read_options, environment=target.environment.name)
        outcomes: Mapping[Path, _LiveRow | Problem | None] = {}
        if sign_in is not None and folders and number == 0:  # elsewhere, only those with state are read
            outcomes = _read_live(folders, reads, sign_in(target), now, emit_once, open_workers)
        complete = {folder: live for folder, live in outcomes.items() if isinstance(live, _LiveRow)}
        listed |= {live.stored_name for live in complete.values()}
        rest = [folder for folder in folders if folder not in complete]
        here = {folder: live.row for folder, live in complete.items()}
        stored_rows = _stored_rows(
            target,
            [*_pipelines(rest, target, read_options.shared, failed_once)],
            store,
            listed,
            live=sign_in is not None,
            emit=emit_once,
            failed=failed,
        )
        for pipeline, row, has_state in stored_rows:
            if not row.state_is_readable:
                yield row
            elif has_state or number == 0:
                here[pipeline.folder] = row
        unread = [folder for folder in here if folder not in complete]
        if sign_in is not None and unread and number > 0:
            outcomes = _read_live(unread, reads, sign_in(target), now, emit_once, open_workers)
        shared = shared_stacks({folder: row.stack for folder, row in here.items()})
        for folder in folders:
            if folder in here:
                yield _with_outcome(here[folder], shared.get(folder, outcomes.get(folder)))
    without_login = [
        stack for stack in stored if stack not in listed and (scopes is None or scope_of(stack) in scopes)
    ]
    if without_login:
        trainings = _trainings(folders, used, read_options.shared)
        names = read_options.shared.names
        yield from _rows_without_login(folders, without_login, trainings, names, store, failed)


def missing_state_notes(rows: Sequence[Row], targets: Sequence[Target]) -> list[Diagnostic]:
    """A note for each environment with pipelines that have no state, or an empty one."""
    notes = []
    for target in targets:
        missing: dict[tuple[bool, bool], list[Stack]] = {}
        for row in rows:
            if row.is_missing and row.where == target.scope:
                stack = Stack(target.organization, target.environment.name, target.host, row.stack)
                exists = row.drift.code is not DriftState.NOT_APPLIED
                missing.setdefault((exists, row.is_emptied), []).append(stack)
        for (exists, emptied), stacks in missing.items():
            command = command_for(stacks, "apply")
            if not exists:
                notes.append(not_applied_note(stacks, command, destroyed=emptied))
            else:
                notes.append((emptied_note if emptied else no_state_note)(stacks, command))
    return notes


def orphan_row(orphan: Orphan) -> Row:
    """The row of a stack that no folder declares."""
    drift = Reason(DriftState.ORPHANED, {"declared": orphan.declared} if orphan.declared else {})
    row = Row(orphan.name, orphan.name, orphan.folder, orphan.scope, drift=drift)
    if orphan.problem is not None:
        return with_unread_state(row, orphan.problem)
    return with_state(row, orphan.state, orphan.last_apply)


def _pipelines(
    folders: Iterable[Path],
    target: Target,
    shared: SharedSettings,
    failed: Callable[[Path, UserError], None],
) -> Iterator[Pipeline]:
    """The pipelines that have a stack in this target."""
    for folder in folders:
        try:
            pipeline = pipeline_at(folder, target.environment.name, shared)
            stack_of(target, pipeline)
        except UserError as problem:
            failed(folder, problem)
        else:
            yield pipeline


def _trainings(
    folders: Iterable[Path], targets: Iterable[Target], shared: SharedSettings
) -> dict[tuple[str, str], Stack]:
    """(metadata.name, address of the image) -> the stack of the training."""
    return {
        (pipeline.name, str(image_address(pipeline.config.docker.image_name))): stack_of(target, pipeline)
        for target in targets
        for pipeline in _pipelines(folders, target, shared, lambda *_: None)
        if pipeline.is_training
    }


def _stored_rows(
    target: Target,
    pipelines: Sequence[Pipeline],
    store: Store,
    listed: set[str],
    *,
    live: bool,
    emit: Emit,
    failed: Callable[[UserError], None],
) -> Iterator[tuple[Pipeline, Row, bool]]:
    """Each pipeline with its row from state, and whether it has state.

    Args:
        listed: gets the name in the store of each state that was read.
    """
    with (
        with_older_names(
            target, pipelines, store, emit, WorkspaceFiles(stacks_below, documents_below, environments_of)
        )
        if live
        else nullcontext(store) as renaming
    ):
        older: Store = renaming
        for pipeline in pipelines:
            stack, reads = stack_of(target, pipeline), older
            row = _row_of(stack, pipeline)
            try:
                state = _load(reads, str(stack), row, failed)
            except (UserError, AmbiguousStateError) as problem:
                reads = store  # the live read repeats the error, for the row
                older = older if isinstance(problem, AmbiguousStateError) else store
                state = _load(reads, str(stack), row, failed)
            if isinstance(state, Row):
                listed.add(str(stack))
                yield pipeline, state, True
                continue
            if state is not None:
                listed.add(reads.stored_name(str(stack)) if isinstance(reads, RenamingStore) else str(stack))
                row = _with_state(row, state, reads, str(stack), failed)
            yield pipeline, row, state is not None


def _rows_without_login(
    folders: Iterable[Path],
    stored: Iterable[str],
    trainings: Mapping[tuple[str, str], Stack],
    names: Mapping[str, str],
    store: Store,
    failed: Callable[[UserError], None],
) -> Iterator[Row]:
    """The rows of state in environments without a login.

    An earlier version named the stack of a training by metadata.name; the image in its state identifies it.

    Args:
        stored: the stacks in the store that have no row yet.
        trainings: (metadata.name, address of the image) -> the stack of the training.
        names: scope -> the declared environment there.
    """
    declared = DeclaredStacks({folder: declaration(folder) for folder in folders})
    shared_names = {name for name, _ in trainings}
    for text in stored:
        where, _, name = text.partition("/")
        found_in = declared.folders(name, environment_of(where, names))
        folder = display_path(found_in[0]) if found_in else ""
        if not folder and name not in shared_names:
            continue
        row = Row(name, name, folder, where)
        state = _load(store, text, row, failed)
        if isinstance(state, Row):
            yield state
            continue
        # Destroyed or forgotten, and nothing can be done without a login.
        if state is None or is_empty(state):
            continue
        if not folder:
            image = image_in(state)
            training = trainings.get((name, present_address(image.address))) if image else None
            if training is None:
                continue
            row = replace(row, folder=training.folder)
        found = _with_state(row, state, store, text, failed)
        yield replace(found, drift=_NO_LOGIN) if found.state_is_readable else found


def _load(store: Store, text: str, row: Row, failed: Callable[[UserError], None]) -> Snapshot | Row | None:
    """The state of a stack; its row if it cannot be read, so that other rows still appear."""
    try:
        return store.load(text)
    except UnreadableStateError as problem:
        failed(UserError(error(problem.message, problem.hint)))
        return with_unread_state(row, problem)


def _once_per_folder(failed: Callable[[UserError], None]) -> Callable[[Path, UserError], None]:
    """Passes the first problem of each folder on: other environments read the same file again."""
    broken: set[Path] = set()

    def failed_once(folder: Path, problem: UserError) -> None:
        if folder not in broken:
            failed(problem)
        broken.add(folder)

    return failed_once


def _once(emit: Emit) -> Emit:
    """Passes events on, and each notice once: a session finds the same older names of state again."""
    passed: set[str] = set()

    def emit_once(event: Event) -> None:
        inner = event.event if isinstance(event, PipelineEvent) else event
        if isinstance(inner, Notice):
            if inner.text in passed:
                return
            passed.add(inner.text)
        emit(event)

    return emit_once


class _LiveRow(Struct, frozen=True):
    """The row of a pipeline whose live objects were read.

    Attributes:
        stored_name: the name of its state in the store.
    """

    row: Row
    stored_name: str


def _read_live(
    folders: Sequence[Path],
    read_options: ReadOptions,
    sign_in: SignIn,
    now: datetime,
    emit: Emit,
    open_workers: OpenWorkers,
) -> dict[Path, _LiveRow | Problem | None]:
    """The rows of one environment from files, state and live objects, or why they cannot be read."""
    jobs = dict.fromkeys(folders)
    found, sign_in_error = read_each(jobs, read_options, sign_in, partial(_live_row, now), emit, open_workers)
    return {folder: found.get(folder, sign_in_error) for folder in folders}


def _live_row(now: datetime, opened: Session, validated: ValidatedPipeline, _: None) -> _LiveRow:
    pipeline, _key = validated.require_valid()
    planned = make_plan(opened, validated, PlanRequest(), partial=True)
    stack, store = planned.plan.stack, opened.store
    report = report_of(opened, planned, first_seen={}, now=now)
    row = with_state(
        _row_of(stack, pipeline), planned.stored, report.last_apply, is_emptied=planned.is_emptied
    )
    runs_files = False
    # One that is not as applied is shown, above all if its tag was moved.
    for image in sorted(planned.running, key=lambda image: (image.is_moved, image.digest != row.digest)):
        row = replace(row, running_version=image.version, running_digest=image.digest or "")
        runs_files = image.declared
    stored_name = store.stored_name(str(stack)) if isinstance(store, RenamingStore) else str(stack)
    ignored = [] if row.agrees or runs_files else _ignored_image(planned)
    return _LiveRow(replace(row, drift=_drift(report, row, ignored, now)), stored_name)


def _ignored_image(planned: PlanResult) -> list[JSON]:
    """Name and live value of the ignored fields that name another image than the files."""
    found = (change for step in planned.plan.steps for change in step.changes if change.is_ignored)
    values = {(c.path, c.live) for c in found if c.path in IMAGE_FIELDS and not isinstance(c.live, NoValue)}
    return [[*value] for value in sorted(values)]


def _with_outcome(row: Row, outcome: _LiveRow | Problem | None) -> Row:
    """The row from state alone, with the outcome of reading the live objects; None if they were not read."""
    match outcome:
        case _LiveRow():
            return outcome.row
        case UserError():
            return replace(row, drift=_unreadable(outcome.reason))
        case StateError():
            return replace(row, drift=_unreadable(outcome.message))
        case None:
            return row


def _row_of(stack: Stack, pipeline: Pipeline) -> Row:
    """The row of a stack from its files alone."""
    return Row(
        stack.pipeline,
        stack.name,
        stack.folder,
        stack.scope,
        files_version=str(pipeline.config.metadata.version),
        follows=followed_environment(pipeline) or "",
    )


def drift_found(report: StackReport, now: datetime) -> Reason | None:
    """The drift that a report has, or what it could not read; None if it has no finding."""
    counts = {cls: count for cls, count in Report(now, (report,)).counts.items() if count}
    if report.unchecked:
        return Reason(DriftState.PARTLY_READ, {"counts": counts})
    return Reason(DriftState.DIFFERENT, {"counts": counts}) if counts else None


def in_sync(report: StackReport) -> Reason:
    """In sync, with the number of fields that the platform does not return, or of ignored ones."""
    if report.ignored:
        return Reason(DriftState.IGNORED, {"ignored": len(report.ignored)})
    return Reason(DriftState.IN_SYNC, {"unverified": report.unverified} if report.unverified else {})


def _drift(report: StackReport, row: Row, ignored_image: Sequence[JSON], now: datetime) -> Reason:
    """The drift of a row.

    Args:
        ignored_image: as by `_ignored_image`, if the platform runs another image than the files declare.
    """
    if report.is_new:
        return Reason(DriftState.NOT_APPLIED, {"destroyed": report.is_emptied})
    if (found := drift_found(report, now)) is not None:
        return found
    if ignored_image:
        return Reason(DriftState.IGNORED_IMAGE, {"fields": [*ignored_image]})
    if row.agrees or report.ignored:
        return in_sync(report)
    if row.follows:
        return Reason(DriftState.FOLLOWS, {"environment": row.follows})
    is_same_image = row.digest != "" and row.running_digest == row.digest
    return Reason(DriftState.NOT_RECORDED, {"version": row.files_version} if is_same_image else {})


def _unreadable(problem: str) -> Reason:
    return Reason(DriftState.UNREADABLE, {"problem": problem})


def _with_state(
    row: Row, state: Snapshot, store: Store, stack: str, failed: Callable[[UserError], None]
) -> Row:
    """The row with what the last apply left; as unreadable if the state is older than its history."""
    try:
        return with_state(
            row, state, last_apply(store, stack, state), is_emptied=is_emptied(store, stack, state)
        )
    except UnreadableStateError as problem:
        failed(UserError(error(problem.message, problem.hint)))
        return with_unread_state(row, problem)


def with_unread_state(row: Row, problem: UnreadableStateError) -> Row:
    """The row of a stack whose state cannot be read."""
    is_newer = isinstance(problem, NewerFormatError)
    return replace(row, drift=Reason(DriftState.NEWER_STATE if is_newer else DriftState.DAMAGED_STATE))


def with_state(
    row: Row, state: Snapshot | None, applied: LastApply | None, *, is_emptied: bool = False
) -> Row:
    """The row with what the last apply left, and whether the state has had resources and has none now."""
    row = replace(row, is_emptied=is_emptied)
    image = image_in(state) if state else None
    if image is None:
        return replace(row, applied=applied)
    digest = str(image.outputs.get("digest") or "")
    return replace(row, version=str(image.inputs.get("version") or ""), digest=digest, applied=applied)
