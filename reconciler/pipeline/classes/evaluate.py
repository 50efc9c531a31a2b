"""Evaluate the classes of a pipeline: the static reader first, the subprocess for classes it cannot read.

Runs before anything is built or sent; a class that fails is reported with its own line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from providers.regular_files import check_regular
from reconciler.core.diagnostics import Diagnostic, error, has_errors, info
from reconciler.pipeline.classes import static
from reconciler.pipeline.classes.declarations import (
    ClassReference,
    ClassValue,
    Inputs,
    Parameters,
    Place,
    problems_of_depth,
)
from reconciler.pipeline.classes.installed import installed_in, interpreter
from reconciler.pipeline.classes.static_module import NotStatic
from reconciler.pipeline.config import LoadedConfig

TIMEOUT = 30.0  # seconds
CAN_RUN = hasattr(os, "killpg")
"""Whether all processes of the code can be ended here. Windows has no process groups for that."""

T = TypeVar("T")


class EvaluatedClasses(Struct, frozen=True):
    """The values of both classes.

    Attributes:
        inputs: every declared input; None if there is no inputs class, or if it fails.
        parameters: defaults by name; None if there is no parameters class, or if it fails.
        diagnostics: problems of the classes, and remarks on how they were read.
        readers: "static" or "subprocess" for each of "inputs" and "parameters" that was read.
        stand_ins: official packages that the interpreter lacks, replaced by our stand-ins.
        places: as `ClassValue.places` of the parameters class.
    """

    inputs: Inputs | None
    parameters: Parameters | None
    diagnostics: tuple[Diagnostic, ...]
    readers: Mapping[str, str]
    stand_ins: tuple[str, ...] = ()
    places: Mapping[str, Place] = {}


def evaluate(
    loaded: LoadedConfig, *, python: Path | None = None, static_only: bool = False, timeout: float = TIMEOUT
) -> EvaluatedClasses:
    """Read the inputs class and the parameters class of a pipeline.

    Args:
        loaded: a config.toml without errors.
        python: the interpreter for classes that must be run; None for the pipeline's own, else ours.
        static_only: never run the pipeline's code; a class that needs it is an error.
        timeout: time limit for running the classes, in seconds.

    Raises:
        ValueError: `loaded` has errors.
    """
    config, folder = loaded.config, loaded.path.parent
    if config is None:
        raise ValueError(f"{loaded.path} has errors; correct them first")
    problems: list[Diagnostic] = []
    inputs = None if config.is_training else _reference(loaded, "inputs_class", problems)
    parameters = _reference(loaded, "parameters_class", problems)
    own_python = interpreter(folder, python)
    installed = installed_in(own_python, folder)
    static_inputs = _refuse(static.read_inputs(inputs, installed), inputs) if inputs else None
    static_parameters = (
        _refuse(static.read_parameters(parameters, installed), parameters) if parameters else None
    )
    runs_inputs = isinstance(static_inputs, NotStatic)
    runs_parameters = isinstance(static_parameters, NotStatic)
    stand_ins: tuple[str, ...] = ()
    if static_only or not CAN_RUN or not (runs_inputs or runs_parameters):
        input_result = _require_static(static_inputs, inputs)
        parameter_result = _require_static(static_parameters, parameters)
    else:
        from reconciler.pipeline.classes import runner  # few classes have to be run

        ran = runner.run(
            folder,
            inputs=inputs if runs_inputs else None,
            parameters=parameters if runs_parameters else None,
            python=own_python,
            timeout=timeout,
        )
        input_result = ran.inputs if isinstance(static_inputs, NotStatic) else static_inputs
        parameter_result = ran.parameters if isinstance(static_parameters, NotStatic) else static_parameters
        stand_ins = ran.stand_ins
        if stand_ins:
            problems.append(_stand_ins_remark(stand_ins, own_python))
    if parameters is not None and parameter_result is not None:
        parameter_result = _require_shallow(parameter_result, parameters)
    results = {"inputs": input_result, "parameters": parameter_result}
    return EvaluatedClasses(
        inputs=input_result.value if input_result is not None else None,
        parameters=parameter_result.value if parameter_result is not None else None,
        diagnostics=(
            *problems,
            *(d for result in results.values() if result is not None for d in result.diagnostics),
        ),
        readers={kind: result.reader for kind, result in results.items() if result is not None},
        stand_ins=stand_ins,
        places=parameter_result.places if parameter_result is not None else {},
    )


def must_run(loaded: LoadedConfig) -> bool:
    """Whether a class has to be run, so that it may import any file."""
    return has_errors(evaluate(loaded, static_only=True).diagnostics)


def _require_shallow(result: ClassValue[Parameters], reference: ClassReference) -> ClassValue[Parameters]:
    """The parameters, or the errors of those that the platform could not return."""
    too_deep = problems_of_depth(result.value or {}, result.places, reference)
    return replace(result, value=None, diagnostics=tuple(too_deep)) if too_deep else result


def _reference(loaded: LoadedConfig, key: str, problems: list[Diagnostic]) -> ClassReference | None:
    """The class in this key of `[execution]`; None without the key. An unreadable file adds an error."""
    assert loaded.config is not None
    text = getattr(loaded.config.execution, key)
    if text is None:
        return None
    reference = ClassReference.parse(loaded.path.parent, text)
    file = text.partition(":")[0]
    try:
        check_regular(reference.file)
    except (FileNotFoundError, NotADirectoryError):
        reason = f"there is no file {file}"
    except OSError as problem:
        reason = f"{file} cannot be read: {problem.strerror}"
    else:
        return reference
    problems.append(
        error(
            f"execution.{key}: {reason}",
            "The path is relative to the pipeline's folder. Correct it, or add the file.",
            file=loaded.path,
            line=loaded.line_of("execution", key),
        )
    )
    return None


def _refuse(result: ClassValue[T] | NotStatic, reference: ClassReference) -> ClassValue[T] | NotStatic:
    """The static result, or an error if the class must not be run either."""
    if not isinstance(result, NotStatic) or not result.is_final:
        return result
    problem = error(
        f"{reference.name} cannot be read: {result.reason}",
        "Keep large data in a file of its own that the pipeline reads when a job runs.",
        file=reference.file,
        line=result.line,
    )
    return ClassValue(None, static.READER, (problem,))


def _require_static(
    result: ClassValue[T] | NotStatic | None, reference: ClassReference | None
) -> ClassValue[T] | None:
    """The static result, or an error if the class must be run."""
    if not isinstance(result, NotStatic) or reference is None:
        return result if isinstance(result, ClassValue) else None
    way_out = "Leave out --static-only for code that you trust, or simplify the class."
    if not CAN_RUN:
        way_out = "Classes are run on Linux and macOS only: use WSL or CI, or simplify the class."
    problem = error(
        f"{reference.name} needs code to run: {result.reason}",
        "Only the usual form can be read without running it: literal arguments, one statement each. "
        f"{way_out}",
        file=reference.file,
        line=result.line,
    )
    return ClassValue(None, static.READER, (problem,))


def _stand_ins_remark(stand_ins: tuple[str, ...], python: Path) -> Diagnostic:
    return info(
        f"{python} lacks {' and '.join(stand_ins)}, so the classes were read with built-in replacements",
        "These behave like the official base classes. To use the official ones, run `uv sync` in the "
        "pipeline's folder, or choose another interpreter with --python.",
    )
