"""One readable function per command: the story from a folder to a plan, and from a plan to a converged world.

Brings the rooms together and decides nothing itself. Never prints and never asks: what happens goes to
`emit`, what goes wrong is raised as a UserError, a question is a function that the caller gives.
"""

import hashlib
import json
import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version as installed_version
from pathlib import Path
from uuid import uuid4

from providers.docker.builders import select
from providers.docker.connection import Wire
from providers.docker.demands import SettingError
from providers.docker.image import ImageKind, is_taken
from providers.docker.registry import RegistryClient
from providers.docker.source import ImageSource, SourceKey, fingerprint
from providers.errors import ProviderError, TransientError
from providers.pace import Pace
from providers.picsellia import Platform
from providers.picsellia import kinds as platform_kinds
from providers.protocol import CheckedKind, ResourceKind
from reconciler import live
from reconciler.apply import Result, Walk
from reconciler.compile import desired_graph, image_address
from reconciler.credentials import Target
from reconciler.diagnostics import Diagnostic, UserError, error, has_errors, info, warning
from reconciler.events import Emit, Note, Notice
from reconciler.files import locked, replace_file
from reconciler.graph import Graph
from reconciler.pipeline.edit import Edits, edited
from reconciler.pipeline.load import Pipeline, load_pipeline
from reconciler.pipeline.version import Bump, bump
from reconciler.plan import Plan, Stack
from reconciler.planner import Options, plan_steps
from reconciler.recovery import contested, settle
from reconciler.runs import this_run
from reconciler.saved import Moved, moved, refusal
from reconciler.sources import image_labels, image_source, not_source
from reconciler.values import JSON, Address
from reconciler.world import World
from state.lock import is_gone
from state.recorder import Recorder, now
from state.snapshot import RecordedResource, Snapshot
from state.store import Store

VERSION = installed_version("picsellia-reconciler")


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of a pipeline are read.

    Attributes:
        python: the interpreter for classes that need code to run; None for the pipeline's own, then ours.
        static_only: never run code of a pipeline.
        timeout: seconds that a class may take.
        environment: whose overlay of config.toml counts; None for what all of them share.
    """

    python: Path | None = None
    static_only: bool = False
    timeout: float = 30.0
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asks of a plan, for every pipeline of the command."""

    bump: Bump | None = None
    options: Options = field(default_factory=Options)
    targets: Collection[Address] = ()

    @property
    def addresses(self) -> set[Address]:
        """Every address that an option names."""
        options = self.options
        return {*self.targets, *options.replace, *(options.ours or ()), *(options.theirs or ())}

    def to_document(self) -> dict[str, JSON]:
        """As a saved plan carries it, to be made again."""
        options = self.options
        return {
            "bump": self.bump.value if self.bump else None,
            "targets": sorted(map(str, self.targets)),
            "ours": None if options.ours is None else sorted(map(str, options.ours)),
            "theirs": None if options.theirs is None else sorted(map(str, options.theirs)),
            "replace": sorted(map(str, options.replace)),
            "prune": options.prune,
            "destroy": options.destroy,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, JSON]) -> "Wishes":
        """What `to_document` wrote. Raises ValueError, KeyError or TypeError for anything else."""
        if set(document) != set(cls().to_document()):
            raise ValueError(f"the plan was asked for with {', '.join(map(str, document)) or 'nothing'}")

        def addresses(name: str) -> tuple[Address, ...] | None:
            return None if document[name] is None else tuple(map(Address.parse, document[name]))

        return cls(
            Bump(document["bump"]) if document["bump"] else None,
            Options(
                ours=addresses("ours"),
                theirs=addresses("theirs"),
                replace=addresses("replace") or (),
                prune=document["prune"],
                destroy=document["destroy"],
            ),
            addresses("targets") or (),
        )


@dataclass(frozen=True, slots=True)
class Checked:
    """What a pipeline's files say, as far as they could be read.

    Attributes:
        pipeline: None when config.toml has errors.
        key: of the image's source; None when it could not be read.
        diagnostics: everything that is wrong or worth knowing.
    """

    pipeline: Pipeline | None
    key: SourceKey | None
    diagnostics: tuple[Diagnostic, ...]

    def sound(self) -> tuple[Pipeline, SourceKey]:
        """The pipeline and its source key. Raises UserError, with all that was found, on errors."""
        if self.pipeline is None or self.key is None or has_errors(self.diagnostics):
            raise UserError(*self.diagnostics)
        return self.pipeline, self.key


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan with everything that applying it needs.

    Attributes:
        stored: the record as it was loaded.
        settled: the same, with the writes that an earlier run left open settled by what is live.
        unread: what could not be asked, and is not in the plan; only where a part is better than nothing.
    """

    plan: Plan
    pipeline: Pipeline
    desired: Graph
    world: World
    stored: Snapshot
    settled: Snapshot
    kinds: Mapping[str, ResourceKind]
    unread: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """How an apply ended.

    Attributes:
        planned: what was to be done.
        result: how each step ended; None when nothing was done, because it was refused or declined.
        config_written: whether config.toml has the pipeline's edits now: a new version, answers to questions.
        moved: what is not as the saved plan said, and so was not touched.
    """

    planned: Planned
    result: Result | None
    config_written: bool = False
    moved: tuple[Moved, ...] = ()


@dataclass(frozen=True, slots=True)
class Session:
    """One environment, one store, any number of pipelines."""

    target: Target
    platform: Platform
    store: Store
    emit: Emit
    stop: threading.Event = field(default_factory=threading.Event)
    verb: str = "apply"
    """The command that a hint names as the way on."""
    wire: Wire = field(default_factory=lambda: Wire(Pace()))
    """Connections to registries, which all pipelines share."""
    threads: int = live.THREADS
    """Reads at once for one pipeline."""


class CannotCheckError(UserError):
    """Something could not be asked, so nothing can be said of it, in sync or not."""


class RefusedPlanError(UserError):
    """A saved plan is not one for these files or this record any more."""


@contextmanager
def session(
    target: Target,
    store: Store,
    emit: Emit,
    stop: threading.Event,
    *,
    verb: str = "apply",
    rps: float | None = None,
) -> Iterator[Session]:
    """Sign in to the platform; everything is closed at the end of the block.

    Args:
        rps: most requests a second, to all far ends together; None for as many as there are.

    Raises:
        CannotCheckError: the platform cannot be reached.
        UserError: it does not know the token or the organization.
    """
    emit(Note(f"signing in to {target.host} as {target.organization}"))
    pace = Pace(rps)
    try:
        platform = Platform(target.host, target.token, target.organization, pace=pace)
    except ProviderError as problem:
        told = _far_end(problem, f"cannot work with {target.organization}@{target.environment}")
        if isinstance(problem, TransientError):
            raise CannotCheckError(told) from None
        raise UserError(told) from None
    with platform, store, Wire(pace) as wire:
        yield Session(target, platform, store, emit, stop, verb, wire)


def validate(folder: Path, reading: Reading, edits: Edits | None = None) -> Checked:
    """Read and check a pipeline's files, classes and build context included. Asks no far end.

    Args:
        edits: values that config.toml is read with, and gets once they are deployed.
    """
    pipeline, found = load_pipeline(
        folder,
        python=reading.python,
        static_only=reading.static_only,
        timeout=reading.timeout,
        edits=edits,
        environment=reading.environment,
    )
    if pipeline is None:
        return Checked(None, None, found)
    problems = [*found]
    if not pipeline.config.docker.image_name:
        problems.append(
            error(
                "docker.image_name is empty",
                'Name the image in config.toml, for example image_name = "user/my_pipeline".',
                file=pipeline.loaded.path,
                line=pipeline.loaded.line_of("docker", "image_name"),
            )
        )
    key = None
    try:
        key = fingerprint(image_source(pipeline))
    except ProviderError as problem:
        problems.append(_far_end(problem, "the image's build context cannot be read", file=folder))
    for name, why in not_source(key.files if key is not None else ()):
        told = f"{why}, which wants a new version. Add {name} to .dockerignore."
        problems.append(warning(f"the image would hold the folder {name}", told, file=folder))
    return Checked(pipeline, key, tuple(problems))


def make_plan(session: Session, checked: Checked, wishes: Wishes, *, partial: bool = False) -> Planned:
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
    if wishes.options.destroy and not stored.resources and not stored.intents:
        told = f"Let the record take it over first: {stack.command('apply')}"
        raise UserError(error(f"nothing is recorded of {stack}, so there is nothing to destroy", told))
    pipeline, taken = _as_bumped(session, pipeline, wishes.bump, key)
    kinds = _kinds(session, pipeline, image_source(pipeline), key)
    files = desired_graph(pipeline, key.key)
    remarks = (*checked.diagnostics, *taken)
    return plan_for(session, pipeline, files, kinds, stored, wishes, remarks=remarks, partial=partial)


def plan_for(
    session: Session,
    pipeline: Pipeline,
    wanted: Graph,
    kinds: Mapping[str, ResourceKind],
    stored: Snapshot,
    wishes: Wishes,
    *,
    remarks: Sequence[Diagnostic] = (),
    partial: bool = False,
    known: Mapping[Address, RecordedResource] | None = None,
) -> Planned:
    """What it takes to have `wanted`, whoever wants it: the files, or a record of earlier.

    Args:
        stored: the record as it is.
        remarks: what the plan should tell besides.
        known: the identities to look for; those of the record when not given.

    Raises: as `make_plan`.
    """
    stack = stack_of(session.target, pipeline)
    desired = Graph() if wishes.options.destroy else wanted
    facts = {name: kind.facts for name, kind in kinds.items()}
    session.emit(Note(f"reading {stack} as it is now"))
    recorded = known or _by_address(stored)
    everything = wishes.options.prune or wishes.options.destroy
    also = {Address.parse(text) for text in stored.intents} | (set(recorded) if everything else set())
    world = live.read(desired, recorded, kinds, also=also, threads=session.threads)
    unread = _unread(world)
    if unread and not partial:
        raise CannotCheckError(*unread)
    settled = settle(stored, world, facts)

    bump_option = ["--bump", wishes.bump.value] if wishes.bump else []
    options = replace(
        wishes.options,
        again=stack.command(session.verb, *bump_option),
        ignored={
            Address.parse(text): fields for text, fields in pipeline.config.reconciler.ignore_changes.items()
        },
        protected=[Address.parse(text) for text in pipeline.config.reconciler.protect],
    )
    steps, told = plan_steps(desired, _by_address(settled), world, facts, options, contested(settled, world))
    plan = Plan(
        stack,
        stored.lineage if stored.serial else "",
        stored.serial,
        steps,
        (*remarks, *told),
        sources=_digest_of(wanted),
        asked=wishes.to_document(),
    )
    if unread:
        plan = replace(plan, steps=tuple(s for s in plan.steps if s.address not in world.unreadable))
    _refuse_unknown(wishes.addresses, plan)
    if wishes.targets:
        plan = plan.only(wishes.targets)
    if pipeline.config.reconciler.image.builder == "auto" and not partial:  # a report builds nothing
        named = _builders_named(plan, desired, world, kinds)
        plan = replace(plan, diagnostics=(*plan.diagnostics, *named))
    return Planned(plan, pipeline, desired, world, stored, settled, kinds, unread)


def apply_plan(
    session: Session,
    checked: Checked,
    wishes: Wishes,
    *,
    approve: Callable[[Planned, bool], bool],
    parallel: int,
    lock_timeout: float,
    command: Sequence[str],
    saved: Plan | None = None,
    skip_moved: bool = False,
    choose_bump: Callable[[Planned], Bump | None] | None = None,
) -> Applied:
    """Plan what the files say, and do it: `carry_out` with `make_plan`.

    Args:
        approve: is shown the plan that is about to be applied, and says whether to go on; its second
            argument is whether the user has to be asked.
        saved: a plan that was approved before; only what it said is done, and nobody is asked.
        skip_moved: do the rest of a saved plan when a part of the world has moved, instead of nothing.
        choose_bump: is shown a plan that was made without a bump, and says which one it should have.

    Raises: as `carry_out`.
    """
    pipeline, key = checked.sound()

    def make() -> Planned:
        planned = make_plan(session, checked, wishes)
        if choose_bump is not None and wishes.bump is None and (kind := choose_bump(planned)):
            planned = make_plan(session, checked, replace(wishes, bump=kind))
        return planned

    return carry_out(
        session,
        pipeline,
        make,
        key=key,
        writes_config=bool(wishes.bump or choose_bump or pipeline.loaded.edits),
        approve=approve,
        parallel=parallel,
        lock_timeout=lock_timeout,
        command=command,
        saved=saved,
        skip_moved=skip_moved,
    )


def carry_out(
    session: Session,
    pipeline: Pipeline,
    make: Callable[[], Planned],
    *,
    key: SourceKey | None,
    writes_config: bool,
    approve: Callable[[Planned, bool], bool],
    parallel: int,
    lock_timeout: float,
    command: Sequence[str],
    saved: Plan | None = None,
    skip_moved: bool = False,
) -> Applied:
    """Plan under the lock, ask, check what can be checked, walk the plan, and only then write config.toml.

    Args:
        make: makes the plan; called once the lock is had.
        key: of the source that the plan is made from; None when it is not made from the folder.
        writes_config: whether config.toml may be written in the end.
        approve, parallel, lock_timeout, command, saved, skip_moved: see `apply_plan`.

    Raises:
        UserError: as of `make`, or a check before the first write failed.
        state.errors.StateError: the lock is held by another run, or the record cannot be saved.
    """
    stack = str(stack_of(session.target, pipeline))
    run = this_run(pipeline.folder, command)
    waited = False

    def waiting(holder: object) -> None:
        nonlocal waited
        waited = True
        session.emit(Notice(f"waiting for {holder}"))

    # Another stack's run of the same folder has a lock of its own, and writes the same config.toml.
    path = pipeline.loaded.path
    alone = locked(path, timeout=lock_timeout, waiting=lambda: waiting(f"another run that writes {path}"))
    with (
        session.store.lock(stack, run, timeout=lock_timeout, waiting=waiting) as lock,
        alone if writes_config else nullcontext(),
    ):
        if lock.took_over is not None:
            why = "its process is gone" if is_gone(lock.took_over) else "it had expired"
            session.emit(Notice(f"took over the lock of {lock.took_over}: {why}"))
        _refuse_edited(pipeline, key if waited else None)
        planned = make()
        away: tuple[Moved, ...] = ()
        if saved is not None:
            reason = refusal(saved, planned.plan)
            if reason:
                raise RefusedPlanError(
                    error("the saved plan does not fit any more", f"{reason}. Plan again.")
                )
            away = moved(saved, planned.plan)
            if away and not skip_moved:
                return Applied(planned, None, moved=away)
            rest = planned.plan.without([found.address for found in away])
            planned = replace(planned, plan=rest)
        if not planned.plan.can_apply:
            return Applied(planned, None)
        writes = any(step.writes for step in planned.plan.steps)
        asks = saved is None and (writes or bool(planned.plan.asked.get("destroy")))
        if not approve(planned, asks):
            return Applied(planned, None)
        if writes:
            _check_writes(planned)
            if planned.pipeline.loaded.edits:
                _check_config(planned.pipeline)
        recorder = Recorder(session.store, planned.stored, lock=lock, written_by=VERSION)
        recorder.update(lambda _: planned.settled)
        walk = Walk(
            planned.plan,
            planned.desired,
            planned.world.found,
            planned.kinds,
            recorder,
            emit=session.emit,
            stop=session.stop,
            parallel=parallel,
            now=now,
            run=run.id,
        )
        result = walk()
        written = result.succeeded and bool(planned.pipeline.loaded.edits) and not away
        if written:
            _write_config(planned.pipeline)
    return Applied(planned, result, config_written=written, moved=away)


def _refuse_edited(pipeline: Pipeline, key: SourceKey | None) -> None:
    """What was read before the lock was had must still be so: another run may have published a version.

    Args:
        key: of the source as it was read, where there was time to edit it; None to look at config.toml only.
    """
    path = pipeline.loaded.path
    try:
        same = path.read_bytes() == pipeline.loaded.on_disk.encode()
        same = same and (key is None or key == fingerprint(image_source(pipeline)))
    except (OSError, ProviderError):
        same = False
    if not same:
        told = "Nothing was changed. Run the same command again."
        raise UserError(error("the pipeline's files changed after they were read", told, file=path))


def _write_config(pipeline: Pipeline) -> None:
    path, version = pipeline.loaded.path, pipeline.config.metadata.version
    try:
        # As it is now: somebody may have edited it since it was read.
        replace_file(path, edited(path.read_bytes().decode(), pipeline.loaded.edits).encode())
    except (OSError, ValueError) as problem:
        why = getattr(problem, "strerror", problem)
        told = f"{why}. {version} is published and registered; write the version there by hand."
        raise UserError(error("config.toml could not be written", told, file=path)) from None


def _check_config(pipeline: Pipeline) -> None:
    """config.toml is written last, but has to be writable first."""
    path = pipeline.loaded.path
    if not (os.access(path, os.W_OK) and os.access(path.resolve().parent, os.W_OK)):
        told = "The new version would have to be written there. Nothing was changed."
        raise UserError(error("config.toml cannot be written", told, file=path))


def username(session: Session) -> str:
    """Whom the token belongs to. Raises UserError when the platform does not say."""
    try:
        return session.platform.username()
    except ProviderError as problem:
        raise UserError(_far_end(problem, f"{session.target.host} does not say who this is")) from None


def stack_of(target: Target, pipeline: Pipeline) -> Stack:
    """The stack that this pipeline is there."""
    return Stack(target.organization, target.environment, target.host, pipeline.name)


def _as_bumped(
    session: Session, pipeline: Pipeline, kind: Bump | None, key: SourceKey
) -> tuple[Pipeline, list[Diagnostic]]:
    """The pipeline as it will be once the bump is published, and remarks.

    Versions that are published from other source are used up, as by a run that failed after the push, or by
    a colleague who has not committed yet: the first free one is taken.

    Raises:
        CannotCheckError: the registry could not be asked.
    """
    if kind is None:
        return pipeline, []
    repository = pipeline.config.docker.image_name
    version, taken = bump(pipeline.config.metadata.version, kind), []
    try:
        with RegistryClient(repository, wire=session.wire) as registry:
            while is_taken(registry, str(version), pipeline.config.reconciler.image.platform, key.key):
                taken.append(str(version))
                version = bump(version, Bump.PATCH if kind is Bump.FINAL else kind)
    except ProviderError as problem:
        address = image_address(repository)
        raise CannotCheckError(_far_end(problem, f"{address} could not be read", address=address)) from None
    remarks = [
        info(f"{', '.join(taken)} of {repository} is published from other source, so this becomes {version}")
    ]
    return pipeline.at(version), remarks if taken else []


def _kinds(
    session: Session, pipeline: Pipeline, source: ImageSource, key: SourceKey
) -> dict[str, ResourceKind]:
    """Every kind by its name: those of the platform, and the image of this folder."""
    image = ImageKind(
        pipeline.config.docker.image_name,
        source,
        key,
        builder=cache(lambda: select(pipeline.config.reconciler.image.builder, source)),
        labels=lambda: image_labels(pipeline),
        bump_hint="publish it as a new version:  "
        + stack_of(session.target, pipeline).command(session.verb, "--bump", "patch"),
        connect=partial(RegistryClient, wire=session.wire),
    )
    return {**platform_kinds(session.platform), "image": image}


def _unread(world: World) -> tuple[Diagnostic, ...]:
    """What could not be asked, and why."""
    return tuple(
        _far_end(problem, f"{address} could not be read", address=address)
        for address, problem in _one_each(world.unreadable)
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


def _builders_named(
    plan: Plan, desired: Graph, world: World, kinds: Mapping[str, ResourceKind]
) -> Iterator[Diagnostic]:
    """What each build would be made with, and why. Nothing is asked when there is nothing to build."""
    for step in plan.steps:
        kind, resource = kinds[step.address.kind], desired.get(step.address)
        if isinstance(kind, ImageKind) and step.writes and not step.refusal and resource is not None:
            builder = kind.builder_for(world.found.get(step.address), resource.fields)
            if builder is not None:
                yield info(f"built by {builder.name}: {builder.reason}", address=str(step.address))


def _check_writes(planned: Planned) -> None:
    """Everything that can be checked is checked before the first write; all that is wrong is told at once."""
    problems = []
    for step in planned.plan.steps:
        kind, resource = planned.kinds[step.address.kind], planned.desired.get(step.address)
        if not step.writes or resource is None or not isinstance(kind, CheckedKind):
            continue
        try:
            kind.check(step.address.name, planned.world.found.get(step.address), resource.fields)
        except ProviderError as problem:
            what = f"{step.address} cannot be written, so nothing was changed"
            told = _far_end(problem, what, address=step.address)
            if isinstance(problem, SettingError):
                loaded = planned.pipeline.loaded
                line = loaded.line_of("reconciler", "image", problem.setting)
                told = replace(told, file=loaded.path, line=line)
            problems.append(told)
    if problems:
        raise UserError(*problems)


def _one_each(unreadable: Mapping[Address, ProviderError]) -> Iterator[tuple[Address, ProviderError]]:
    """One address per problem: children of an unreadable parent carry the parent's problem."""
    seen: set[str] = set()
    for address in sorted(unreadable, key=lambda address: (len(address.name), address)):
        problem = unreadable[address]
        if problem.message not in seen:
            seen.add(problem.message)
            yield address, problem


def _far_end(
    problem: ProviderError, summary: str, *, address: Address | None = None, file: Path | None = None
) -> Diagnostic:
    detail = f"{problem.message}." + (f"\n{problem.hint}" if problem.hint else "")
    return error(summary, detail, address=str(address) if address else "", file=file)


def _digest_of(desired: Graph) -> str:
    """One digest of everything that the files ask for, so that a saved plan can tell when they changed."""
    fields: dict[str, JSON] = {str(resource.address): dict(resource.fields) for resource in desired}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
