"""Whether a pipeline's folder has the files that its config.toml and its Dockerfile name. Runs nothing."""

import ast
from collections.abc import Collection, Iterator
from pathlib import Path

from providers.docker.source.dockerfile_features import missing_sources
from providers.regular_files import check_regular, read_regular
from reconciler.core.diagnostics import Diagnostic, error, warning
from reconciler.pipeline.classes.official import INPUTS_BASE
from reconciler.pipeline.classes.parse_lock import parsing
from reconciler.pipeline.load import Pipeline

_SCRIPTS = ("pipeline_script", "picsellia_pipeline_script", "local_pipeline_script")


def missing_files(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """The script and the requirements that config.toml names, where they are no files."""
    table = pipeline.loaded.document.get("execution")
    named = table if isinstance(table, dict) else {}
    script = next((key for key in _SCRIPTS if named.get(key)), "pipeline_script")
    for key, path, use in (
        (script, pipeline.config.execution.pipeline_script, "A job runs it"),
        ("requirements_file", pipeline.config.execution.requirements_file, "It says what a job needs"),
    ):
        if path is None:
            continue
        try:
            check_regular(pipeline.folder / path)
        except (OSError, ValueError) as problem:
            gone = isinstance(problem, FileNotFoundError | NotADirectoryError)
            what = f"there is no file {path}" if gone else f"{path}: {getattr(problem, 'strerror', problem)}"
            yield error(
                f"execution.{key}: {what}",
                f"{use}. The path is relative to the pipeline's folder. Correct it, or add the file.",
                file=pipeline.loaded.path,
                line=pipeline.loaded.line_of("execution", key),
            )


def missing_in_context(
    text: bytes, dockerfile: Path, context: Path, files: Collection[str], target: str | None
) -> Iterator[Diagnostic]:
    """What the Dockerfile copies from the build context, and is not in it.

    Args:
        text: the Dockerfile's.
        files: of the filtered context, relative to `context`.
        target: the stage that is built; None for the last.
    """
    for one in missing_sources(
        text.decode("utf-8", "replace"), files, lambda path: (context / path).is_symlink(), target
    ):
        if one.outside:
            summary = f"the Dockerfile copies {one.source} from outside of the build context"
            detail = (
                'No builder looks there. Copy it into the folder, or widen the context: context = ".." below '
                "[reconciler.image]; the Dockerfile's other paths are then relative to that folder."
            )
        else:
            summary = f"the Dockerfile copies {one.source}, which is not in the build context"
            detail = "Correct the path, add the file, or take it out of .dockerignore."
        told = error if one.certain else warning
        yield told(summary, detail, file=dockerfile, line=one.line)


def unnamed_inputs(pipeline: Pipeline) -> Iterator[Diagnostic]:
    """Inputs classes of a pipeline that names none: what they declare is not deployed."""
    if pipeline.is_training or pipeline.config.execution.inputs_class is not None:
        return
    for file in sorted((*pipeline.folder.glob("*.py"), *pipeline.folder.glob("[!.]*/*.py"))):
        for node in _inputs_classes(file):
            path = file.relative_to(pipeline.folder).as_posix()
            yield warning(
                f"{node.name} declares inputs, and config.toml does not name it",
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
