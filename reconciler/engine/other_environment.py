"""What a pipeline runs in another environment, and whether that is what its last apply left. Reads only.

The files of that environment are not compared: they may be ahead of it. The state version of its last apply
is the desired one, so every difference from the live objects was made outside.
"""

from collections.abc import Iterator, Mapping
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace
from semver import Version

from providers.docker.verdicts import ImageWay
from providers.json_value import JSON
from providers.reasons import Reason, WayOut
from reconciler.core.diagnostics import CannotCheckError
from reconciler.core.plan import Action, Plan, Stack
from reconciler.core.plan_options import PlanOptions
from reconciler.core.promotion import PromotionRefusal, RunningVersion
from reconciler.core.values import IMAGE_FIELDS, Address, NoValue, image_run_by
from reconciler.engine.channels import RunningImage
from reconciler.engine.kinds import digest_of, kinds_of, recorded_image_kind, revision_of
from reconciler.engine.plan import PlanResult, plan_for
from reconciler.engine.recorded import graph_of, image_in, pipeline_at
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import Session
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.shared import SharedSettings
from state.snapshot import FAILED, INTERRUPTED, RecordedResource, Snapshot
from state.stores.base import Store, saves_by_run

_RUNS_READ = 20
"""So many runs back the history is searched for the one that brought an image."""
_LISTED = 4  # differences that a reason lists; the others are counted


class OtherEnvironment(Struct, frozen=True):
    """What a pipeline runs in another environment.

    Attributes:
        running: the version, and since when.
        declared: metadata.version in the files, with the overlay of that environment.
        image: the recorded image; None if the environment runs none.
        planned: the comparison of its state with the live objects; None if it was never applied.
        apply_command: the command that applies the files there.
        refusal: why it cannot be relied on; None if it is in sync.
    """

    running: RunningVersion
    declared: Version
    apply_command: str
    image: RecordedResource | None = None
    planned: PlanResult | None = None
    refusal: Reason | None = None


def inspect_other(session: Session, pipeline: Pipeline, environment: str) -> OtherEnvironment:
    """What a pipeline runs in another environment.

    Args:
        session: of this environment.
        environment: the name of the other one.

    Raises:
        CannotCheckError: the platform or the registry cannot be read.
        UserError: there is no login, or config.toml has errors in that environment.
        state.errors.StateError: the state cannot be read.
    """
    other = session.beside(environment)
    shared = pipeline.loaded.shared
    theirs = pipeline_at(pipeline.folder, other.target.environment.name, shared)
    stack = other.stack(theirs)
    details = {"source": environment}
    declared = theirs.config.metadata.version
    apply_command = stack.command("apply")
    stored = other.store.load(str(stack))
    image = image_in(stored) if stored is not None else None
    if stored is None or image is None:
        nothing = RunningVersion(str(stack), environment)
        refusal = Reason(PromotionRefusal.NOT_APPLIED, details)
        return OtherEnvironment(nothing, declared, apply_command, refusal=refusal)
    running = running_version(other.store, stack, shared, stored)
    planned = _compare(other, theirs, stored, image, pushed_to=pipeline.config.docker.image_name)
    problem = _why_not_proved(theirs, stored, planned, running, details)
    return OtherEnvironment(running, declared, apply_command, image, planned, problem)


def running_version(
    store: Store, stack: Stack, shared: SharedSettings, stored: Snapshot | None
) -> RunningVersion:
    """What a stack runs by its state, and since when by its history."""
    running = RunningVersion(str(stack), shared.names.get(stack.scope, stack.environment))
    image = image_in(stored) if stored is not None else None
    if image is None:
        return running
    running = replace(
        running,
        image="/".join(Address.parse(image.address).name),
        version=str(image.inputs.get("version") or ""),
        digest=digest_of(image.outputs),
        # Not that of the last run: a rollback or a `state forget` need not have had the files of this image.
        commit=revision_of(image.outputs),
    )
    for saves in islice(saves_by_run(store, str(stack)), _RUNS_READ):
        entry = saves[0]
        then = store.load_at(str(stack), entry.serial)
        before = image_in(then) if then is not None else None
        if before is None or digest_of(before.outputs) != running.digest:
            break
        by = f"{entry.owner}@{entry.host}" if entry.owner else ""
        running = replace(running, since=saves[-1].written_at, by=by)
    return running


def _compare(
    session: Session, pipeline: Pipeline, stored: Snapshot, image: RecordedResource, *, pushed_to: str
) -> PlanResult:
    """The plan from the live objects back to the state. Raises CannotCheckError if any cannot be read."""
    kinds = kinds_of(session.platform)
    kinds["image"] = recorded_image_kind(
        pipeline, stored, image, session.pool, new_version=WayOut(ImageWay.OTHER_STATE), pushed_to=pushed_to
    )
    planned = plan_for(
        session,
        pipeline,
        graph_of(stored),
        kinds,
        stored,
        PlanRequest(options=PlanOptions()),
        partial=True,
    )
    if planned.unread:
        raise CannotCheckError(*planned.unread)
    return planned


def _why_not_proved(
    pipeline: Pipeline,
    stored: Snapshot,
    planned: PlanResult,
    running: RunningVersion,
    details: Mapping[str, JSON],
) -> Reason | None:
    """Why the environment does not prove that its image works; None if every object there runs it in sync.

    Args:
        running: the image that the last apply left.
        details: of every reason.
    """
    if stored.intents or stored.outcome in (FAILED, INTERRUPTED):
        return Reason(PromotionRefusal.UNFINISHED, details)
    if differing := list(_differences(planned.plan)):
        shown: list[JSON] = [*differing[:_LISTED]]
        more = len(differing) - len(shown)
        return Reason(PromotionRefusal.DRIFTED, {**details, "differing": shown, "more": more})
    runs = _images_run(planned)
    others = {address: one for address, one in runs.items() if one.digest != running.digest}
    if runs and not others:
        return None
    what: list[dict[str, JSON]] = [
        {"address": str(address), "runs": one.version, "digest": one.digest or ""}
        for address, one in sorted(others.items())
    ]
    ignored = {path for paths in pipeline.config.reconciler.ignore_changes.values() for path in paths}
    if others and (fields := sorted(ignored.intersection(IMAGE_FIELDS))):
        first = {name: what[0][name] for name in ("runs", "digest")}
        return Reason(PromotionRefusal.IGNORES_IMAGE, {**details, **first, "fields": [*fields]})
    listed: dict[str, JSON] = {"differing": [*what[:_LISTED]], "more": max(0, len(what) - _LISTED)}
    return Reason(PromotionRefusal.NOT_RUN, {**details, "version": running.version, **listed})


def _images_run(planned: PlanResult) -> dict[Address, RunningImage]:
    """The image of each live object that runs one. Its digest is None if it is none of the recorded ones."""
    known = {(one.address, one.tag): one for one in planned.running}
    found = {}
    for address, live in planned.remote_state.found.items():
        recorded = planned.settled.resources.get(str(address))
        applied = recorded.inputs if recorded is not None else {}
        fields = {
            **applied,
            **live.fields,
        }  # one that the platform does not return is as the last apply left it
        image, tag = image_run_by(fields), str(fields.get("docker_tag") or "")
        if image is not None:
            found[address] = known.get((image, tag), RunningImage(image, tag, None, "", ""))
        elif (before := image_run_by(applied)) is not None:
            found[address] = RunningImage(before, "", None, "", "")
    return found


def _differences(plan: Plan) -> Iterator[dict[str, JSON]]:
    """Each object or field that is not as the last apply left it; with both values if they are known."""
    for step in plan.steps:
        changed = [*step.drifts, *step.conflicts]
        for change in changed:
            values = {"recorded": change.recorded, "live": change.live} if change.path else {}
            known = {name: value for name, value in values.items() if not isinstance(value, NoValue)}
            yield {"address": str(step.address), "path": change.path, **known}
        if not changed and step.action in (Action.CREATE, Action.DELETE, Action.REPLACE):
            yield {"address": str(step.address), "path": ""}
