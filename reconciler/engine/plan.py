"""`plan`: compiles the files, loads the state, reads the live objects and calls the planner. Reads only.

Connects these parts and decides nothing: the planner compares the values.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from uuid import uuid4

from msgspec import Struct
from msgspec.structs import replace
from semver import Version

from providers.docker.source.key import Announce, ImageSource, SourceKey
from providers.docker.verdicts import ImageWay
from providers.errors import ProviderError
from providers.json_value import JSON
from providers.protocol import (
    LiveObject,
    Published,
    ResourceKind,
    SelectedBuilder,
    builder_text,
    is_published,
)
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.diagnostics import (
    CannotCheckError,
    Diagnostic,
    Severity,
    UserError,
    error,
    has_errors,
    info,
    warning,
)
from reconciler.core.events import Note
from reconciler.core.graph import Graph
from reconciler.core.plan import Plan, Stack, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.planner import plan_steps
from reconciler.core.reasons import RefusalCode, Way
from reconciler.core.recovery import contested, needs_answer, settle, unfinished_replaces
from reconciler.core.remote import RemoteState
from reconciler.core.shared_values import Appliers, appliers, overwrites_shared
from reconciler.core.values import Address, image_address, image_run_by
from reconciler.engine import refresh
from reconciler.engine.channels import (
    RunningImage,
    changed_environments,
    images_left_behind,
    leader_of,
    running_images,
    tags_in_use,
    with_gates_of_others,
)
from reconciler.engine.claims import PlanClaims
from reconciler.engine.destroyed import nothing_left
from reconciler.engine.kinds import image_kind, kinds_of
from reconciler.engine.missing_state import is_emptied, is_empty, state_note
from reconciler.engine.planned_contract import demand_major_version, with_contract
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline, time_problems, unreadable_context
from reconciler.engine.worlds import Worlds
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.secret_findings import secret_findings
from reconciler.pipeline.settings import ignored_fields
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.edits import Edits
from reconciler.pipeline.version import bump, promotes
from state.errors import NewerFormatError
from state.register import Register
from state.snapshot import RecordedResource, Snapshot

_TAKING = frozenset({"apply", "deploy", "rollback"})
"""The commands with `--take` that carry out a plan."""


class PlanResult(Struct, frozen=True):
    """A plan with all data that apply needs.

    Attributes:
        plan: the plan.
        files: the pipeline, with the version after a bump; None for a stack without a folder.
        desired: the desired graph; empty for a destroy.
        remote_state: the live objects.
        stored: the state as loaded.
        is_emptied: whether it has had resources and has none now.
        settled: the state after settling open writes of an earlier run.
        kinds: every kind by its name.
        claims: the claims that the plan met, and takes when it is applied.
        running: the images that the platform's resources use.
        also_changes: other environments that run something else after this plan.
        unread: errors of resources that could not be read, so are not in the plan. Only in partial plans.
        released: the plan with all that callers get: an image runs for them, also if targets leave out the
            processing.
        restores: the serial of the state version that a rollback restores; 0 for every other plan.
        restored_version: the version of the image that it restores; "" without one.
    """

    plan: Plan
    files: Pipeline | None
    desired: Graph
    remote_state: RemoteState
    stored: Snapshot
    settled: Snapshot
    kinds: Mapping[str, ResourceKind]
    claims: PlanClaims
    released: Plan
    running: tuple[RunningImage, ...] = ()
    also_changes: tuple[str, ...] = ()
    unread: tuple[Diagnostic, ...] = ()
    restores: int = 0
    restored_version: str = ""
    is_emptied: bool = False

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of a plan that is made from files."""
        assert self.files is not None, "a plan of a stack without a folder"
        return self.files

    @property
    def edits(self) -> Edits:
        """The values that apply writes to config.toml."""
        return self.files.loaded.edits if self.files is not None else {}

    @property
    def foreign_version(self) -> str | None:
        """A version that another tool published and the user has not accepted as made from these files."""
        for resource in self.desired:
            kind, live = self.kinds[resource.address.kind], self.remote_state.found.get(resource.address)
            if is_published(kind) and live is not None and kind.is_foreign(live):
                return str(resource.fields["version"])
        return None


def make_plan(
    session: Session, validated: ValidatedPipeline, request: PlanRequest, *, partial: bool = False
) -> PlanResult:
    """Plan from the desired values in the files, the recorded ones in state and the live ones. Reads only.

    Args:
        partial: omit resources that cannot be read from the plan, with an error in `unread`, instead of
            raising CannotCheckError.

    Raises:
        UserError: the files have errors, or an option has the address of a resource that does not exist.
        CannotCheckError: a live object cannot be read.
        state.errors.StateError: the state cannot be read.
    """
    pipeline, key = validated.require_valid()
    stack = session.stack(pipeline)
    stored = session.store.load(str(stack)) or Snapshot.new(str(stack), lineage=str(uuid4()))
    bumped, remarks = _with_bump(session, pipeline, request, key, stored)
    source = validated.source if bumped is pipeline else None
    source = source or image_source(bumped)
    kinds = _kinds(session, stack, pipeline, bumped, source, key, request)
    if request.options.destroy and is_empty(stored):
        target = desired_graph(bumped, key.key)
        register, remote_state = read_live(session, stack, target, kinds, stored, request.options)
        if unread := read_errors(remote_state):
            raise CannotCheckError(*unread)
        emptied = is_emptied(session.store, str(stack), stored)
        remark = nothing_left(stack, emptied, register, remote_state, kinds)
        return plan_for(session, bumped, target, kinds, stored, request, stack=stack, remarks=(remark,))
    planned = plan_for(
        session,
        bumped,
        desired_graph(bumped, key.key),
        kinds,
        stored,
        request,
        stack=stack,
        remarks=(*validated.diagnostics, *remarks),
        partial=partial,
    )
    if partial:  # a report builds nothing
        return planned
    planned = with_demands(session, planned)
    _refuse_time(planned)
    return _refuse_secrets(planned, source, key, session.emit)


def with_demands(session: Session, planned: PlanResult) -> PlanResult:
    """The plan with a note on missing state, and refused if it lacks the major version that it needs."""
    plan, pipeline = planned.plan, planned.pipeline
    note = state_note(
        plan.stack, planned.stored, planned.remote_state, planned.kinds, is_emptied=planned.is_emptied
    )
    if note is not None:
        plan = replace(plan, diagnostics=(*plan.diagnostics, note))
    if pipeline.config.reconciler.contract == "major":
        plan = demand_major_version(
            plan,
            planned.released,
            session,
            pipeline,
            planned.desired,
            recorded_by_address(planned.settled),
            planned.remote_state,
            planned.kinds,
            planned.running,
        )
    return replace(planned, plan=plan)


def plan_for(
    session: Session,
    pipeline: Pipeline,
    target: Graph,
    kinds: Mapping[str, ResourceKind],
    stored: Snapshot,
    request: PlanRequest,
    *,
    stack: Stack | None = None,
    remarks: Sequence[Diagnostic] = (),
    partial: bool = False,
    identities: Mapping[Address, RecordedResource] | None = None,
) -> PlanResult:
    """Plan to reach `target`, which comes from the files or from an earlier state version.

    Args:
        stored: the present state.
        stack: that of the pipeline, if it is known.
        remarks: other diagnostics for the plan.
        partial: see `make_plan`.
        identities: recorded resources whose ids find the live objects; None for those of `stored`.

    Raises: as `make_plan`.
    """
    stack = stack or session.stack(pipeline)
    desired = Graph() if request.options.destroy else target
    facts = {name: kind.facts for name, kind in kinds.items()}
    register, remote_state = read_live(session, stack, desired, kinds, stored, request.options, identities)
    unread = read_errors(remote_state)
    if unread and not partial:
        raise CannotCheckError(*unread)
    settled = settle(stored, remote_state, facts, desired)
    recorded = recorded_by_address(settled)
    worlds = Worlds(stack, pipeline, desired, stored, recorded, remote_state, kinds)
    running, problems = _running(session, worlds, partial=partial)
    unread = (*unread, *problems)

    def steps_with(applied: Appliers) -> tuple[tuple[Step, ...], tuple[Diagnostic, ...]]:
        return plan_steps(
            desired,
            recorded,
            remote_state,
            facts,
            _options(session, stack, pipeline, request),
            contested(settled, remote_state),
            unfinished_replaces(settled, remote_state),
            tags_in_use(pipeline, running),
            applied,
        )

    verb = session.verb if session.verb in _TAKING else "apply"
    taking = stack.command(request.verb(verb), *request.version_options)
    claims = PlanClaims(
        session, pipeline, stack, desired, remote_state, facts, register, request.options.take, taking
    )
    steps, warnings = steps_with({})
    if overwrites_shared(steps, facts):
        others = session.registers.states_of_others(stack.scope, claims.own)
        steps, warnings = steps_with(appliers(remote_state, others, facts))
    steps = claims.review(steps)
    plan = Plan(
        stack,
        stored.lineage if stored.serial else "",
        stored.serial,
        steps,
        (*remarks, *warnings, *_unmatched_settings(pipeline, steps)),
        sources=graph_digest(target),
        request=request.to_document(),
        changes_state=claims.own != {str(stack)} or bool(stored.intents),
    )
    if unread:
        plan = replace(plan, steps=tuple(s for s in plan.steps if s.address not in remote_state.unreadable))
    if errors := tuple(session.declared.errors(stack, pipeline, plan.steps, remote_state)):
        plan = replace(plan, diagnostics=(*plan.diagnostics, *errors))
    _refuse_unknown_addresses(request.addresses, plan)
    _refuse_paths_into_parameters(pipeline, plan)
    whole = plan
    if request.targets:
        plan = plan.only(request.targets)
    # An image runs for the callers of the processing, also if the processing itself is left out.
    releases = any(step.writes and is_published(kinds[step.address.kind]) for step in plan.steps)
    whole = whole if releases else plan
    if not partial and pipeline.config.reconciler.contract != "off":
        whole = with_contract(whole, pipeline, desired, recorded, remote_state, kinds)
        plan = replace(plan, contract=whole.contract)
    also_changes: tuple[str, ...] = ()
    if not partial:  # a report builds nothing and moves no tag
        also_changes, notes = changed_environments(session, worlds, plan)
        if pipeline.config.reconciler.image.builder == "auto":
            notes = (*notes, *_selected_builders(plan, desired, remote_state, kinds))
        source = request.promote.source if request.promote is not None else leader_of(pipeline, stack)
        plan = with_gates_of_others(session, pipeline, plan, also_changes, source, plan.options)
        plan = replace(plan, diagnostics=(*plan.diagnostics, *notes))
    return PlanResult(
        plan,
        pipeline,
        desired,
        remote_state,
        stored,
        settled,
        kinds,
        claims,
        whole,
        running,
        also_changes,
        unread,
        is_emptied=is_emptied(session.store, str(stack), stored),
    )


def _running(
    session: Session, worlds: Worlds, *, partial: bool
) -> tuple[tuple[RunningImage, ...], tuple[Diagnostic, ...]]:
    """The images that run, and what could not be read of them. Raises CannotCheckError unless `partial`."""
    problems = []
    running: tuple[RunningImage, ...] = ()
    left_behind: Mapping[Address, LiveObject] = {}
    summary = "the image in use could not be read"
    try:
        left_behind = images_left_behind(worlds)
    except ProviderError as problem:
        if partial:  # a plan that is carried out writes nothing there, so it needs no answer
            problems.append(provider_diagnostic(problem, summary))
    try:
        running = running_images(session, worlds, left_behind)
    except ProviderError as problem:
        problems.append(provider_diagnostic(problem, summary))
        if not partial:
            raise CannotCheckError(*problems) from None
    return running, tuple(problems)


def read_live(
    session: Session,
    stack: Stack,
    desired: Graph,
    kinds: Mapping[str, ResourceKind],
    stored: Snapshot,
    options: PlanOptions,
    identities: Mapping[Address, RecordedResource] | None = None,
) -> tuple[Register, RemoteState]:
    """The claims and the live objects. The register is read first, see `PlanClaims`.

    Args:
        identities: recorded resources whose ids find the live objects; None for those of `stored`.

    Raises:
        NewerFormatError: state has a kind of resource that this version does not support.
    """
    session.emit(Note(f"reading {stack}"))
    recorded = recorded_by_address(stored)
    identities = recorded if identities is None else identities
    unfinished = {Address.parse(text) for text in stored.intents}
    refuse_unknown_kinds(stack, stored, {*recorded, *identities, *unfinished}, kinds)
    facts = {name: kind.facts for name, kind in kinds.items()}
    also = {address for address in unfinished if needs_answer(address, facts, desired)}
    # What the platform runs stays what it is, whatever the files call it by now.
    also |= {address for address, one in identities.items() if image_run_by(one.inputs) is not None}
    with_children = set(options.replace)
    if options.prune or options.destroy:
        also |= set(identities)
        with_children |= set(identities) - {resource.address for resource in desired}
    register = session.registers.read(stack.scope)
    return register, refresh.read(
        desired, identities, kinds, also=also, with_children=with_children, threads=session.threads
    )


def _options(session: Session, stack: Stack, pipeline: Pipeline, request: PlanRequest) -> PlanOptions:
    """The options of the request, with the settings of the pipeline."""
    settings = pipeline.config.reconciler
    verb = "apply" if session.verb == "deploy" else session.verb  # it has the arguments of another program
    return replace(
        request.options,
        apply_command=stack.command(request.verb(verb), *request.version_options),
        ignored=ignored_fields(settings),
        protected=[Address.parse(text) for text in settings.protect],
    )


def refuse_unknown_kinds(
    stack: Stack, stored: Snapshot, addresses: Iterable[Address], kinds: Mapping[str, ResourceKind]
) -> None:
    """Raise NewerFormatError if state has a kind of resource that this version does not support."""
    unknown = sorted(str(address) for address in addresses if address.kind not in kinds)
    if unknown:
        raise NewerFormatError(
            f"the state of {stack}, written by reconciler {stored.written_by}, has {unknown[0]}, "
            "a kind of resource that this version does not support",
            hint=f"install reconciler {stored.written_by} or newer: "
            "pip install --upgrade picsellia-reconciler",
        )


def _with_bump(
    session: Session, pipeline: Pipeline, request: PlanRequest, key: SourceKey, stored: Snapshot
) -> tuple[Pipeline, list[Diagnostic]]:
    """The pipeline with the bumped version, and remarks.

    There is no bump if the version in config.toml is published from this source, unless the bump is forced,
    or turns a release into a candidate or a candidate into a release: these two re-tag the same image.
    Versions that are published from other source are skipped. A run that failed after the push leaves one, or
    a colleague who has not committed yet.

    Raises:
        CannotCheckError: the registry cannot be read.
    """
    kind, current = request.bump, pipeline.config.metadata.version
    if kind is None:
        return pipeline, []
    repository = pipeline.config.docker.image_name
    address = image_address(repository)
    recorded = stored.resources.get(str(address))
    image = image_kind(pipeline, key, session.pool, new_version=WayOut(ImageWay.NEW_VERSION))

    def published(version: Version) -> Published:
        return image.published(address.name, str(version), recorded.outputs if recorded else {})

    try:
        always = request.force_bump or promotes(current, kind)
        if not always and published(current) is Published.THIS_SOURCE:
            summary = f"nothing needs a new version: {current} is published from this source"
            return pipeline, [info(summary, "Publish it again with --force-bump.", address=str(address))]
        version, skipped = bump(current, kind), []
        while published(version) is Published.OTHER_SOURCE:
            skipped.append(str(version))
            version = bump(version, Bump.PATCH if kind is Bump.FINAL else kind)
    except ProviderError as problem:
        raise CannotCheckError(
            provider_diagnostic(problem, f"{address} could not be read", address=address)
        ) from None
    are = "is" if len(skipped) == 1 else "are"
    skipped_text = f"{', '.join(skipped)} of {repository} {are} published from other source"
    return pipeline.at(version), [info(f"{skipped_text}, so this becomes {version}")] if skipped else []


def _kinds(
    session: Session,
    stack: Stack,
    pipeline: Pipeline,
    bumped: Pipeline,
    source: ImageSource,
    key: SourceKey,
    request: PlanRequest,
) -> dict[str, ResourceKind]:
    """Every kind by its name: the platform's kinds, and the image of the pipeline's folder."""
    command = partial(stack.command, session.verb)
    before, after = pipeline.config.metadata.version, bumped.config.metadata.version
    image = image_kind(
        bumped,
        key,
        session.pool,
        source=source,
        new_version=WayOut(ImageWay.NEW_VERSION, command("--bump", "patch")),
        accept=WayOut(ImageWay.ACCEPT_FOREIGN, command("--accept-foreign")),
        accept_foreign=request.accept_foreign,
        bumped_from="" if before == after else str(before),
        announce=session.emit,
        probes=session.probes,
    )
    return kinds_of(session.platform, image)


def read_errors(remote_state: RemoteState) -> tuple[Diagnostic, ...]:
    return tuple(
        provider_diagnostic(problem, f"{address} could not be read", address=address)
        for address, problem in _distinct_problems(remote_state.unreadable)
    )


def recorded_by_address(snapshot: Snapshot) -> dict[Address, RecordedResource]:
    return {Address.parse(text): recorded for text, recorded in snapshot.resources.items()}


def _refuse_unknown_addresses(addresses: Collection[Address], plan: Plan) -> None:
    """Raise UserError if an option has the address of a resource that is not in the plan."""
    existing = [str(step.address) for step in plan.steps]
    problems = [
        error(
            f"no resource is called {address}",
            f"There are: {', '.join(existing)}.{did_you_mean(str(address), existing)}",
            in_options=True,
        )
        for address in sorted(addresses)
        if plan.step(address) is None
    ]
    if problems:
        raise UserError(*problems)


def _refuse_paths_into_parameters(pipeline: Pipeline, plan: Plan) -> None:
    """Refuse `ignore_changes` paths into a parameter: it is compared whole, so the path has no effect.

    Only the values show this, as the name of a parameter may contain a dot.
    """
    problems = []
    for text, paths in pipeline.config.reconciler.ignore_changes.items():
        step = plan.step(Address.parse(text))
        changes = {change.path: change for change in step.changes} if step else {}
        for index, path in enumerate(paths):
            if path in changes:
                continue
            for outer in sorted(other for other in changes if path.startswith(f"{other}.") and "." in other):
                if any(isinstance(value, dict) for value in (changes[outer].desired, changes[outer].live)):
                    place = pipeline.loaded.place_of("reconciler", "ignore_changes", text, index)
                    problems.append(
                        error(
                            f"{path!r} is not a part of {outer} that can be ignored",
                            f'It is compared as a whole. Write "{outer}".',
                            file=place[0],
                            line=place[1],
                        )
                    )
    if problems:
        raise UserError(*problems)


def _unmatched_settings(pipeline: Pipeline, steps: Sequence[Step]) -> Iterator[Diagnostic]:
    """Warnings for addresses and paths in `[reconciler]` that match nothing; they may be misspelt."""
    settings, loaded = pipeline.config.reconciler, pipeline.loaded
    by_address = {step.address: step for step in steps}
    names: list[tuple[str, tuple[str | int, ...]]] = [
        *((text, ("ignore_changes", text)) for text in settings.ignore_changes),
        *((text, ("protect", index)) for index, text in enumerate(settings.protect)),
    ]
    for text, place in names:
        if Address.parse(text) not in by_address and not loaded.is_inherited("reconciler", *place):
            near = did_you_mean(text, map(str, by_address))
            yield warning(
                f"[reconciler] names {text}, which is not a resource of this pipeline",
                f"There are: {', '.join(map(str, sorted(by_address)))}.{near}",
                file=loaded.path,
                line=loaded.line_of("reconciler", *place),
            )
    for text, paths in settings.ignore_changes.items():
        step = by_address.get(Address.parse(text))
        existing = {change.path for change in step.changes} if step else set()
        for index, path in enumerate(paths):
            siblings = [other for other in existing if other.startswith(f"{path.partition('.')[0]}.")]
            if "." in path and path not in existing and siblings:
                file, line = loaded.place_of("reconciler", "ignore_changes", text, index)
                yield warning(
                    f"ignore_changes names {path} of {text}, which neither the files nor the platform have",
                    f"There are: {', '.join(sorted(siblings))}.{did_you_mean(path, siblings)}",
                    file=file,
                    line=line,
                )


_SECRET = Refusal(Reason(RefusalCode.SECRET), (WayOut(Way.SEE_ERRORS),))


def _refuse_secrets(
    planned: PlanResult, source: ImageSource, key: SourceKey, announce: Announce
) -> PlanResult:
    """The plan, with a refusal if a build would put a secret into the image.

    If this source is published already, nothing is built, so there is only a warning.

    Raises:
        UserError: a file cannot be read.
    """
    plan = planned.plan
    for step in plan.steps:
        kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
        if not is_published(kind) or resource is None:
            continue
        builds = step.refusal is not None or _is_built(planned, step)
        try:
            problems = secret_findings(
                planned.pipeline, source, key=key, is_published=not builds, announce=announce
            )
        except ProviderError as problem:
            raise UserError(unreadable_context(problem, planned.pipeline.folder)) from None
        refused = step
        if step.refusal is None and has_errors(problems):
            refused = replace(step, refusal=_SECRET)
        steps = tuple(refused if each is step else each for each in plan.steps)
        plan = replace(plan, steps=steps, diagnostics=(*plan.diagnostics, *problems))
    return replace(planned, plan=plan)


def _refuse_time(planned: PlanResult) -> None:
    """Raise UserError if the plan builds an image whose creation time is invalid."""
    builds = any(_is_built(planned, step) for step in planned.plan.steps if not step.refusal)
    if builds and (problems := time_problems(planned.pipeline)):
        raise UserError(*problems)


def _is_built(planned: PlanResult, step: Step) -> bool:
    """Whether the step builds an image."""
    kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
    if not is_published(kind) or resource is None or not step.writes:
        return False
    found = planned.remote_state.found.get(step.address)
    return found is None or kind.needs_build(found, resource.fields)


def _selected_builders(
    plan: Plan, desired: Graph, remote_state: RemoteState, kinds: Mapping[str, ResourceKind]
) -> Iterator[Diagnostic]:
    """The builder of each build, and why it is selected."""
    for address, builder in _builders(plan, desired, remote_state, kinds):
        yield info(f"the image is built by {builder_text(builder)}", address=str(address))


def with_build_warnings(planned: PlanResult) -> PlanResult:
    """The plan with a warning for each image that this machine cannot build. Writes nothing.

    What `append` needs is in registries, so it is the same on every machine, and is not read for a plan.
    """
    warnings = []
    for _, builder in _builders(planned.plan, planned.desired, planned.remote_state, planned.kinds):
        if builder.name == "append":
            continue
        try:
            builder.check()
        except ProviderError as problem:
            # Without the image, so that the same problem of many pipelines is said once.
            summary = "this machine cannot build the image, so apply would fail here"
            found = provider_diagnostic(problem, summary)
            warnings.append(replace(found, severity=Severity.WARNING))
    plan = planned.plan
    return replace(planned, plan=replace(plan, diagnostics=(*plan.diagnostics, *warnings)))


def check_builders(planned: PlanResult) -> None:
    """Check that this machine can build what the plan builds. Writes nothing.

    Raises:
        UserError: it cannot.
    """
    for address, builder in _builders(planned.plan, planned.desired, planned.remote_state, planned.kinds):
        try:
            builder.check()
        except ProviderError as problem:
            summary = f"{'/'.join(address.name)} cannot be built, so nothing was changed"
            raise UserError(provider_diagnostic(problem, summary, address=address)) from None


def _builders(
    plan: Plan, desired: Graph, remote_state: RemoteState, kinds: Mapping[str, ResourceKind]
) -> Iterator[tuple[Address, SelectedBuilder]]:
    """The builder of each step that builds. Looks for none if nothing is built."""
    for step in plan.steps:
        kind, resource = kinds[step.address.kind], desired.get(step.address)
        if is_published(kind) and step.writes and not step.refusal and resource is not None:
            builder = kind.builder_for(remote_state.found.get(step.address), resource.fields)
            if builder is not None:
                yield step.address, builder


def _distinct_problems(
    unreadable: Mapping[Address, ProviderError],
) -> Iterator[tuple[Address, ProviderError]]:
    """One address for each problem. Children of an unreadable parent have the parent's problem."""
    seen: set[str] = set()
    for address in sorted(unreadable, key=lambda address: (len(address.name), address)):
        problem = unreadable[address]
        if problem.message not in seen:
            seen.add(problem.message)
            yield address, problem


def graph_digest(desired: Graph) -> str:
    """A digest of all desired fields. A saved plan is refused if it changed."""
    fields: dict[str, JSON] = {str(resource.address): dict(resource.fields) for resource in desired}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
