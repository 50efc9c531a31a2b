"""`promote`: plans to give an environment the very image that another one runs; and the gate before it.

A promotion is a plan of the files for the target, with the image given. So it is applied, saved and approved
as any other plan.
"""

import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from uuid import uuid4

from msgspec.structs import replace
from semver import Version

from providers.docker.source.key import announce_nothing
from providers.docker.verdicts import ImageWay
from providers.errors import ProviderError
from providers.json_value import JSON
from providers.protocol import LiveObject, Published, PublishedKind, is_published
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.diagnostics import UserError, error
from reconciler.core.plan import Stack
from reconciler.core.promotion import Promotion, PromotionRefusal, PromotionWay
from reconciler.core.values import Address, image_address
from reconciler.engine.channels import leader_of, refused
from reconciler.engine.kinds import digest_of, image_kind, kinds_of, recorded_source
from reconciler.engine.other_environment import OtherEnvironment, inspect_other, running_version
from reconciler.engine.plan import PlanResult, make_plan, plan_for, with_demands
from reconciler.engine.requests import PlanRequest, PromoteRequest
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.config import load
from reconciler.pipeline.image_source import git_revision
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.version import is_rc, parse
from reconciler.system.files import display_path
from state.errors import StateError
from state.snapshot import RecordedResource, Snapshot

_LISTED = 4  # differing files that a reason lists; the others are counted
_DIRTY = "+dirty"


def plan_pipeline(session: Session, validated: ValidatedPipeline, request: PlanRequest) -> PlanResult:
    """The plan of a command that writes: a promotion if the request has one, else of the files. Reads only.

    A plan of the files is refused where a gate is closed: see `_with_gate`.

    Raises: as `make_plan`, for both environments.
    """
    if request.promote is not None:
        return _plan_promotion(session, validated, request, request.promote)
    planned = make_plan(session, validated, request)
    if request.options.destroy:
        return planned
    return _with_gate(session, validated, planned)


def _plan_promotion(
    session: Session, validated: ValidatedPipeline, request: PlanRequest, promote: PromoteRequest
) -> PlanResult:
    pipeline, key = validated.require_valid()
    stack = session.stack(pipeline)
    stored = session.store.load(str(stack)) or Snapshot.new(str(stack), lineage=str(uuid4()))
    source = inspect_other(session, pipeline, promote.source)
    if source.running.stack == str(stack):
        detail = f"Both are {stack.scope}. Name two environments with --from and --to."
        raise UserError(error("an environment cannot be promoted to itself", detail))
    version, refusal = _version(pipeline, source, promote, stack)
    if version != pipeline.config.metadata.version:
        pipeline = pipeline.at(version)
    image = image_kind(
        pipeline,
        key,
        session.pool,
        new_version=WayOut(ImageWay.NEW_VERSION, shlex.join(("reconciler", "bump", "patch", stack.name))),
        promoted=source.running,
        announce=session.emit,
    )
    planned = plan_for(
        session,
        pipeline,
        desired_graph(pipeline, key.key),
        kinds_of(session.platform, image),
        stored,
        request,
        remarks=validated.diagnostics,
    )
    planned = with_demands(session, planned)
    if source.refusal is not None:
        refusal = Refusal(source.refusal, (_apply_source(source, validated, image),))
    elif source.image is not None and not key.is_same(recorded_source(source.image)):
        apply_source = _apply_source(source, validated, image)
        refusal = _other_files(source, source.image, validated, image.source_differences, apply_source)
    elif refusal is not None:
        refusal = replace(refusal, ways=(*refusal.ways, _apply_source(source, validated, image)))
    target = running_version(session.store, stack, pipeline.loaded.shared, stored)
    plan = replace(planned.plan, promotion=Promotion(source.running, target, str(version)))
    return replace(planned, plan=refused(plan, refusal) if refusal is not None else plan)


def writes_version(pipeline: Pipeline, promote: PromoteRequest) -> bool:
    """Whether a promotion may write a version to config.toml: a final one, or that of the other overlay."""
    if promote.final:
        return True
    shared = pipeline.loaded.shared
    theirs = load(pipeline.folder, environment=promote.source, shared=shared).config
    return theirs is not None and theirs.metadata.version != pipeline.config.metadata.version


def _version(
    pipeline: Pipeline, source: OtherEnvironment, promote: PromoteRequest, stack: Stack
) -> tuple[Version, Refusal | None]:
    """The version that the image gets, and a refusal if config.toml has neither that nor its own one.

    An environment may have a version of its own in its overlay, so either environment's may be it.
    """
    files = pipeline.config.metadata.version
    if not source.running.version:
        return files, None
    runs = parse(source.running.version)
    version = runs.finalize_version() if promote.final and is_rc(runs) else runs
    if not {files, source.declared}.isdisjoint((runs, version)):
        return version, None
    details = {"source": promote.source, "runs": str(runs), "version": str(files)}
    ways: tuple[WayOut, ...] = ()
    if is_rc(runs) and files == runs.finalize_version():
        ways = (WayOut(PromotionWay.FINAL, stack.command("promote", *promote.options, "--final")),)
    return version, Refusal(Reason(PromotionRefusal.OTHER_VERSION, details), ways)


def _apply_source(source: OtherEnvironment, validated: ValidatedPipeline, image: PublishedKind) -> WayOut:
    """The command that lets the other environment run the files, with a new version if they need one."""
    pipeline, _ = validated.require_valid()
    if source.refusal is not None and source.refusal.code is PromotionRefusal.IGNORES_IMAGE:
        return WayOut(PromotionWay.MANAGE_IMAGE, source.apply_command)
    version, bump = source.declared, ""
    address = image_address(pipeline.config.docker.image_name)
    if source.image is not None:
        address = Address.parse(source.image.address)
    outputs = source.image.outputs if source.image is not None else {}
    with suppress(ProviderError):  # the command itself reports it
        if image.published(address.name, str(version), outputs) is Published.OTHER_SOURCE:
            bump = f" --bump {Bump.RC if is_rc(version) else Bump.PATCH}"
    return WayOut(PromotionWay.APPLY_SOURCE, f"{source.apply_command}{bump}")


def _other_files(
    source: OtherEnvironment,
    image: RecordedResource,
    validated: ValidatedPipeline,
    differences: Callable[[Mapping[str, JSON], LiveObject], list[str] | None],
    apply_source: WayOut,
) -> Refusal:
    """The refusal of files that are not the source of the image: what differs, and the commit of it."""
    pipeline, key = validated.require_valid()
    live = source.planned.remote_state.found.get(Address.parse(image.address)) if source.planned else None
    lines = differences(image.outputs, live) if live is not None else None
    commit, dirty, _ = source.running.commit.partition(_DIRTY)
    details: dict[str, JSON] = {
        "source": source.running.environment,
        "version": source.running.version,
        "revision": commit or None,
        "dirty": bool(dirty),
    }
    if lines is None:
        details["files"] = len(key.files)
    else:
        details |= {"differing": [*lines[:_LISTED]], "more": max(0, len(lines) - _LISTED)}
    ways = [apply_source]
    if commit and not dirty and (check_out := _check_out(pipeline, commit)):
        ways.insert(0, WayOut(PromotionWay.CHECK_OUT, check_out))
    return Refusal(Reason(PromotionRefusal.OTHER_FILES, details), tuple(ways))


def _check_out(pipeline: Pipeline, commit: str) -> str:
    """The command that brings the files back to a commit; "" if they are those of the commit.

    Changes that are not committed are set aside first: git would keep them, or refuse.
    """
    here, is_dirty, _ = git_revision(pipeline, announce_nothing).partition(_DIRTY)
    folder = display_path(pipeline.folder)
    stash = [f"git stash push --include-untracked -- {shlex.quote(folder)}"] if is_dirty else []
    return " && ".join([*stash, *([f"git checkout {commit}"] if here != commit else [])])


def _with_gate(session: Session, validated: ValidatedPipeline, planned: PlanResult) -> PlanResult:
    """The plan, refused if it publishes an image that the environment of `promote_from` does not run in sync.

    An image that this environment runs already is not published again, so it passes, whatever the other one
    runs by now.
    """
    pipeline, plan = planned.pipeline, planned.plan
    shared = pipeline.loaded.shared
    environment = shared.names.get(plan.stack.scope, plan.stack.environment)
    leader = leader_of(pipeline, plan.stack)
    if leader is None or session.override:
        return planned
    for step in plan.steps:
        kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
        if not is_published(kind) or resource is None:
            continue
        if step.refusal is not None:
            refusal = step.refusal
            if any(way.label is ImageWay.NEW_VERSION for way in refusal.ways):
                with suppress(UserError, StateError):  # no login there, for example
                    source = inspect_other(session, pipeline, leader)
                    into = _way_into(plan.stack, source, leader, validated, kind)
                    ways = (into if way.label is ImageWay.NEW_VERSION else way for way in refusal.ways)
                    plan = refused(plan, replace(refusal, ways=tuple(ways)))
            continue
        live = planned.remote_state.found.get(step.address)
        is_published_now = live is not None and not kind.is_other_content(live, resource.fields)
        digest = digest_of(live.outputs) if live is not None and is_published_now else ""
        recorded = planned.stored.resources.get(str(step.address))
        if digest and recorded is not None and digest_of(recorded.outputs) == digest:
            continue
        source = inspect_other(session, pipeline, leader)
        if source.refusal is None and digest and source.running.digest == digest:
            continue
        why = source.refusal or Reason(
            PromotionRefusal.RUNS_ANOTHER, {"runs": source.running.version, "digest": source.running.digest}
        )
        details = {**why.details, "source": leader, "environment": environment, "why": why.code.value}
        reason = Reason(PromotionRefusal.GATED, details)
        override = plan.stack.command(session.verb, *plan.options, "--override", "REASON")
        into = _way_into(plan.stack, source, leader, validated, kind)
        plan = refused(plan, Refusal(reason, (into, WayOut(PromotionWay.OVERRIDE, override))))
    return replace(planned, plan=plan)


def _way_into(
    stack: Stack, source: OtherEnvironment, leader: str, validated: ValidatedPipeline, image: PublishedKind
) -> WayOut:
    """The next command on the way of the files through a gate: a promotion, or first an apply."""
    pipeline, key = validated.require_valid()
    if source.refusal is None and source.image is not None and key.is_same(recorded_source(source.image)):
        for final in (False, True):
            promote = PromoteRequest(leader, final=final)
            if _version(pipeline, source, promote, stack)[1] is None:
                return WayOut(PromotionWay.PROMOTE, stack.command("promote", *promote.options))
    return _apply_source(source, validated, image)
