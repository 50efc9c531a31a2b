"""What the classes of a pipeline say: static first, the subprocess for what that does not follow.

Called before anything is built or sent; a class that fails is told here, with its own line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from providers.regular_files import check_regular
from reconciler.core.diagnostics import Diagnostic, error, info
from reconciler.pipeline.classes import runner, static
from reconciler.pipeline.classes.declarations import ClassReference, ClassValue, Inputs, Parameters
from reconciler.pipeline.classes.installed import installed_in
from reconciler.pipeline.classes.static import NotStatic
from reconciler.pipeline.config import LoadedConfig

TIMEOUT = 30.0  # seconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class EvaluatedClasses:
    """What both classes say.

    Attributes:
        inputs: every declared input; None when there is no inputs class, or when it fails.
        parameters: defaults by name; None when there is no parameters class, or when it fails.
        diagnostics: what is wrong with the classes, and remarks on how they were read.
        readers: "static" or "subprocess", for "inputs" and "parameters" as far as they were read.
        stand_ins: official packages that the interpreter does not have, answered by ours.
    """

    inputs: Inputs | None
    parameters: Parameters | None
    diagnostics: tuple[Diagnostic, ...]
    readers: Mapping[str, str]
    stand_ins: tuple[str, ...] = ()


def evaluate(
    loaded: LoadedConfig, *, python: Path | None = None, static_only: bool = False, timeout: float = TIMEOUT
) -> EvaluatedClasses:
    """Read the inputs class and the parameters class that a config.toml names.

    Args:
        loaded: a config.toml without errors.
        python: the interpreter for classes that have to be run; the pipeline's own, or ours, when None.
        static_only: never run the pipeline's code; a class that needs it is an error.
        timeout: seconds that running the classes may take.

    Raises:
        ValueError: `loaded` has errors.
    """
    config, folder = loaded.config, loaded.path.parent
    if config is None:
        raise ValueError(f"{loaded.path} has errors; they come first")
    problems: list[Diagnostic] = []
    inputs = None if config.is_training else _reference(loaded, "inputs_class", problems)
    parameters = _reference(loaded, "parameters_class", problems)
    installed = installed_in(runner.interpreter(folder, python))
    said_inputs = static.read_inputs(inputs, installed) if inputs is not None else None
    said_parameters = static.read_parameters(parameters, installed) if parameters is not None else None
    if static_only:
        known_inputs = _refused(said_inputs, inputs)
        known_parameters = _refused(said_parameters, parameters)
        stand_ins: tuple[str, ...] = ()
    else:
        ran = _run(
            folder,
            inputs if isinstance(said_inputs, NotStatic) else None,
            parameters if isinstance(said_parameters, NotStatic) else None,
            python,
            timeout,
        )
        known_inputs = ran.inputs if isinstance(said_inputs, NotStatic) else said_inputs
        known_parameters = ran.parameters if isinstance(said_parameters, NotStatic) else said_parameters
        stand_ins = ran.stand_ins
        if stand_ins:
            problems.append(_remark(stand_ins, runner.interpreter(folder, python)))
    known = {"inputs": known_inputs, "parameters": known_parameters}
    return EvaluatedClasses(
        inputs=known_inputs.value if known_inputs is not None else None,
        parameters=known_parameters.value if known_parameters is not None else None,
        diagnostics=(
            *problems,
            *(d for said in known.values() if said is not None for d in said.diagnostics),
        ),
        readers={kind: said.reader for kind, said in known.items() if said is not None},
        stand_ins=stand_ins,
    )


def _reference(loaded: LoadedConfig, key: str, problems: list[Diagnostic]) -> ClassReference | None:
    """The class that `[execution]` names; None without one, or when its file is not there (an error)."""
    assert loaded.config is not None
    text = getattr(loaded.config.execution, key)
    if text is None:
        return None
    reference = ClassReference.parse(loaded.path.parent, text)
    file = text.partition(":")[0]
    try:
        check_regular(reference.file)
    except (FileNotFoundError, NotADirectoryError):
        told = f"there is no file {file}"
    except OSError as problem:
        told = f"{file} cannot be read: {problem.strerror}"
    else:
        return reference
    problems.append(
        error(
            f"execution.{key}: {told}",
            "The path is relative to the pipeline's folder. Correct it, or add the file.",
            file=loaded.path,
            line=loaded.line_of("execution", key),
        )
    )
    return None


def _refused(
    said: ClassValue[T] | NotStatic | None, reference: ClassReference | None
) -> ClassValue[T] | None:
    """The static answer; where there is none, an error that says why."""
    if not isinstance(said, NotStatic) or reference is None:
        return said if isinstance(said, ClassValue) else None
    problem = error(
        f"{reference.name} needs code to run: {said.reason}",
        "Only the usual form can be read without running it: literal arguments, one statement each. "
        "Leave out --static-only for code that you trust, or simplify the class.",
        file=reference.file,
        line=said.line,
    )
    return ClassValue(None, static.READER, (problem,))


def _run(
    folder: Path,
    inputs: ClassReference | None,
    parameters: ClassReference | None,
    python: Path | None,
    timeout: float,
) -> runner.ClassRun:
    """Both classes in one process, or no process at all when the static reader knew everything."""
    if inputs is None and parameters is None:
        return runner.ClassRun(None, None, (), "")
    chosen = runner.interpreter(folder, python)
    return runner.run(folder, inputs=inputs, parameters=parameters, python=chosen, timeout=timeout)


def _remark(stand_ins: tuple[str, ...], python: Path) -> Diagnostic:
    return info(
        f"{', '.join(stand_ins)}: not installed in {python}, stand-ins were used to read the classes",
        "They behave like the official base classes. To use those, run `uv sync` in the pipeline's "
        "folder or name another interpreter with --python.",
    )
