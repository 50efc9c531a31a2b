"""A pipeline's files, read and checked offline: what `validate` does, and the first step of the others."""

from dataclasses import dataclass
from pathlib import Path

from providers.docker.source.key import SourceKey, dockerfile, fingerprint
from providers.errors import ProviderError
from reconciler.core.diagnostics import Diagnostic, UserError, error, has_errors, warning
from reconciler.engine.problems import provider_diagnostic
from reconciler.engine.requests import ReadOptions
from reconciler.pipeline.contents import missing_files, missing_in_context, unused_inputs_classes
from reconciler.pipeline.image_source import check_time, image_source, unneeded_folders
from reconciler.pipeline.load import Pipeline, load_pipeline
from reconciler.pipeline.toml.toml_edits import Edits


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
        shared=read_options.shared,
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


def time_problems(pipeline: Pipeline) -> list[Diagnostic]:
    """What is wrong with the time that the image would get; it matters only if the image is built."""
    try:
        check_time(pipeline)
    except ProviderError as problem:
        return [provider_diagnostic(problem, "the image cannot be built", file=pipeline.folder)]
    return []


def of_one_name(name: str, first: Path, second: Path) -> UserError:
    """What is wrong with two folders whose pipelines are one on the platform."""
    told = f"{first} and {second} would undo each other's work. Rename one of them."
    return UserError(error(f"two pipelines have metadata.name = {name!r}", told))
