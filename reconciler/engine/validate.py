"""`validate`: read and check a pipeline's files offline. Also the first step of other commands."""

from collections.abc import Collection, Iterable
from pathlib import Path

from msgspec import Struct

from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, SourceKey, seen
from providers.errors import ProviderError, SettingError
from providers.json_value import JSON
from reconciler.core.diagnostics import Diagnostic, UserError, error, has_errors, warning
from reconciler.core.diff import same
from reconciler.core.events import Emit, ignore
from reconciler.core.values import Address
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.requests import ReadOptions
from reconciler.pipeline.config import LoadedConfig
from reconciler.pipeline.contents import (
    errors_in_dockerfile,
    missing_files,
    missing_in_context,
    unsupported_by_engine,
    unused_inputs_classes,
    whiteouts_in_layer,
)
from reconciler.pipeline.exclusive import Place, declared_stack, exclusive_resources, shared_values
from reconciler.pipeline.image_source import check_time, image_source, unneeded_folders
from reconciler.pipeline.load import Pipeline, load_pipeline, unnamed_image
from reconciler.pipeline.schema import ImageOptions
from reconciler.pipeline.toml.edits import Edits
from state.errors import NAMED_BY


class ValidatedPipeline(Struct, frozen=True):
    """The result of reading a pipeline's files.

    Attributes:
        pipeline: None if config.toml has errors.
        key: key of the image's source; None if the source cannot be read.
        source: the source that has this key; None without a pipeline.
        diagnostics: all errors, warnings and remarks.
    """

    pipeline: Pipeline | None
    key: SourceKey | None
    diagnostics: tuple[Diagnostic, ...]
    source: ImageSource | None = None

    def require_valid(self) -> tuple[Pipeline, SourceKey]:
        """The pipeline and its source key. Raises UserError with all diagnostics if there are errors."""
        if self.pipeline is None or self.key is None or has_errors(self.diagnostics):
            raise UserError(*self.diagnostics)
        return self.pipeline, self.key


def validate(
    folder: Path, read_options: ReadOptions, edits: Edits | None = None, *, emit: Emit = ignore
) -> ValidatedPipeline:
    """Read and check a pipeline's files, including its classes and build context. Sends no request.

    Args:
        edits: values to set in config.toml. They apply to this run, and are written after it succeeds.
        emit: called with the progress of hashing a large build context.
    """
    pipeline, found = load_pipeline(
        folder,
        python=read_options.python,
        static_only=read_options.static_only,
        timeout=read_options.timeout,
        edits=edits,
        environment=read_options.environment,
        shared=read_options.shared,
    )
    if pipeline is None:
        return ValidatedPipeline(None, None, found)
    problems = [*found]
    if not pipeline.config.docker.image_name:
        problems.append(unnamed_image(pipeline.loaded))
    problems += missing_files(pipeline)
    key = source = None
    try:
        source = image_source(pipeline)
        problems += _state_problems(source, read_options.state_files)
        key = fingerprint(source, search=read_options.search, announce=emit, cached=True)
        recipe = key.dockerfile if pipeline.config.reconciler.image.builder != "append" else None
    except ProviderError as problem:
        problems.append(_at_setting(unreadable_context(problem, folder), problem, pipeline))
    else:
        problems += unused_inputs_classes(pipeline, key.files, source.folder)
        place = source.folder / source.dockerfile
        if recipe is not None:
            problems += errors_in_dockerfile(recipe, place, source.build_args, source.target)
            if pipeline.config.reconciler.image.builder == "engine":
                problems += unsupported_by_engine(recipe, place)
        problems += missing_in_context(recipe or b"", place, source.folder, key.files, source.target)
        if source.base is not None:
            problems += whiteouts_in_layer(key.files, source.folder, is_certain=recipe is None)
    for name, why in unneeded_folders(key.files if key is not None else ()):
        detail = f"{why}, so the image needs a new version. Add {name} to .dockerignore."
        problems.append(warning(f"the image would contain the folder {name}", detail, file=folder))
    return ValidatedPipeline(pipeline, key, tuple(problems), source)


def unreadable_context(problem: ProviderError, folder: Path) -> Diagnostic:
    """The error of a pipeline whose build context cannot be read."""
    return provider_diagnostic(problem, "the image's build context cannot be read", file=folder)


def _at_setting(diagnostic: Diagnostic, problem: ProviderError, pipeline: Pipeline) -> Diagnostic:
    """The diagnostic at the line of the setting that is its cause, if a file has that."""
    if not isinstance(problem, SettingError):
        return diagnostic
    image, name = pipeline.config.reconciler.image, problem.setting
    if getattr(image, name) == getattr(ImageOptions(), name):
        return diagnostic
    return diagnostic.at(*pipeline.loaded.place_of("reconciler", "image", name))


def _state_problems(source: ImageSource, state_files: Collection[Path]) -> list[Diagnostic]:
    """An error if a file of the state store is source: it changes with each save, so no build could end.

    The same goes for a folder that the store would create for it, as empty folders are source.

    Raises:
        RefusedError: the ignore file cannot be read.
    """
    if not state_files:
        return []
    folder = source.real_folder
    files = [file.relative_to(folder) for file in state_files if folder in file.parents]
    if not files:
        return []
    new_folders = [parent for parent in files[0].parents if not (folder / parent).exists()]
    paths = [path.as_posix() for path in (*files, *new_folders)]
    if not seen(source, paths):
        return []
    pattern = new_folders[-1].as_posix() if new_folders else f"{paths[0]}*"
    detail = (
        "It changes with each save, so the image needs a new version each time. Keep state outside of the "
        f"build context (RECONCILER_STATE), or add {pattern} to .dockerignore."
    )
    summary = f"the state file {paths[0]} would become part of the image"
    return [error(summary, detail, file=folder / paths[0])]


def time_problems(pipeline: Pipeline) -> list[Diagnostic]:
    """Errors of the image's creation time. They matter only if the image is built."""
    try:
        check_time(pipeline)
    except ProviderError as problem:
        return [provider_diagnostic(problem, "the image cannot be built", file=pipeline.folder)]
    return []


def duplicates(configs: Iterable[LoadedConfig]) -> list[Diagnostic]:
    """An error for each resource that two files declare, although it can belong to one pipeline only.

    The same goes for the name of a stack, and for different values of what they may both declare. An error
    has the place of the second declaration, and names that of the first. Other errors of the files hide none
    of a resource or a name.
    """
    problems: list[Diagnostic] = []
    first: dict[Address, Place] = {}
    values: dict[tuple[Address, str], tuple[JSON, Place]] = {}
    for loaded in configs:
        for (address, field), (value, place) in shared_values(loaded).items():
            other, there = values.setdefault((address, field), (value, place))
            if not same(value, other):
                problems.append(_contradiction(address, field, place, there))
        places = exclusive_resources(loaded)
        found = [
            _duplicate(f"declare {address}", place, first[address], str(address))
            for address, place in places.items()
            if address in first
        ]
        name, place = declared_stack(loaded)
        if name:
            stack = Address.of("stack", name)
            places[stack] = place
            if stack in first and not found:  # otherwise it follows from the resource
                found = [_duplicate(f"have the stack {name!r}", place, first[stack])]
        problems += found
        first = {**places, **first}
    return problems


def _duplicate(what: str, here: Place, there: Place, address: str = "") -> Diagnostic:
    detail = "has it, too. It can belong to one pipeline only: change one of the two."
    return _of_two(what, detail, here, there, address)


def _contradiction(address: Address, field: str, here: Place, there: Place) -> Diagnostic:
    what = f"set {field} of {address} to different values"
    detail = "has another one. Set it in one of the two only, or to the same value."
    return _of_two(what, detail, here, there, str(address))


def _of_two(what: str, detail: str, here: Place, there: Place, address: str) -> Diagnostic:
    """The error of what two pipelines declare.

    Args:
        detail: what follows the place of the first declaration.
    """
    file, line = there
    place = str(file) if line is None else f"{file}:{line}"
    return error(f"two pipelines {what}", f"{place} {detail}", file=here[0], line=here[1], address=address)


def duplicate_stack_error(name: str, first: Path, second: Path) -> UserError:
    """The error for two folders whose pipelines have the same stack, so would overwrite each other.

    Args:
        name: the name of the stack.
    """
    detail = (
        f"{first} and {second} would overwrite each other's state. A stack is named by {NAMED_BY}: "
        "change it in one of them."
    )
    return UserError(error(f"two pipelines have the stack {name!r}", detail))
