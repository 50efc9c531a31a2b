"""The messages of the program that runs classes, one line of JSON each.

`class_child` sends them through a pipe that the pipeline's own code can write to as well, so everything is
checked: a message has exactly the types below, and its values can be sent to the platform.
"""

import json
from typing import Annotated, Any, Literal, NoReturn, TypeAlias

import msgspec
from msgspec import Meta, Struct

from reconciler.pipeline.classes.class_child import plain

ClassKind: TypeAlias = Literal["inputs", "parameters"]
_Line = Annotated[int, Meta(ge=0, le=1 << 31)]
_File = Annotated[str, Meta(pattern="^[^\0]+$")]  # relative to the pipeline's folder
_Package = Annotated[str, Meta(pattern=r"^\w+$")]


class Failure(Struct, frozen=True):
    """Why a class has no values.

    Attributes:
        type: the type of its exception, or one of "missing", "shape", "value" and "timeout".
        message: of the exception; for "shape" the type of the value.
        file, line: the place in the pipeline's own files; None if it is elsewhere.
        module: the module that could not be imported.
        exit: whether the class ended the program with `sys.exit`.
        classes: for "missing", the classes that the file has.
    """

    type: str
    message: str = ""
    file: _File | None = None
    line: _Line | None = None
    module: str | None = None
    exit: bool = False
    classes: tuple[str, ...] = ()


class InputsAnswer(Struct, frozen=True, tag_field="answer", tag="inputs"):
    """The value of `to_list()`, and the line of the class that sets it."""

    value: list[Any]
    line: _Line | None

    @property
    def kind(self) -> ClassKind:
        return "inputs"


class ParametersAnswer(Struct, frozen=True, tag_field="answer", tag="parameters"):
    """The value of `to_dict()`, and the line of the class that sets it.

    Attributes:
        nulls: calls with the default None: keys, the name of the type, file and line.
    """

    value: dict[str, Any]
    line: _Line | None
    nulls: list[tuple[list[str], str, _File, _Line]]

    @property
    def kind(self) -> ClassKind:
        return "parameters"


class FailedAnswer(Struct, frozen=True, tag_field="answer", tag="failed"):
    kind: ClassKind
    failure: Failure


class Finished(Struct, frozen=True, tag_field="answer", tag="finished"):
    """The last message: the official packages that the interpreter lacks."""

    stand_ins: tuple[_Package, ...]


class NotStarted(Struct, frozen=True, tag_field="answer", tag="not-started"):
    problem: str


ClassAnswer: TypeAlias = InputsAnswer | ParametersAnswer | FailedAnswer
Message: TypeAlias = ClassAnswer | Finished | NotStarted


def decode(line: bytes | bytearray) -> Message:
    """The message in a line. Raises ValueError for anything else."""
    try:
        document = json.loads(line, parse_constant=_refuse)
        message: Message = msgspec.convert(document, Message)
        # Names of files may have bytes that are not UTF-8; other surrogates cannot be printed.
        json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogateescape")
        if isinstance(message, InputsAnswer | ParametersAnswer):
            _check_values(message.value)
    except RecursionError as problem:
        raise ValueError("nested too deeply") from problem
    return message


def _check_values(values: list[Any] | dict[str, Any]) -> None:
    """Raise ValueError for a value that the platform's JSON cannot hold."""
    for value in (*values, *values.values()) if isinstance(values, dict) else values:
        plain(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
