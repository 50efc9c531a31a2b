"""Checks the files of pipelines, offline: config.toml, classes and build context."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from providers.errors import ProviderError
from reconciler.api.pipelines import Pipelines
from reconciler.api.requests import ReadOptions
from reconciler.core.diagnostics import Diagnostic, Severity, UserError, has_errors
from reconciler.core.events import Emit
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.validate import (
    ValidatedPipeline,
    duplicates,
    time_problems,
    unreadable_context,
    validate,
)
from reconciler.pipeline.channels import channel_warnings
from reconciler.pipeline.config import load
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.secret_findings import secret_findings
from reconciler.pipeline.shared import SharedSettings
from reconciler.workspace.checks import unmatched_globs

__all__ = [
    "PipelineValidation",
    "ValidatedPipeline",
    "Validation",
    "declared_twice",
    "unmatched_globs",
    "validate",
    "validated_files",
    "validation_of",
]


@dataclass(frozen=True, slots=True)
class PipelineValidation:
    """The result for one pipeline, with all its environments.

    Attributes:
        folder: the folder of the pipeline.
        problems: errors, warnings and remarks about its files, each once.
        secrets: the secrets that its image would hold.
    """

    folder: Path
    problems: tuple[Diagnostic, ...]
    secrets: tuple[Diagnostic, ...]
    # Not part of the interface: the pipeline that all environments share, as it was read.
    validated: ValidatedPipeline = field(repr=False)

    @property
    def exit_code(self) -> int:
        """0 valid, 12 with a secret, 1 with another error."""
        if has_errors(self.problems):
            return FAILED
        return CONFLICT if has_errors(self.secrets) else DONE


class Validation(Struct, frozen=True):
    """The result of `reconciler validate`.

    Attributes:
        pipelines: the result for each pipeline.
        problems: errors of the selection, of reconciler.toml, and of resources that two pipelines declare.
    """

    pipelines: tuple[PipelineValidation, ...]
    problems: tuple[Diagnostic, ...]

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """Every error, warning and remark."""
        of_pipelines = (line for one in self.pipelines for line in (*one.problems, *one.secrets))
        return [*self.problems, *of_pipelines]

    @property
    def exit_code(self) -> int:
        """0 if all is valid, 12 if an image would hold a secret, 1 for other errors."""
        codes = {one.exit_code for one in self.pipelines}
        return FAILED if self.problems or FAILED in codes else max(codes, default=DONE)

    def raise_for_problems(self) -> None:
        """Raise UserError, with all errors, if there is one."""
        errors = [line for line in self.diagnostics if line.severity is Severity.ERROR]
        if errors:
            raise UserError(*dict.fromkeys(errors))


def validation_of(pipelines: Pipelines, emit: Emit) -> Validation:
    """As `Pipelines.validate`."""
    first = [line for problem in pipelines.problems.values() for line in diagnostics_of(problem)]
    if pipelines.request.everything:
        first += unmatched_globs(pipelines.workspace.settings)
    reads, reported = pipelines.read_options, set[Diagnostic]()
    found = tuple(validated_files(folder, reads, emit, reported) for folder in pipelines.folders)
    return Validation(found, (*first, *declared_twice(pipelines.folders, reads.shared)))


def validated_files(
    folder: Path, read_options: ReadOptions, emit: Emit, reported: set[Diagnostic]
) -> PipelineValidation:
    """Check the files of a pipeline, for every environment.

    Args:
        reported: warnings about reconciler.toml of earlier pipelines. They are left out, and new ones added.
    """
    read_options = replace(read_options, search=True)
    validated = validate(folder, read_options, emit=emit)
    problems = [*validated.diagnostics]
    secrets = _secrets(validated, emit, problems)
    if validated.pipeline is not None:
        problems += time_problems(validated.pipeline)
        for environment in validated.pipeline.loaded.overlays:
            overlaid = validate(folder, replace(read_options, environment=environment), emit=emit)
            problems += [problem for problem in overlaid.diagnostics if problem not in problems]
            secrets += [one for one in _secrets(overlaid, emit, problems) if one not in secrets]
        shared = [problem for problem in channel_warnings(validated.pipeline) if problem not in reported]
        problems += shared
        reported.update(shared)
    return PipelineValidation(folder, tuple(problems), tuple(secrets), validated)


def declared_twice(folders: Sequence[Path], shared: SharedSettings) -> list[Diagnostic]:
    """The resources that two pipelines declare for the same environment."""
    configs = [load(folder, shared=shared) for folder in folders]
    problems = duplicates(configs)
    for name in dict.fromkeys(name for config in configs for name in config.overlays):
        if name in shared.environments:
            problems += duplicates(
                load(folder, environment=name, shared=shared) if name in config.overlays else config
                for folder, config in zip(folders, configs, strict=True)
            )
    return list(dict.fromkeys(problems))


def _secrets(validated: ValidatedPipeline, emit: Emit, problems: list[Diagnostic]) -> list[Diagnostic]:
    """The secrets that the image would hold; none if the files have other errors.

    Args:
        problems: gets the error of a file that cannot be read.
    """
    if validated.pipeline is None or validated.key is None:
        return []
    source = image_source(validated.pipeline)
    try:
        return secret_findings(validated.pipeline, source, key=validated.key, announce=emit)
    except ProviderError as problem:
        problems.append(unreadable_context(problem, validated.pipeline.folder))
        return []
