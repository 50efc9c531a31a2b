"""The declarations of an inputs class and a parameters class, returned by both `static` and `runner`.

Plain data, and the rules for both. Nothing here reads a file or runs code.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from msgspec import Struct

from providers import enums
from providers.answers import is_deeper
from providers.json_value import JSON
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.pipeline.suggestions import did_you_mean

T = TypeVar("T")

LONGEST_NAME: Final = 1_000  # characters of a parameter's name
DEEPEST: Final = (
    32  # lists and objects in each other; a response of the platform, with more around it, has 64
)
Parameters = dict[str, Any]  # plain JSON values by name, in the order of to_dict
Place = tuple[Path, int]  # a file, and a line of it


class InputDeclaration(Struct, frozen=True):
    """One input of a processing.

    Attributes:
        name: unique within the class.
        input_type: one of `enums.INPUT_TYPES`.
        required: whether a job can start without it.
        inference_type_constraint: one of `enums.INFERENCE_TYPES`, or None.
        framework_constraint: one of `enums.FRAMEWORKS`, or None.
        file: the file that declares it.
        line: its line there, or None if code computes it.
    """

    name: str
    input_type: str
    required: bool
    inference_type_constraint: str | None
    framework_constraint: str | None
    file: Path
    line: int | None = None

    @property
    def fields(self) -> dict[str, JSON]:
        """The fields of the kind `input`."""
        return {
            "input_type": self.input_type,
            "required": self.required,
            "inference_type_constraint": self.inference_type_constraint,
            "framework_constraint": self.framework_constraint,
        }


class ClassReference(Struct, frozen=True):
    """A class in a file of the pipeline: `utils/inputs.py:ProcessingInputs`."""

    folder: Path
    file: Path
    name: str

    @classmethod
    def parse(cls, folder: Path, text: str) -> "ClassReference":
        file, _, name = text.partition(":")
        return cls(folder, folder / file, name)


class ClassValue(Struct, Generic[T], frozen=True):
    """The result of one reader.

    Attributes:
        value: the declarations of the class; None if it fails (then there are errors).
        reader: "static" or "subprocess".
        diagnostics: the problems of the class.
        places: parameter -> the file and line that set it; without those whose line is unknown.
    """

    value: T | None
    reader: str
    diagnostics: tuple[Diagnostic, ...] = ()
    places: Mapping[str, Place] = {}


Inputs = tuple[InputDeclaration, ...]


def missing_class(reference: ClassReference, classes: Collection[str]) -> Diagnostic:
    """The error for a class that is not in its file, which has these `classes`."""
    existing = f"The file has {', '.join(classes)}." if classes else "The file has no class."
    return error(
        f"there is no class {reference.name} in {reference.file.name}",
        f"{existing}{did_you_mean(reference.name, classes)} Correct [execution] in config.toml or the file.",
        file=reference.file,
        line=1,
    )


def problems_of(inputs: Iterable[InputDeclaration]) -> list[Diagnostic]:
    """Errors for inputs that the platform would refuse, or whose name would address another object there."""
    found: list[Diagnostic] = []
    seen: dict[str, InputDeclaration] = {}
    for one in inputs:
        found += [*_name_problems(one), *_enum_problems(one)]
        if one.name in seen:
            first = seen[one.name].line
            where = f"The first is at line {first}. " if first is not None else ""
            found.append(
                error(
                    f"input {one.name!r} is declared twice",
                    f"{where}Names must be unique within a pipeline: rename or remove one.",
                    file=one.file,
                    line=one.line,
                )
            )
        seen.setdefault(one.name, one)
    return found


def problems_of_parameters(parameters: Parameters, file: Path, line: int | None) -> list[Diagnostic]:
    """Errors for invalid parameter names. Only the subprocess reader can return one: `self.NAME` is a word.

    Args:
        line: the line where the class sets its parameters; a computed name has no line of its own.
    """
    return [
        error(
            f"{name[:80]!r} cannot be the name of a parameter",
            f"A name has 1 to {LONGEST_NAME} characters and no control characters. "
            "Use a word, for example threshold.",
            file=file,
            line=line,
        )
        for name in parameters
        if not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME
    ]


def problems_of_depth(
    parameters: Parameters, places: Mapping[str, Place], reference: ClassReference
) -> list[Diagnostic]:
    """Errors for defaults that are nested so deeply that they could be written, and never read back."""
    found = []
    for name, value in parameters.items():
        if is_deeper(value, DEEPEST):
            file, line = places.get(name, (reference.file, None))
            detail = f"At most {DEEPEST} lists and dictionaries may be in each other. Use a flatter value."
            summary = f"the default of parameter {name!r} is nested too deeply"
            found.append(error(summary, detail, file=file, line=line))
    return found


def _name_problems(one: InputDeclaration) -> list[Diagnostic]:
    if one.name.strip() and one.name not in (".", "..") and one.name.isprintable():
        return []
    return [
        error(
            f"{one.name!r} cannot be the name of an input",
            "The name is part of a URL, where this one has another meaning. Use a word, for example dataset.",
            file=one.file,
            line=one.line,
        )
    ]


def _enum_problems(one: InputDeclaration) -> list[Diagnostic]:
    found = []
    for field, value, allowed in (
        ("input_type", one.input_type, enums.INPUT_TYPES),
        ("inference_type_constraint", one.inference_type_constraint, enums.INFERENCE_TYPES),
        ("framework_constraint", one.framework_constraint, enums.FRAMEWORKS),
    ):
        if value is not None and value not in allowed:
            found.append(
                error(
                    f"input {one.name!r}: {field} {value!r} is not valid",
                    f"Allowed: {', '.join(allowed)}.{did_you_mean(value, allowed)}",
                    file=one.file,
                    line=one.line,
                )
            )
    return found
