"""Signed in to one environment, with a store: where every story begins. And what the files say, before that.

Never prints and never asks: what happens goes to `emit`, what goes wrong is raised as a UserError.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version as installed_version
from pathlib import Path

from providers.docker.registry.connection import ConnectionPool
from providers.docker.source.key import SourceKey, dockerfile, fingerprint
from providers.errors import ExistsError, ProviderError, RefusedError, TransientError, UnexpectedError
from providers.picsellia import Platform
from providers.picsellia import kinds as platform_kinds
from providers.protocol import Reference
from providers.rate_limit import RateLimiter
from reconciler.core.diagnostics import Diagnostic, UserError, error, has_errors, warning
from reconciler.core.events import Emit, Note, Notice
from reconciler.core.plan import Stack
from reconciler.core.platforms import older_names
from reconciler.core.values import Address
from reconciler.credentials.target import Target
from reconciler.engine import refresh
from reconciler.engine.requests import ReadOptions
from reconciler.pipeline.contents import missing_files, missing_in_context, unused_inputs_classes
from reconciler.pipeline.image_source import image_source, unneeded_folders
from reconciler.pipeline.load import Pipeline, load_pipeline
from reconciler.pipeline.toml.toml_edits import Edits
from state.renaming import RenamingStore
from state.snapshot import Snapshot
from state.stores.base import Store

VERSION = installed_version("picsellia-reconciler")


@dataclass(frozen=True, slots=True)
class ValidatedPipeline:
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
class Session:
    """One environment, one store, any number of pipelines."""

    target: Target
    platform: Platform
    store: Store
    emit: Emit
    stop: threading.Event = field(default_factory=threading.Event)
    verb: str = "apply"
    """The command that a hint names as the way on."""
    pool: ConnectionPool = field(default_factory=lambda: ConnectionPool(RateLimiter()))
    """Connections to registries, which all pipelines share."""
    threads: int = refresh.THREADS
    """Reads at once for one pipeline."""


class CannotCheckError(UserError):
    """Something could not be asked, so nothing can be said of it, in sync or not."""


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
    limiter = RateLimiter(rps, announce=emit)
    try:
        platform = Platform(target.host, target.token, target.organization, limiter=limiter)
    except ProviderError as problem:
        told = provider_diagnostic(problem, f"cannot work with {target.organization}@{target.environment}")
        if isinstance(problem, TransientError | UnexpectedError | ExistsError | RefusedError):
            raise CannotCheckError(told) from None
        raise UserError(told) from None
    found = RenamingStore(
        store,
        find_older_names=lambda stack, names: _older(target, stack, names),
        belongs=lambda state: _is_of(platform, state),
        notify=lambda text: emit(Notice(text)),
    )
    with platform, found, ConnectionPool(limiter) as pool:
        yield Session(target, platform, found, emit, stop, verb, pool)


def _older(target: Target, stack: str, names: Iterable[str]) -> list[str]:
    """The names under which earlier versions may have kept the state of a stack of this target."""
    root = str(Stack(target.organization, target.environment, target.host, ""))
    return older_names(target.organization, target.host, stack.removeprefix(root), names)


def _is_of(platform: Platform, state: Snapshot) -> bool:
    """Whether an object that this state knows by its id is on this platform: no other one has the id.

    Raises:
        CannotCheckError: the platform cannot be asked.
    """
    kinds = platform_kinds(platform)
    for text, recorded in state.resources.items():
        address = Address.parse(text)
        if address.kind not in ("processing", "model"):
            continue
        try:
            live = kinds[address.kind].read(Reference(address.name, recorded.id))
        except ProviderError as problem:
            raise CannotCheckError(
                provider_diagnostic(problem, f"{address} could not be read", address=address)
            ) from None
        if live is not None and live.id == recorded.id:
            return True
    return False


def registries(emit: Emit) -> ConnectionPool:
    """Connections to registries, for what needs no platform."""
    return ConnectionPool(RateLimiter(announce=emit))


def validate(folder: Path, read_options: ReadOptions, edits: Edits | None = None) -> ValidatedPipeline:
    """Read and check a pipeline's files, classes and build context included. Asks no far end.

    Args:
        edits: values that config.toml is read with, and gets once they are deployed.
    """
    pipeline, found = load_pipeline(
        folder,
        python=read_options.python,
        static_only=read_options.static_only,
        timeout=read_options.timeout,
        edits=edits,
        environment=read_options.environment,
    )
    if pipeline is None:
        return ValidatedPipeline(None, None, found)
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
    problems += [*missing_files(pipeline), *unused_inputs_classes(pipeline)]
    key = None
    try:
        source = image_source(pipeline)
        key = fingerprint(source)
        recipe = dockerfile(source) if pipeline.config.reconciler.image.builder != "append" else None
    except ProviderError as problem:
        problems.append(provider_diagnostic(problem, "the image's build context cannot be read", file=folder))
    else:
        place = source.folder / source.dockerfile
        problems += missing_in_context(recipe or b"", place, source.folder, key.files, source.target)
    for name, why in unneeded_folders(key.files if key is not None else ()):
        told = f"{why}, which wants a new version. Add {name} to .dockerignore."
        problems.append(warning(f"the image would hold the folder {name}", told, file=folder))
    return ValidatedPipeline(pipeline, key, tuple(problems))


def of_one_name(name: str, first: Path, second: Path) -> UserError:
    """What is wrong with two folders whose pipelines are one on the platform."""
    told = f"{first} and {second} would undo each other's work. Rename one of them."
    return UserError(error(f"two pipelines have metadata.name = {name!r}", told))


def stack_of(target: Target, pipeline: Pipeline) -> Stack:
    """The stack that this pipeline is there."""
    return Stack(target.organization, target.environment, target.host, pipeline.name)


def provider_diagnostic(
    problem: ProviderError, summary: str, *, address: Address | None = None, file: Path | None = None
) -> Diagnostic:
    detail = f"{problem.message}." + (f"\n{problem.hint}" if problem.hint else "")
    return error(summary, detail, address=str(address) if address else "", file=file)
