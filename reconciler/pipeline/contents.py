"""Check that the files named in config.toml and the Dockerfile exist. Runs no code."""

import ast
import heapq
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from providers.docker.source.dockerfile_errors import INSTRUCTIONS, dockerfile_errors
from providers.docker.source.dockerfile_features import missing_sources, needs_buildkit
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
    """Problems for files that the Dockerfile copies or mounts and that are not in the build context.

    Args:
        text: the content of the Dockerfile.
        files: the files of the filtered context, relative to `context`.
        target: the stage to build; None for the last.
    """
    for one in missing_sources(
        text.decode("utf-8", "replace"), files, lambda path: (context / path).is_symlink(), target
    ):
        use = "mounts" if one.mounted else "copies"
        if one.outside:
            summary = f"the Dockerfile {use} {one.source} from outside of the build context"
            detail = (
                'No builder can read it. Copy it into the folder, or set context = ".." below '
                "[reconciler.image]; the Dockerfile's other paths are then relative to that folder."
            )
        else:
            summary = f"the Dockerfile {use} {one.source}, which is not in the build context"
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


def unsupported_by_engine(text: bytes, dockerfile: Path) -> Iterator[Diagnostic]:
    """Errors for what the `engine` builder refuses in a Dockerfile that BuildKit builds."""
    for line, feature in needs_buildkit(text.decode("utf-8", "replace")):
        yield error(
            f"the Docker Engine's own builder does not support {feature}",
            'Rewrite the line, or build with docker buildx: builder = "buildx" below [reconciler.image].',
            file=dockerfile,
            line=line,
        )


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


def unused_inputs_classes(pipeline: Pipeline, files: Collection[str], context: Path) -> Iterator[Diagnostic]:
    """Warnings for inputs classes in the image if config.toml names none: their inputs are not deployed.

    Hidden folders and virtual environments are left out.

    Args:
        files: the files of the filtered context, relative to `context`.
    """
    if pipeline.is_training or pipeline.config.execution.inputs_class is not None:
        return
    for path in _modules(pipeline.folder.absolute(), files, context):
        file = pipeline.folder / path
        for node in _inputs_classes(file):
            yield warning(
                f"{node.name} declares inputs, but config.toml does not name it",
                f'Its inputs are not deployed. Write inputs_class = "{path}:{node.name}" below [execution].',
                file=file,
                line=node.lineno,
            )


_MOST_MODULES = 2000
"""Modules that are searched for inputs classes; those closest to config.toml come first."""

_LARGEST_MODULE = 1 << 18  # bytes; a module of a person is smaller


def _modules(folder: Path, files: Collection[str], context: Path) -> list[str]:
    """The pipeline's own modules in the image, relative to its folder: at most `_MOST_MODULES`, sorted."""
    below = os.path.relpath(folder, context).replace(os.sep, "/")
    start = "" if below == "." else f"{below}/"
    names = [name[len(start) :] for name in files if name.startswith(start)]
    environments = tuple(name.removesuffix("pyvenv.cfg") for name in names if name.endswith("/pyvenv.cfg"))
    modules = [
        name
        for name in names
        if name.endswith(".py")
        and not name.startswith(".")
        and "/." not in name
        and "site-packages/" not in name
        and not name.startswith(environments)
    ]
    return sorted(heapq.nsmallest(_MOST_MODULES, modules, key=lambda name: (name.count("/"), name)))


def _inputs_classes(file: Path) -> list[ast.ClassDef]:
    """The classes in a module that derive from the official one, without those that others derive from."""
    try:
        if file.stat().st_size > _LARGEST_MODULE:
            return []
        source = read_regular(file)
        if INPUTS_BASE.encode() not in source:
            return []
        with parsing():
            tree = ast.parse(source)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    names, found = {INPUTS_BASE}, list[ast.ClassDef]()
    for node in _statements(tree):
        match node:
            case ast.ImportFrom():
                names |= {one.asname for one in node.names if one.name == INPUTS_BASE and one.asname}
            case ast.Assign(targets=[ast.Name(name)], value=value) if _last_name(value) in names:
                names.add(name)
            case ast.ClassDef() if names.intersection(map(_last_name, node.bases)):
                names.add(node.name)
                found.append(node)
    derived_from = {_last_name(base) for node in found for base in node.bases}
    return [node for node in found if node.name not in derived_from]


def _statements(module: ast.Module) -> Iterator[ast.AST]:
    """What runs when a module is imported, in its order, also below `if` and `try`."""
    waiting: list[ast.AST] = [module]  # a long chain of `elif` is too deep for recursion
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            waiting += reversed([*ast.iter_child_nodes(node)])


def _last_name(node: ast.expr) -> str:
    """The last part of a name: `PipelineInputs` of `inputs.PipelineInputs` and of `PipelineInputs[T]`."""
    while isinstance(node, ast.Subscript):
        node = node.value
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
