"""The story of `plan`: files, record and far ends are brought together. Reads only.

Brings the rooms together and decides nothing itself: what the files say is compiled, what is there is read,
and the planner compares.
"""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from uuid import uuid4

from semver import Version

from providers.docker.source.key import ImageSource, SourceKey
from providers.docker.verdicts import ImageWay
from providers.errors import ProviderError
from providers.protocol import Published, PublishedKind, ResourceKind
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.diagnostics import Diagnostic, UserError, error, has_errors, info, warning
from reconciler.core.events import Note
from reconciler.core.graph import Graph
from reconciler.core.plan import Plan, Stack, Step
from reconciler.core.planner import plan_steps
from reconciler.core.reasons import RefusalCode, Way
from reconciler.core.recovery import contested, settle, unfinished_replaces
from reconciler.core.remote import RemoteState
from reconciler.core.values import JSON, Address
from reconciler.engine import refresh
from reconciler.engine.kinds import image_kind, kinds_of
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.requests import PlanRequest
from reconciler.engine.session import CannotCheckError, Session, stack_of
from reconciler.engine.validate import ValidatedPipeline, time_problems
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.compile import desired_graph, image_address
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.secret_findings import secret_findings
from reconciler.pipeline.version import bump, promotes
from state.errors import NewerFormatError
from state.snapshot import RecordedResource, Snapshot


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A plan with everything that applying it needs.

    Attributes:
        stored: the record as it was loaded.
        settled: the same, with the writes that an earlier run left open settled by what is live.
        unread: what could not be asked, and is not in the plan; only where a part is better than nothing.
    """

    plan: Plan
    pipeline: Pipeline
    desired: Graph
    remote_state: RemoteState
    stored: Snapshot
    settled: Snapshot
    kinds: Mapping[str, ResourceKind]
    unread: tuple[Diagnostic, ...] = ()

    @property
    def foreign_version(self) -> str | None:
        """The version that another tool published, while nothing says that it is made from these files."""
        for resource in self.desired:
            kind, live = self.kinds[resource.address.kind], self.remote_state.found.get(resource.address)
            if isinstance(kind, PublishedKind) and live is not None and kind.is_foreign(live):
                return str(resource.fields["version"])
        return None


def make_plan(
    session: Session, checked: ValidatedPipeline, request: PlanRequest, *, partial: bool = False
) -> PlanResult:
    """Files -> desired; state -> recorded; far ends -> live; the three of them -> plan. Reads only.

    Args:
        partial: what cannot be asked is left out of the plan and told in `unread`, instead of raised.

    Raises:
        UserError: the files have errors, or an option names a resource that is not there.
        CannotCheckError: something live could not be asked.
        state.errors.StateError: the record cannot be read.
    """
    pipeline, key = checked.sound()
    stack = stack_of(session.target, pipeline)
    stored = session.store.load(str(stack)) or Snapshot.new(str(stack), lineage=str(uuid4()))
    if request.options.destroy and not stored.resources and not stored.intents:
        told = f"Let the record take it over first: {stack.command('apply')}"
        raise UserError(error(f"nothing is recorded of {stack}, so there is nothing to destroy", told))
    bumped, notes = _with_bump(session, pipeline, request, key, stored)
    kinds = _kinds(session, pipeline, bumped, key, request)
    pipeline, files = bumped, desired_graph(bumped, key.key)
    remarks = (*checked.diagnostics, *notes)
    planned = plan_for(session, pipeline, files, kinds, stored, request, remarks=remarks, partial=partial)
    if partial:  # a report builds nothing
        return planned
    _refuse_time(planned)
    return _refuse_secrets(planned, image_source(pipeline))


def plan_for(
    session: Session,
    pipeline: Pipeline,
    wanted: Graph,
    kinds: Mapping[str, ResourceKind],
    stored: Snapshot,
    request: PlanRequest,
    *,
    remarks: Sequence[Diagnostic] = (),
    partial: bool = False,
    known: Mapping[Address, RecordedResource] | None = None,
) -> PlanResult:
    """What it takes to have `wanted`, whoever wants it: the files, or a record of earlier.

    Args:
        stored: the record as it is.
        remarks: what the plan should tell besides.
        known: the identities to look for; those of the record when not given.

    Raises: as `make_plan`.
    """
    stack = stack_of(session.target, pipeline)
    desired = Graph() if request.options.destroy else wanted
    facts = {name: kind.facts for name, kind in kinds.items()}
    session.emit(Note(f"reading {stack} as it is now"))
    recorded = _by_address(stored)
    identities = recorded if known is None else known
    everything = request.options.prune or request.options.destroy
    also = {Address.parse(text) for text in stored.intents} | (set(identities) if everything else set())
    _refuse_unknown_kinds(stack, stored, {*recorded, *identities, *also}, kinds)
    remote_state = refresh.read(desired, identities, kinds, also=also, threads=session.threads)
    unread = _unread(remote_state)
    if unread and not partial:
        raise CannotCheckError(*unread)
    settled = settle(stored, remote_state, facts)
    if settled is not stored:
        recorded = _by_address(settled)

    options = replace(
        request.options,
        apply_command=stack.command(session.verb, *request.version_options),
        ignored={
            Address.parse(text): fields for text, fields in pipeline.config.reconciler.ignore_changes.items()
        },
        protected=[Address.parse(text) for text in pipeline.config.reconciler.protect],
    )
    steps, told = plan_steps(
        desired,
        recorded,
        remote_state,
        facts,
        options,
        contested(settled, remote_state),
        unfinished_replaces(settled, remote_state),
    )
    plan = Plan(
        stack,
        stored.lineage if stored.serial else "",
        stored.serial,
        steps,
        (*remarks, *told, *_names_nothing(pipeline, steps)),
        sources=_digest_of(wanted),
        request=request.to_document(),
    )
    if unread:
        plan = replace(plan, steps=tuple(s for s in plan.steps if s.address not in remote_state.unreadable))
    _refuse_unknown(request.addresses, plan)
    _refuse_inside(pipeline, plan)
    if request.targets:
        plan = plan.only(request.targets)
    if pipeline.config.reconciler.image.builder == "auto" and not partial:  # a report builds nothing
        named = _builders_named(plan, desired, remote_state, kinds)
        plan = replace(plan, diagnostics=(*plan.diagnostics, *named))
    return PlanResult(plan, pipeline, desired, remote_state, stored, settled, kinds, unread)


def _refuse_unknown_kinds(
    stack: Stack, stored: Snapshot, addresses: Iterable[Address], kinds: Mapping[str, ResourceKind]
) -> None:
    """Raises NewerFormatError: state has a kind of resource that this version does not know."""
    unknown = sorted(str(address) for address in addresses if address.kind not in kinds)
    if unknown:
        raise NewerFormatError(
            f"the record of {stack}, written by reconciler {stored.written_by}, holds {unknown[0]}, "
            "and this version knows no such kind",
            hint=f"install reconciler {stored.written_by} or newer: "
            "pip install --upgrade picsellia-reconciler",
        )


def _with_bump(
    session: Session, pipeline: Pipeline, request: PlanRequest, key: SourceKey, stored: Snapshot
) -> tuple[Pipeline, list[Diagnostic]]:
    """The pipeline as it will be once the bump is published, and remarks.

    A bump is carried out only where the version in config.toml is not published from this very source, unless
    it is forced, or makes a candidate of a release or a release of a candidate: those two name the image that
    is there. Versions that are published from
    other source are used up, as by a run that failed after the push, or by a colleague who has not committed
    yet: the first free one is taken.

    Raises:
        CannotCheckError: the registry could not be asked.
    """
    kind, current = request.bump, pipeline.config.metadata.version
    if kind is None:
        return pipeline, []
    repository = pipeline.config.docker.image_name
    address = image_address(repository)
    record = stored.resources.get(str(address))
    image = image_kind(pipeline, key, session.pool, new_version=WayOut(ImageWay.NEW_VERSION))

    def published(version: Version) -> Published:
        return image.published(address.name, str(version), record.outputs if record else {})

    try:
        makes_sense = request.force_bump or promotes(current, kind)
        if not makes_sense and published(current) is Published.THIS_SOURCE:
            told = f"nothing needs a new version: {current} is published from this source"
            way = "Publish it once more with --force-bump."
            return pipeline, [info(told, way, address=str(address))]
        version, taken = bump(current, kind), []
        while published(version) is Published.OTHER_SOURCE:
            taken.append(str(version))
            version = bump(version, Bump.PATCH if kind is Bump.FINAL else kind)
    except ProviderError as problem:
        raise CannotCheckError(
            provider_diagnostic(problem, f"{address} could not be read", address=address)
        ) from None
    are = "is" if len(taken) == 1 else "are"
    remarks = [
        info(
            f"{', '.join(taken)} of {repository} {are} published from other source, so this becomes {version}"
        )
    ]
    return pipeline.at(version), remarks if taken else []


def _kinds(
    session: Session, pipeline: Pipeline, bumped: Pipeline, key: SourceKey, request: PlanRequest
) -> dict[str, ResourceKind]:
    """Every kind by its name: those of the platform, and the image of this folder."""
    command = partial(stack_of(session.target, bumped).command, session.verb)
    before, after = pipeline.config.metadata.version, bumped.config.metadata.version
    image = image_kind(
        bumped,
        key,
        session.pool,
        new_version=WayOut(ImageWay.NEW_VERSION, command("--bump", "patch")),
        accept=WayOut(ImageWay.ACCEPT_FOREIGN, command("--accept-foreign")),
        accept_foreign=request.accept_foreign,
        bumped_from="" if before == after else str(before),
    )
    return kinds_of(session.platform, image)


def _unread(remote_state: RemoteState) -> tuple[Diagnostic, ...]:
    """What could not be asked, and why."""
    return tuple(
        provider_diagnostic(problem, f"{address} could not be read", address=address)
        for address, problem in _one_each(remote_state.unreadable)
    )


def _by_address(snapshot: Snapshot) -> dict[Address, RecordedResource]:
    return {Address.parse(text): record for text, record in snapshot.resources.items()}


def _refuse_unknown(addresses: Collection[Address], plan: Plan) -> None:
    """An option that names a resource which is not there is a mistake, not a wish that is granted."""
    known = [str(step.address) for step in plan.steps]
    problems = [
        error(f"no resource is called {address}", f"There are: {', '.join(known)}.")
        for address in sorted(addresses)
        if plan.step(address) is None
    ]
    if problems:
        raise UserError(*problems)


def _refuse_inside(pipeline: Pipeline, plan: Plan) -> None:
    """Refuse a path into a parameter: it is compared as a whole, so the path would protect nothing.

    Only the values show that it is one: the name of a parameter may hold a dot.
    """
    problems = []
    for text, paths in pipeline.config.reconciler.ignore_changes.items():
        step = plan.step(Address.parse(text))
        there = {change.path: change for change in step.changes} if step else {}
        for index, path in enumerate(paths):
            if path in there:
                continue
            for outer in sorted(other for other in there if path.startswith(f"{other}.") and "." in other):
                if any(isinstance(value, dict) for value in (there[outer].desired, there[outer].live)):
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


def _names_nothing(pipeline: Pipeline, steps: Sequence[Step]) -> Iterator[Diagnostic]:
    """Addresses and keys in `[reconciler]` that match nothing: they protect nothing, and may be misspelt."""
    settings, loaded = pipeline.config.reconciler, pipeline.loaded
    known = {step.address: step for step in steps}
    names: list[tuple[str, tuple[str | int, ...]]] = [
        *((text, ("ignore_changes", text)) for text in settings.ignore_changes),
        *((text, ("protect", index)) for index, text in enumerate(settings.protect)),
    ]
    for text, place in names:
        if Address.parse(text) not in known and not loaded.is_inherited("reconciler", *place):
            near = did_you_mean(text, map(str, known))
            yield warning(
                f"[reconciler] names {text}, which is no resource of this pipeline",
                f"There are: {', '.join(map(str, sorted(known)))}.{near}",
                file=loaded.path,
                line=loaded.line_of("reconciler", *place),
            )
    for text, paths in settings.ignore_changes.items():
        step = known.get(Address.parse(text))
        there = {change.path for change in step.changes} if step else set()
        for index, path in enumerate(paths):
            beside = [other for other in there if other.startswith(f"{path.partition('.')[0]}.")]
            if "." in path and path not in there and beside:
                file, line = loaded.place_of("reconciler", "ignore_changes", text, index)
                yield warning(
                    f"ignore_changes names {path} of {text}, which neither the files nor the platform have",
                    f"There are: {', '.join(sorted(beside))}.{did_you_mean(path, beside)}",
                    file=file,
                    line=line,
                )


_SECRET = Refusal(Reason(RefusalCode.SECRET), (WayOut(Way.SEE_ERRORS),))


def _refuse_secrets(planned: PlanResult, source: ImageSource) -> PlanResult:
    """The plan, refused where its build would put a secret into the image.

    Where this source is published already, nothing is built, and the plan warns only.
    """
    plan = planned.plan
    for step in plan.steps:
        kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
        if not isinstance(kind, PublishedKind) or resource is None:
            continue
        builds = step.refusal is not None or _is_built(planned, step)
        problems = secret_findings(planned.pipeline, source, date.today(), is_published=not builds)
        refused = step
        if step.refusal is None and has_errors(problems):
            refused = replace(step, refusal=_SECRET)
        steps = tuple(refused if each is step else each for each in plan.steps)
        plan = replace(plan, steps=steps, diagnostics=(*plan.diagnostics, *problems))
    return replace(planned, plan=plan)


def _refuse_time(planned: PlanResult) -> None:
    """Raises UserError if the plan builds an image that cannot get a time."""
    builds = any(_is_built(planned, step) for step in planned.plan.steps if not step.refusal)
    if builds and (problems := time_problems(planned.pipeline)):
        raise UserError(*problems)


def _is_built(planned: PlanResult, step: Step) -> bool:
    """Whether applying this step builds an image."""
    kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
    if not isinstance(kind, PublishedKind) or resource is None or not step.writes:
        return False
    found = planned.remote_state.found.get(step.address)
    return found is None or kind.needs_build(found, resource.fields)


def _builders_named(
    plan: Plan, desired: Graph, remote_state: RemoteState, kinds: Mapping[str, ResourceKind]
) -> Iterator[Diagnostic]:
    """What each build would be made with, and why. Nothing is asked when there is nothing to build."""
    for step in plan.steps:
        kind, resource = kinds[step.address.kind], desired.get(step.address)
        if isinstance(kind, PublishedKind) and step.writes and not step.refusal and resource is not None:
            builder = kind.builder_for(remote_state.found.get(step.address), resource.fields)
            if builder is not None:
                yield info(f"built by {builder.name}: {builder.reason}", address=str(step.address))


def _one_each(unreadable: Mapping[Address, ProviderError]) -> Iterator[tuple[Address, ProviderError]]:
    """One address per problem: children of an unreadable parent carry the parent's problem."""
    seen: set[str] = set()
    for address in sorted(unreadable, key=lambda address: (len(address.name), address)):
        problem = unreadable[address]
        if problem.message not in seen:
            seen.add(problem.message)
            yield address, problem


def _digest_of(desired: Graph) -> str:
    """One digest of everything that the files ask for, so that a saved plan can tell when they changed."""
    fields: dict[str, JSON] = {str(resource.address): dict(resource.fields) for resource in desired}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
