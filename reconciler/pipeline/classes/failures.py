"""What a failure of a pipeline's own class means, and what to do about it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from providers import enums
from providers.patterns import pattern
from reconciler.core.diagnostics import Diagnostic, error, warning
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_reader import described

ENUMS: Final[Mapping[str, tuple[str, ...]]] = {
    "Framework": enums.FRAMEWORKS,
    "InferenceType": enums.INFERENCE_TYPES,
    "ProcessingInputType": enums.INPUT_TYPES,
    "ProcessingType": enums.PROCESSING_TYPES,
}
"""The enums of the SDK with their members, for stand-ins and messages."""

_IMPORTS: Final = {
    **dict.fromkeys(ENUMS, "picsellia.types.enums"),
    "LogDataType": "picsellia.types.schemas",
    "PipelineInputs": "picsellia_pipelines_cli.utils.inputs",
    "Parameters": "picsellia_cv_engine.core.parameters",
    "HyperParameters": "picsellia_cv_engine.core.parameters",
    **dict.fromkeys(("Any", "Optional", "Union"), "typing"),
}
RANGE_ADVICE: Final = (
    "The engine refuses a job that is started with this default. Correct the default or the range."
)
_WITHOUT_VALUES: Final = "It is instantiated without values to read its declarations"
_NO_DEFAULT: Final = pattern("required positional argument|required keyword-only argument")
_NO_NAME: Final = pattern(r"name '(\w+)' is not defined")
_NO_MEMBER: Final = pattern(r"type object '(\w+)' has no attribute '(\w+)'")


_KEYS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "name": lambda value: isinstance(value, str),
    "input_type": lambda value: isinstance(value, str),
    "required": lambda value: isinstance(value, bool),
    "inference_type_constraint": lambda value: value is None or isinstance(value, str),
    "framework_constraint": lambda value: value is None or isinstance(value, str),
}
"""The arguments of define_input, and what each may be."""


def advice(kind: str, message: str) -> str:
    """What to do about an exception of a class.

    Args:
        kind: the type of the exception, such as "NameError".
        message: its text.
    """
    if (name := _NO_NAME.search(message)) and kind in ("NameError", "UnboundLocalError"):
        package = _IMPORTS.get(name[1])
        return f"Add `from {package} import {name[1]}`." if package else f"Import or define {name[1]}."
    if kind == "AttributeError" and (members := _members(message)):
        return members
    if kind == "KeyError" or _NO_DEFAULT.search(message):
        return f"{_WITHOUT_VALUES}: give every parameter a default."
    return f"Correct this line. {_WITHOUT_VALUES}."


def _members(message: str) -> str:
    """The members of the enum that lacks one; "" if the message is about something else."""
    if member := _NO_MEMBER.search(message):
        enum, wrong = member[1], member[2]
    else:  # before Python 3.12, the message is the member alone
        wrong = message
        enum = next((enum for enum in ENUMS if did_you_mean(wrong, ENUMS[enum])), "")
    if enum not in ENUMS:
        return ""
    return f"{enum} has {', '.join(ENUMS[enum])}.{did_you_mean(wrong, ENUMS[enum])}"


def null_defaults(
    calls: Iterable[tuple[Sequence[str], str, Path, int]], values: Mapping[str, Any]
) -> list[Diagnostic]:
    """Warnings for parameters whose default None no job can read.

    The engine reads null as text "None" for these types: only an optional text or enum can be null.
    https://github.com/picselliahq/picsellia-cv-engine (core/parameters/base_parameters.py)

    Args:
        calls: the calls of `extract_parameter` with the default None and one of these types, in order: keys,
            the name of the type, file and line.
        values: the parameters as the platform gets them. A job passes them all.
    """
    found = []
    for keys, kind, file, line in calls:
        name = next((key for key in keys if key in values), None)
        if name is not None and values[name] is None:
            detail = (
                f"The default is null on the platform, and the engine cannot read null as {kind}: a job that "
                f"passes it fails. Choose a value of type {kind} that means none, with expected_type={kind}."
            )
            found.append(
                warning(
                    f"parameter {name!r} has the default None, which no job can read",
                    detail,
                    file=file,
                    line=line,
                )
            )
    return found


def no_input(item: Any, index: int, reference: ClassReference, line: int | None) -> Diagnostic:
    """The error for what cannot be an input: its first argument that is wrong."""
    if not isinstance(item, dict) or not set(_KEYS).issubset(item):
        return error(
            f"what to_list() of {reference.name} returns at position {index + 1} is not an input",
            f"Each is a dict with the keys {', '.join(_KEYS)}, as define_input() makes it.",
            file=reference.file,
            line=line,
        )
    wrong = next((key for key, is_right in _KEYS.items() if not is_right(item[key])), "name")
    words = "True or False" if wrong == "required" else "text"
    if wrong.endswith("_constraint"):
        words = "text or None"
    name = repr(item["name"]) if isinstance(item["name"], str) else f"input {index + 1} of {reference.name}"
    summary = f"{wrong} of {name} must be {words}, not {described(item[wrong])}"
    return error(summary, file=reference.file, line=line)
