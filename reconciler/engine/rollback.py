"""`rollback`: plan and apply back to an earlier state version.

The image goes back by moving tags in the registry, without a build. If the image no longer exists, that is an
error before the first write. The files only identify the pipeline; the desired values come from state.
"""

import shlex
from functools import partial
from itertools import islice

from msgspec.structs import replace

from providers.docker.verdicts import ImageWay
from providers.reasons import WayOut
from reconciler.core.diagnostics import UserError, error, info
from reconciler.core.diff import same
from reconciler.core.events import Notice
from reconciler.core.plan import Basis, Stack
from reconciler.core.recorded_runs import RecordedRun, RunOutcome, target_of
from reconciler.core.values import Address
from reconciler.engine.apply import ApplyRequest, ApplyResult, carry_out
from reconciler.engine.earlier_states import (
    EarlierState,
    finished_states,
    last_left,
    recorded_runs,
    state_at,
    that_ran,
)
from reconciler.engine.kinds import digest_of, kinds_of, recorded_image_kind, recorded_text
from reconciler.engine.missing_state import OTHER_STORE
from reconciler.engine.plan import PlanResult, plan_for
from reconciler.engine.recorded import graph_of, image_in
from reconciler.engine.requests import PlanRequest, RollbackRequest
from reconciler.engine.session import Session
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.version import parse
from state.lock_info import LockInfo
from state.snapshot import APPLIED, FAILED, INTERRUPTED, RecordedResource, Snapshot
from state.stores.base import Store, saves_by_run


def find_earlier(
    store: Store,
    stack: Stack,
    to: str | None,
    *,
    abandoned: LockInfo | None = None,
    is_of_many: bool = False,
) -> EarlierState:
    """The state version to roll back to.

    Args:
        to: a serial, or an image version, which selects the last state version with it. None selects the
            target of an unfinished rollback by the last run; otherwise what ran before the present version,
            see `that_ran`. If the last run failed, that is what it started from.
        abandoned: a run that did not release its lock, or None. If it was a rollback and `to` is None, its
            target is selected even if it was reached: the run was killed, so its user may not know.
        is_of_many: whether the command rolls back several pipelines. If the last run of this one was a
            rollback and `to` is None, its target is selected again: the same command, run again after a
            failure, goes no further back with those that are done.

    Raises:
        UserError: there is no such state version.
    """
    now = store.load(str(stack))
    if now is None:
        detail = (
            f"So there is nothing to roll back to. {OTHER_STORE} Otherwise apply the pipeline first: "
            f"{stack.command('apply')}"
        )
        raise UserError(error(f"there is no state of {stack}", detail))
    candidates = (one for one in finished_states(store, str(stack)) if one.snapshot.resources)
    if to is None:
        now = last_left(store, str(stack), now)
        if abandoned is not None and (target := _target(store, stack, abandoned.command)) is not None:
            return target
        target = _unfinished_target(store, stack, now)
        # An unfinished rollback left a state of its own. The latest one that differs from it would be the
        # state that the user wants to leave.
        if target is not None and (is_of_many or now.outcome or not _is_at(now, target)):
            return target
        if is_of_many and (target := _restored_state(store, stack, now)) is not None:
            return target
        is_incomplete = now.outcome in (FAILED, INTERRUPTED)
        for earlier in that_ran(candidates):
            if is_incomplete or not _is_at(now, earlier):
                return earlier
        image = image_in(now)
        present = (recorded_text(image, "version") if image else "") or "the present state version"
        raise UserError(error(f"nothing ran on {stack} before {present}", _versions(store, stack)))
    for earlier in candidates:
        if earlier.is_at(to):
            return earlier
    raise UserError(error(_why_not(store, stack, to), _versions(store, stack), in_options=True))


MOST_RUNS = 10
"""Runs that an error lists."""


_NOTHING_LEFT = {
    RunOutcome.FAILED: "failed",
    RunOutcome.INTERRUPTED: "was interrupted",
    RunOutcome.PARTIAL: "left a state without all that ran",
    RunOutcome.UNKNOWN: "has no known outcome",
}


def _why_not(store: Store, stack: Stack, to: str) -> str:
    """Why `--to` names no state version: how the latest run with this serial or version ended."""
    for run in recorded_runs(store, str(stack)):
        if to.isdecimal():
            is_named = any(str(save.serial) == to for save in run.saves)
        else:
            is_named = _is_version(to, run.version)
        if not is_named:
            continue
        if to.isdecimal() and str(run.serial) != to:
            return f"serial {to} of {stack} is a save in the middle of run {run.serial}"
        what = f"run {run.serial} of {stack}" + ("" if to.isdecimal() else f", the last one of version {to},")
        if run.outcome in _NOTHING_LEFT:
            return f"{what} {_NOTHING_LEFT[run.outcome]}, so nothing is rolled back to it"
        return f"{what} left no resources"
    return f"{stack} has no state version {to}"


def _is_version(text: str, version: str) -> bool:
    try:
        return bool(version) and parse(text) == parse(version)
    except ValueError:
        return False


def _versions(store: Store, stack: Stack) -> str:
    """The runs that a rollback may name, with versions and outcomes, and how to see all."""
    runs = [*islice(recorded_runs(store, str(stack)), MOST_RUNS)]
    rows = [
        f"  --to {run.serial}  {run.version or 'no image'}, {run.outcome.value}, {_time(run)}"
        for run in runs
        if run.outcome in (RunOutcome.APPLIED, RunOutcome.ROLLED_BACK)
    ]
    return "\n".join(
        [
            *(["Name one of these with --to, by its serial or its version:", *rows] if rows else []),
            f"See all runs: reconciler state history {shlex.quote(str(stack))}",
        ]
    )


def _unfinished_target(store: Store, stack: Stack, now: Snapshot) -> EarlierState | None:
    """The target of a rollback by the last run that did not succeed; None if it was none, or succeeded."""
    if now.outcome == APPLIED:
        return None
    if now.outcome:
        return state_at(store, str(stack), now.restores) if now.restores else None
    last = next(saves_by_run(store, str(stack)), None)  # of a version that saved no outcome
    return _target(store, stack, last[0].command) if last else None


def _restored_state(store: Store, stack: Stack, now: Snapshot) -> EarlierState | None:
    """The target of the last run if it was a rollback that succeeded; None otherwise."""
    is_restored = now.outcome == APPLIED and now.restores
    return state_at(store, str(stack), now.restores) if is_restored else None


def _time(run: RecordedRun) -> str:
    return run.saves[0].written_at[:16].replace("T", " ")


def _target(store: Store, stack: Stack, command: str) -> EarlierState | None:
    """The target of a rollback with this command line; None for other commands, or if it does not exist."""
    target = target_of(command)
    try:
        return find_earlier(store, stack, target) if target else None
    except UserError:
        return None


def roll_back(
    session: Session,
    pipeline: Pipeline,
    plan_request: PlanRequest,
    request: ApplyRequest,
    *,
    is_of_many: bool = False,
) -> ApplyResult:
    """Plan back to an earlier state version, and apply the plan.

    Args:
        is_of_many: see `find_earlier`.

    Raises: as `carry_out` and `find_earlier`.
    """
    stack = session.stack(pipeline)
    to, write = _wanted(plan_request).to, _wanted(plan_request).write
    find = partial(find_earlier, session.store, stack, to, is_of_many=is_of_many)
    # Before waiting for the lock, so that an error comes at once.
    first = find(abandoned=session.store.dead_holder(str(stack)))
    if to is None:  # the history keeps the target, for a run after one that was cut short
        command = (*request.options.command, "--to", str(first.snapshot.serial))
        request = replace(request, options=replace(request.options, command=command))

    def make(abandoned: LockInfo | None) -> PlanResult:
        # Search again under the lock: another run may have saved meanwhile.
        earlier = find(abandoned=abandoned)
        if earlier.snapshot.serial != first.snapshot.serial:
            detail = "Nothing was changed. Run the same command again."
            raise UserError(error("another run changed the state to roll back to", detail, may_pass=True))
        return _plan_back(session, pipeline, earlier, plan_request, is_of_many=is_of_many)

    return carry_out(session, pipeline, make, request, key=None, writes_config=write)


def _wanted(request: PlanRequest) -> RollbackRequest:
    return request.rollback or RollbackRequest()


def plan_back(
    session: Session, pipeline: Pipeline, request: PlanRequest, *, is_of_many: bool = False
) -> PlanResult:
    """Plan back to an earlier state version, as `roll_back` does. Reads only. Raises as `find_earlier`."""
    stack = session.stack(pipeline)
    abandoned, to = session.store.dead_holder(str(stack)), _wanted(request).to
    earlier = find_earlier(session.store, stack, to, abandoned=abandoned, is_of_many=is_of_many)
    return _plan_back(session, pipeline, earlier, request, is_of_many=is_of_many)


def _plan_back(
    session: Session,
    pipeline: Pipeline,
    earlier: EarlierState,
    request: PlanRequest,
    *,
    is_of_many: bool,
) -> PlanResult:
    """The plan back to a state version. It tells if the last run of several restored that already."""
    wanted = _wanted(request)
    stack = str(session.stack(pipeline))
    stored = session.store.load(stack) or Snapshot.new(stack, lineage=earlier.snapshot.lineage)
    pipeline = pipeline.at(parse(earlier.version)) if wanted.write and earlier.version else pipeline
    image = earlier.image
    kinds = kinds_of(session.platform)
    for snapshot in (stored, earlier.snapshot):
        if (published := image_in(snapshot)) is not None:
            kinds["image"] = recorded_image_kind(
                pipeline, snapshot, published, session.pool, new_version=WayOut(ImageWay.OTHER_STATE)
            )
    identities = {Address.parse(text): recorded for text, recorded in stored.resources.items()}
    if image is not None:  # its digest finds it even if its tag is gone
        identities[Address.parse(image.address)] = image
    planned = plan_for(
        session,
        pipeline,
        graph_of(earlier.snapshot),
        kinds,
        stored,
        replace(request, options=replace(request.options, overwrites=True)),  # later changes
        identities=identities,
    )
    _refuse_missing_image(planned, earlier)
    entry = earlier.entry
    who = f" by {entry.owner}@{entry.host}" if entry.owner else ""
    version = f"version {earlier.version}, " if earlier.version else ""
    target = f"{version}applied {entry.written_at[:16].replace('T', ' ')}{who}"
    session.emit(Notice(f"rolling back to {target} (serial {entry.serial})"))
    plan = replace(planned.plan, basis=Basis.STATE_VERSION)
    stays = is_of_many and wanted.to is None
    last = last_left(session.store, stack, stored) if stays else stored
    if stays and last.outcome == APPLIED and last.restores == earlier.snapshot.serial:
        plan = replace(plan, diagnostics=(*plan.diagnostics, _STAYS))
    return replace(
        planned, plan=plan, restores=earlier.snapshot.serial, restored_version=earlier.version or ""
    )


_STAYS = info(
    "the last run was a rollback, so its target stays the same",
    "A rollback of several pipelines can be repeated. To go further back, name a version with --to, or roll "
    "back this pipeline alone.",
)


def _refuse_missing_image(planned: PlanResult, earlier: EarlierState) -> None:
    """Raise UserError, before the first write, if the image no longer exists or has other content."""
    image = earlier.image
    if image is None:
        return
    address = Address.parse(image.address)
    live, digest = planned.remote_state.found.get(address), digest_of(image.outputs)
    if live is not None and (not digest or digest_of(live.outputs) == digest):
        return
    tag = f"{'/'.join(address.name)}:{earlier.version}"
    now = f"is {digest_of(live.outputs)[:19]} now" if live else "is no longer in the registry"
    detail = (
        "Nothing was changed. Roll back to an older state version with --to, or publish that source as a "
        "new version."
    )
    raise UserError(error(f"{tag} was {digest[:19]} then, and {now}", detail, address=str(address)))


def _is_at(now: Snapshot, earlier: EarlierState) -> bool:
    """Whether a rollback would change only the state. False if writes are open: their result is unknown."""
    then = earlier.snapshot.resources
    return (
        not now.intents
        and now.resources.keys() == then.keys()
        and all(_is_equal(recorded, now.resources[address]) for address, recorded in then.items())
    )


def _is_equal(then: RecordedResource, now: RecordedResource) -> bool:
    """Whether two versions of a recorded resource are equal in the fields that both manage.

    Images of the same version and digest are equal, whichever format their source keys have.
    """
    names = (then.inputs.keys() & now.inputs.keys()) - {"source_key"}
    same_digest = digest_of(then.outputs) == digest_of(now.outputs)
    return same_digest and all(same(then.inputs[name], now.inputs[name]) for name in names)
