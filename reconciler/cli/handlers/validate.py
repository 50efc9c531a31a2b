"""Runs `reconciler validate`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace
from rich.console import Console

from reconciler.api.requests import ReadOptions
from reconciler.api.validating import ValidatedPipeline, duplicates, time_problems, unmatched_globs, validate
from reconciler.cli import options
from reconciler.core.diagnostics import Diagnostic, UserError, has_errors
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED
from reconciler.pipeline.channels import channel_warnings
from reconciler.pipeline.config import load
from reconciler.pipeline.image_source import image_source
from reconciler.pipeline.secret_findings import secret_findings
from reconciler.pipeline.shared import SharedSettings
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics, print_pipeline
from reconciler.views.terminal.progress import ProgressView


def run(selection: options.Selection, read_options: ReadOptions) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    code, reported = DONE, set[Diagnostic]()  # several pipelines have the same warning about reconciler.toml

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    if selection.request.everything and (unmatched := unmatched_globs(options.workspace())):
        failed(UserError(*unmatched))
    read_options = replace(read_options, search=True)
    folders = selection.folders(failed)
    for folder in folders:
        validated, problems, secrets = _check(folder, read_options, err)
        if validated.pipeline is not None:
            shared = [problem for problem in channel_warnings(validated.pipeline) if problem not in reported]
            problems += shared
            reported.update(shared)
        print_diagnostics([*problems, *secrets], err)
        if has_errors(problems):
            code = FAILED
        elif has_errors(secrets):
            code = code or CONFLICT
        elif validated.pipeline is not None and validated.key is not None:
            print_pipeline(validated.pipeline, validated.key, out)
    if twice := _duplicates(folders, read_options.shared):
        failed(UserError(*twice))
    return code


def _check(
    folder: Path, read_options: ReadOptions, err: Console
) -> tuple[ValidatedPipeline, list[Diagnostic], list[Diagnostic]]:
    """The pipeline that all environments share, and each problem and secret of it or of an overlay, once."""
    validated = _validate(folder, read_options, err)
    problems, secrets = [*validated.diagnostics], _secrets(validated, err)
    if validated.pipeline is not None:
        problems += time_problems(validated.pipeline)
        for environment in validated.pipeline.loaded.overlays:
            overlaid = _validate(folder, replace(read_options, environment=environment), err)
            problems += [problem for problem in overlaid.diagnostics if problem not in problems]
            secrets += [problem for problem in _secrets(overlaid, err) if problem not in secrets]
    return validated, problems, secrets


def _validate(folder: Path, read_options: ReadOptions, err: Console) -> ValidatedPipeline:
    with ProgressView(err) as progress:
        return validate(folder, read_options, emit=progress)


def _duplicates(folders: Sequence[Path], shared: SharedSettings) -> list[Diagnostic]:
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


def _secrets(validated: ValidatedPipeline, err: Console) -> list[Diagnostic]:
    """The secrets that the image would hold; none if the files have other errors."""
    if validated.pipeline is None or validated.key is None:
        return []
    source, suspects = image_source(validated.pipeline), validated.key.suspects
    with ProgressView(err) as progress:
        return secret_findings(validated.pipeline, source, suspects=suspects, announce=progress)
