"""Check that the files named in config.toml and the Dockerfile exist. Runs no code."""

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from providers.docker.source.dockerfile_errors import INSTRUCTIONS, dockerfile_errors
from providers.docker.source.dockerfile_features import missing_sources
from providers.docker.source.key import whiteouts
from providers.regular_files import check_regular, read_regular
from reconciler.core.diagnostics import Diagnostic, error, warning
from reconciler.pipeline.classes.official import INPUTS_BASE
from reconciler.pipeline.classes.parse_lock import parsing
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.suggestions import did_you_mean

_SCRIPTS = ("pipeline_script", "picsellia_pipeline_script", "local_pipeline_script")


def missing_files(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """Errors for a script or requirements file that config.toml names and that is not a file."""
    table = pipeline.loaded.document.get("execution")
    keys = table if isinstance(table, dict) else {}
    script = next((key for key in _SCRIPTS if keys.get(key)), "pipeline_script")
    for key, path, use in (
        (script, pipeline.config.execution.pipeline_script, "Jobs run it"),
        ("requirements_file", pipeline.config.execution.requirements_file, "It lists the packages of a job"),
    ):
        if path is None:
            continue
        try:
            check_regular(pipeline.folder / path)
        except (OSError, ValueError) as problem:
            missing = isinstance(problem, FileNotFoundError | NotADirectoryError)
            reason = getattr(problem, "strerror", problem)
            yield error(
                f"execution.{key}: {f'there is no file {path}' if missing else f'{path}: {reason}'}",
                f"{use}. The path is relative to the pipeline's folder. Correct it, or add the file.",
                file=pipeline.loaded.path,
                line=pipeline.loaded.line_of("execution", key),
            )


def missing_in_context(
    text: bytes, dockerfile: Path, context: Path, files: Collection[str], target: str | None
) -> Iterator[Diagnostic]:
    """Problems for files that the Dockerfile copies and that are not in the build context.

    Args:
        text: the content of the Dockerfile.
        files: the files of the filtered context, relative to `context`.
        target: the stage to build; None for the last.
    """
    for one in missing_sources(
        text.decode("utf-8", "replace"), files, lambda path: (context / path).is_symlink(), target
    ):
        if one.outside:
            summary = f"the Dockerfile copies {one.source} from outside of the build context"
            detail = (
                'No builder can read it. Copy it into the folder, or set context = ".." below '
                "[reconciler.image]; the Dockerfile's other paths are then relative to that folder."
            )
        else:
            summary = f"the Dockerfile copies {one.source}, which is not in the build context"
            detail = "Correct the path, add the file, or remove it from .dockerignore."
        diagnostic = error if one.certain else warning
        yield diagnostic(summary, detail, file=dockerfile, line=one.line)


def errors_in_dockerfile(
    text: bytes, dockerfile: Path, build_args: Mapping[str, str], target: str | None
) -> Iterator[Diagnostic]:
    """Errors for what no builder accepts in the Dockerfile.

    Args:
        text: the content of the Dockerfile.
        build_args: the build arguments of config.toml.
        target: the stage to build; None for the last.
    """
    for one in dockerfile_errors(text.decode("utf-8", "replace"), build_args, target):
        detail = one.detail
        if one.unknown:
            near = did_you_mean(one.unknown, INSTRUCTIONS).strip()
            detail = near or "If it continues the instruction before it, end the line before it with \\."
        yield error(one.summary, detail, file=dockerfile, line=one.line)


def whiteouts_in_layer(files: Iterable[str], context: Path, *, is_certain: bool) -> Iterator[Diagnostic]:
    """Problems for files that the `append` builder refuses, by their names.

    Args:
        files: the files of the filtered context, relative to `context`.
        is_certain: whether this builder is the only possible one; the problems are warnings otherwise.
    """
    for path in whiteouts(files):
        yield (error if is_certain else warning)(
            f"the append builder cannot add {path} to an image",
            "In a layer, names that start with .wh. delete files. Rename it, or add it to .dockerignore.",
            file=context / path,
        )


def unused_inputs_classes(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """Warnings for inputs classes in the folder if config.toml names none: their inputs are not deployed."""
    if pipeline.is_training or pipeline.config.execution.inputs_class is not None:
        return
    for file in sorted((*pipeline.folder.glob("*.py"), *pipeline.folder.glob("[!.]*/*.py"))):
        for node in _inputs_classes(file):
            path = file.relative_to(pipeline.folder).as_posix()
            yield warning(
                f"{node.name} declares inputs, but config.toml does not name it",
                f'Its inputs are not deployed. Write inputs_class = "{path}:{node.name}" below [execution].',
                file=file,
                line=node.lineno,
            )


def _inputs_classes(file: Path) -> list[ast.ClassDef]:
    try:
        source = read_regular(file)
        if INPUTS_BASE.encode() not in source:
            return []
        with parsing():
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return [
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).rpartition(".")[2] == INPUTS_BASE for base in node.bases)
    ]
