"""The story of `rollback`: an ordinary plan, back to what a record of earlier says.

The image goes back by moving tags in the registry: nothing is built, and an image that is gone is told
before anything moves. Files are read for where and what the pipeline is, never for what it should be.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from semver import Version

from providers.docker.verdicts import ImageWay
from providers.reasons import WayOut
from providers.table import listed_in
from reconciler.core.diagnostics import UserError, error
from reconciler.core.diff import same
from reconciler.core.events import Notice
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Basis, Stack
from reconciler.core.plan_options import PlanOptions
from reconciler.core.values import Address
from reconciler.engine.apply import ApplyRequest, ApplyResult, carry_out
from reconciler.engine.kinds import digest_of, kinds_of, recorded_image_kind, recorded_source
from reconciler.engine.plan import PlanResult, plan_for
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import Session, stack_of
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.shared import SharedSettings
from reconciler.pipeline.version import parse
from state.lock_info import LockInfo
from state.snapshot import Intent, RecordedResource, Snapshot
from state.stores.base import HistoryEntry, Store, saves_by_run


@dataclass(frozen=True, slots=True)
class EarlierState:
    """A record that a run left when it had ended.

    Attributes:
        snapshot: what was applied then.
        entry: when, and by whom.
    """

    snapshot: Snapshot
    entry: HistoryEntry

    @property
    def image(self) -> RecordedResource | None:
        return image_in(self.snapshot)

    @property
    def version(self) -> str:
        """Of the image; "" when there was none."""
        return str(self.image.inputs["version"]) if self.image else ""


def pipeline_at(folder: Path, environment: str | None, shared: SharedSettings) -> Pipeline:
    """What config.toml says of where a pipeline is; its classes and its source do not matter.

    Raises:
        UserError: config.toml has errors.
    """
    loaded = load(folder, environment=environment, shared=shared)
    if loaded.config is None:
        raise UserError(*loaded.diagnostics)
    return Pipeline(folder, loaded.config.metadata.name, loaded.config, loaded, None, None)


def find_earlier(
    store: Store, stack: Stack, to: str | None, *, abandoned: LockInfo | None = None
) -> EarlierState:
    """The record to go back to.

    Args:
        to: a serial, or a version (the last that was left with it); None for the one that the last run began
            to go back to and did not reach, else for the latest that differs from what is recorded now, or
            for the latest there is where a run since has left writes open.
        abandoned: a run that did not give its lock back. Without `to`, the record that it was going back to,
            even if it got there: it was killed, so its user may not have seen that it did.

    Raises:
        UserError: there is no such record.
    """
    ended, now = _ends(store, str(stack)), store.load(str(stack))
    if now is None:
        told = f"What was never applied cannot be gone back to. Apply it first: {stack.command('apply')}"
        raise UserError(error(f"nothing is recorded of {stack}", told))
    ended = (earlier for earlier in ended if earlier.snapshot.resources)
    if to is None:
        if abandoned is not None and (begun := _target(store, stack, abandoned.command)) is not None:
            return begun
        last = next(saves_by_run(store, str(stack)), None)
        begun = _target(store, stack, last[0].command) if last else None
        # What it left differs from what was there before, so the latest record that differs from it would
        # be the one to get away from.
        if begun is not None and not _is_at(now, begun):
            return begun
        for earlier in ended:
            if not _is_at(now, earlier):
                return earlier
        raise UserError(error(f"{stack} was never different", "There is nothing to go back to."))
    for earlier in ended:
        # A whole number is a serial: 1 would read as version 1.0.0, which later runs may have left, too.
        serial, version = str(earlier.snapshot.serial), earlier.version
        if to == serial if to.isdecimal() else version and _is_version(to, version):
            return earlier
    told = (
        "Give a version, or the serial of a run's last save. Runs that failed, and those that left nothing, "
        f"are nothing to go back to. See: reconciler state history '{stack}'"
    )
    raise UserError(error(f"{stack} has no record of {to}", told))


_GOING_BACK = re.compile(r"\brollback .*--to[ =](\S+)", re.DOTALL)


def _target(store: Store, stack: Stack, command: str) -> EarlierState | None:
    """Where a run with this command was going back to; None if it was no rollback, or that is gone."""
    going = _GOING_BACK.search(command)
    try:
        return find_earlier(store, stack, going[1]) if going else None
    except UserError:
        return None


def roll_back(
    session: Session,
    pipeline: Pipeline,
    to: str | None,
    request: ApplyRequest,
    *,
    write: bool,
) -> ApplyResult:
    """Plan back to an earlier state version, and apply the plan.

    Args:
        to: see `find_earlier`.
        write: also write the earlier version to config.toml.

    Raises: as `carry_out` and `find_earlier`.
    """
    stack = stack_of(session.target, pipeline)
    # Before waiting for the lock, so that an error comes at once.
    first = find_earlier(session.store, stack, to, abandoned=session.store.dead_holder(str(stack)))
    if to is None:  # the history keeps the target, for a run after one that was cut short
        command = (*request.options.command, "--to", str(first.snapshot.serial))
        request = replace(request, options=replace(request.options, command=command))

    def make(abandoned: LockInfo | None) -> PlanResult:
        # Again, under the lock: a run that was waited for counts.
        earlier = find_earlier(session.store, stack, to, abandoned=abandoned)
        if earlier.snapshot.serial != first.snapshot.serial:
            told = "Nothing was changed. Run the same command again."
            raise UserError(error("another run changed what there is to go back to", told))
        stored = session.store.load(str(stack)) or Snapshot.new(str(stack), lineage=earlier.snapshot.lineage)
        back = pipeline.at(parse(earlier.version)) if write and earlier.version else pipeline
        return _plan_back(session, back, earlier, stored)

    return carry_out(session, pipeline, make, request, key=None, writes_config=write)


def _plan_back(session: Session, pipeline: Pipeline, earlier: EarlierState, stored: Snapshot) -> PlanResult:
    wanted = _graph(earlier.snapshot, stored)
    image = earlier.image
    kinds = kinds_of(session.platform)
    if (published := image or image_in(stored)) is not None:
        kinds["image"] = recorded_image_kind(
            pipeline, published, session.pool, new_version=WayOut(ImageWay.OTHER_STATE)
        )
    known = {Address.parse(text): record for text, record in stored.resources.items()}
    if image is not None:  # found by its digest, should its tag be gone
        known[Address.parse(image.address)] = image
    # Whoever goes back wants what was, and not what somebody made of it since.
    planned = plan_for(
        session, pipeline, wanted, kinds, stored, PlanRequest(options=PlanOptions(ours=None)), known=known
    )
    _refuse_lost(planned, earlier)
    entry = earlier.entry
    who = f" by {entry.owner}@{entry.host}" if entry.owner else ""
    version = f"version {earlier.version}, " if earlier.version else ""
    told = f"going back to {version}applied {entry.written_at[:16].replace('T', ' ')}{who}"
    session.emit(Notice(f"{told} (serial {entry.serial})"))
    return replace(planned, plan=replace(planned.plan, basis=Basis.STATE_VERSION))


def _graph(then: Snapshot, now: Snapshot) -> Graph:
    """What was recorded then, as what should be. Inputs that came since go, as deploying then would do it."""
    recorded = {Address.parse(text) for text in (*then.resources, *now.resources)}
    resources = []
    for record in then.resources.values():
        address = Address.parse(record.address)
        fields = (
            {**record.inputs, "source_key": recorded_source(record)}
            if record.kind == "image"
            else record.inputs
        )
        resources.append(
            Resource(
                address,
                fields,
                depends_on=tuple(Address.parse(text) for text in record.depends_on),
                owns=tuple(
                    kind
                    for kind in listed_in(address.kind)
                    if any(child.kind == kind and child.name[:-1] == address.name for child in recorded)
                ),
            )
        )
    return Graph(resources)


def _refuse_lost(planned: PlanResult, earlier: EarlierState) -> None:
    """An image that is gone, or is not what it was, is told before anything moves."""
    image = earlier.image
    if image is None:
        return
    address = Address.parse(image.address)
    live, digest = planned.remote_state.found.get(address), digest_of(image.outputs)
    if live is not None and (not digest or digest_of(live.outputs) == digest):
        return
    what = f"{'/'.join(address.name)}:{earlier.version}"
    now = f"is {digest_of(live.outputs)[:19]} now" if live else "is gone from the registry"
    told = "Nothing was changed. Go back further, with --to, or publish that source as a new version."
    raise UserError(error(f"{what} was {digest[:19]} then, and {now}", told, address=str(address)))


def _ends(store: Store, stack: str) -> Iterator[EarlierState]:
    """What each run left that did all it began to do, latest first."""
    for entry, *before in saves_by_run(store, stack):
        snapshot = store.load_at(stack, entry.serial)
        if snapshot is None or snapshot.intents:
            continue
        # In the order in which they were saved, as a store reads what changed since the one before.
        during = (store.load_at(stack, save.serial) for save in reversed(before))
        begun = (intent for save in during if save for intent in save.intents.values())
        if all(_changed_something(intent, snapshot) for intent in begun):
            yield EarlierState(snapshot, entry)


def _changed_something(begun: Intent, left: Snapshot) -> bool:
    """Whether a write got through; one that was refused leaves the record as it was."""
    record = left.resources.get(begun.address)
    if begun.verb == "delete":
        return record is None or record.id != begun.id
    if record is None:  # of a replace whose old object was deleted already, the new one was let go
        return begun.verb == "replace" and begun.id is None
    return all(same(record.inputs.get(name, value), value) for name, value in begun.fields.items())


def image_in(snapshot: Snapshot) -> RecordedResource | None:
    """What a record says of the image; None when it says nothing."""
    return next((one for one in snapshot.resources.values() if one.kind == "image"), None)


def _is_at(now: Snapshot, earlier: EarlierState) -> bool:
    """Whether going back there would change nothing but the record. With a write open nobody can tell."""
    then = earlier.snapshot.resources
    return (
        not now.intents
        and now.resources.keys() == then.keys()
        and all(_is_as(record, now.resources[address]) for address, record in then.items())
    )


def _is_as(then: RecordedResource, now: RecordedResource) -> bool:
    """Whether a resource was applied as it is now.

    A field that only one of the two has is not managed by the other, so it stays. An image of the same
    version and digest is the same, whatever recipe its source key was made by.
    """
    names = (then.inputs.keys() & now.inputs.keys()) - {"source_key"}
    was, digest = (digest_of(record.outputs) for record in (then, now))
    return was == digest and all(same(then.inputs[name], now.inputs[name]) for name in names)


def _is_version(text: str, version: str) -> bool:
    try:
        return parse(text) == Version.parse(version)
    except ValueError:
        return False
