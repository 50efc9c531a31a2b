"""The official base classes of a pipeline's classes, for the static reader.

Their parameters are listed here for the files of cv-engine 0.6.12 and pipelines-cli 0.7.6, identified by
digest. If an interpreter has other files, its classes must be run.
"""

import ast
import enum
import functools
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from providers import enums
from providers.made_once import made_once
from providers.regular_files import read_regular
from reconciler.pipeline.classes import class_child
from reconciler.pipeline.classes.installed import Installed, UnknownError
from reconciler.pipeline.classes.parse_lock import parsing

INPUTS_BASE: Final = "PipelineInputs"
ENUMS_MODULE: Final = "picsellia.types.enums"
_ENGINE: Final = "picsellia_cv_engine.core.parameters"
_ULTRALYTICS: Final = "picsellia_cv_engine.frameworks.ultralytics.parameters"
_INPUTS: Final = "picsellia_pipelines_cli.utils.inputs"
_BASE: Final = f"{_ENGINE}.base_parameters"
_KNOWN: Final[Mapping[str, str]] = {
    _ENGINE: "c65c6f28295f3abe513c58fba1905362e78eb58f5c5f4b9cc3496d23b4a11996",
    _BASE: "e7ffe797ae7445dc7a3ead435c4ed023d9f6a4911ccb6f82cf52d42f75b16173",
    f"{_ENGINE}.hyper_parameters": "1eaf2bc3573ce22b6d91803f890afe9bd7e3c766b5f015fca7b1637d4adfcdc9",
    f"{_ENGINE}.augmentation_parameters": "ed18e2e8daec810f0652bb74a8ebc91c6fee80dcb2d6e0f0e3d02313dc59196e",
    f"{_ENGINE}.export_parameters": "9bd49d830302f5f53c202cf94989bc81a765393d9aaa6e7caaaf858f564cfd45",
    f"{_ULTRALYTICS}.hyper_parameters": "0df9ae20f63878bae5347b692d2856575b656beb64db3ab6192fa85abca8f3a3",
    f"{_ULTRALYTICS}.augmentation_parameters": (
        "e6602b342a50a0675a6fab050ed759e35b9697399388b7aa62eaa7a2a529363e"
    ),
    _INPUTS: "5f643b80f0aaf816d008a75d5487c86b1ebdec8019af5f65391f5bca8ce1ead0",
}
"""SHA-256 of each module's file."""


class OfficialClass(Struct, frozen=True):
    """An official base class.

    Attributes:
        inherited: the parameters that it sets before the derived class adds its own, with their defaults.
        modules: the modules that define it.
    """

    inherited: Mapping[str, Any]
    modules: tuple[str, ...]


def _defaults(*tables: tuple[tuple[Any, ...], ...]) -> dict[str, Any]:
    return {row[0]: row[2] for table in tables for row in table}


CLASSES: Final[Mapping[str, OfficialClass]] = {
    INPUTS_BASE: OfficialClass({}, (_INPUTS,)),
    "Parameters": OfficialClass({}, (_BASE,)),
    "HyperParameters": OfficialClass(_defaults(class_child.HYPER), (_BASE, f"{_ENGINE}.hyper_parameters")),
    "AugmentationParameters": OfficialClass({}, (_BASE, f"{_ENGINE}.augmentation_parameters")),
    "ExportParameters": OfficialClass(_defaults(class_child.EXPORT), (_BASE, f"{_ENGINE}.export_parameters")),
    "UltralyticsHyperParameters": OfficialClass(
        _defaults(class_child.HYPER, class_child.ULTRALYTICS_HYPER),
        (_BASE, _ENGINE, f"{_ENGINE}.hyper_parameters", f"{_ULTRALYTICS}.hyper_parameters"),
    ),
    "UltralyticsAugmentationParameters": OfficialClass(
        _defaults(class_child.ULTRALYTICS_AUGMENTATION),
        (_BASE, _ENGINE, f"{_ENGINE}.augmentation_parameters", f"{_ULTRALYTICS}.augmentation_parameters"),
    ),
}
_OFFERED: Final[Mapping[str, frozenset[str]]] = {
    _INPUTS: frozenset({INPUTS_BASE}),
    _ENGINE: frozenset({"Parameters", "HyperParameters", "AugmentationParameters", "ExportParameters"}),
    _BASE: frozenset({"Parameters"}),
    f"{_ENGINE}.hyper_parameters": frozenset({"Parameters", "HyperParameters"}),
    f"{_ENGINE}.augmentation_parameters": frozenset({"Parameters", "AugmentationParameters"}),
    f"{_ENGINE}.export_parameters": frozenset({"Parameters", "ExportParameters"}),
    f"{_ULTRALYTICS}.hyper_parameters": frozenset({"HyperParameters", "UltralyticsHyperParameters"}),
    f"{_ULTRALYTICS}.augmentation_parameters": frozenset(
        {"AugmentationParameters", "UltralyticsAugmentationParameters"}
    ),
}
_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "ProcessingInputType": enums.INPUT_TYPES,
    "InferenceType": enums.INFERENCE_TYPES,
    "Framework": enums.FRAMEWORKS,
    "ProcessingType": enums.PROCESSING_TYPES,
}
ROOTS: Final = frozenset({"picsellia", "picsellia_cv_engine", "picsellia_pipelines_cli"})


def official_class(module: str, name: str) -> str | None:
    """The key in `CLASSES` of the class that `from module import name` imports; None for any other name."""
    return name if name in _OFFERED.get(module, ()) else None


def check_known(name: str, imported_from: str, installed: Installed) -> None:
    """Check that this interpreter has the version of the official class that is listed here, or no version.

    Raises:
        UnknownError: the interpreter has other files, or its packages are unknown.
    """
    for module in {*CLASSES[name].modules, imported_from}:
        file = installed.file_of(module)
        if file is not None and _digest(file) != _KNOWN[module]:
            raise UnknownError(f"{installed.python} has an unknown version of {module}")


def official_enum(name: str, installed: Installed) -> type[enum.Enum] | None:
    """An enum of the SDK with the members of this interpreter's version; None if no class needs it.

    Raises:
        UnknownError: the packages of the interpreter are unknown, or the enum has an unusual form.
    """
    if name not in _MEMBERS:
        return None
    file = installed.file_of(ENUMS_MODULE)
    members = _enums_in(file, *_stamp(file)).get(name) if file is not None else _MEMBERS[name]
    if members is None:
        raise UnknownError(f"{name} of {ENUMS_MODULE} in {installed.python} is not in the usual form")
    return _enum(name, tuple(members))


@made_once  # members are compared by the identity of their type
def _enum(name: str, members: tuple[str, ...]) -> type[enum.Enum]:
    return enum.Enum(name, [(member, member) for member in members])  # type: ignore[return-value]


def _stamp(file: Path) -> tuple[int, int]:
    status = os.stat(file)  # noqa: PTH116
    return status.st_mtime_ns, status.st_size


def _digest(file: Path) -> str:
    try:
        return _digest_of(file, *_stamp(file))
    except OSError as problem:
        raise UnknownError(f"{file} cannot be read: {problem.strerror}") from None


@functools.lru_cache(maxsize=256)
def _digest_of(file: Path, changed: int, size: int) -> str:
    return hashlib.sha256(read_regular(file).replace(b"\r\n", b"\n")).hexdigest()


@functools.lru_cache(maxsize=64)
def _enums_in(file: Path, changed: int, size: int) -> dict[str, tuple[str, ...] | None]:
    """The members of each enum in a file; None for an enum whose names and values differ."""
    enums_by_name: dict[str, tuple[str, ...] | None] = {}
    try:
        with parsing():
            tree = ast.parse(read_regular(file))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return enums_by_name
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name in _MEMBERS:
            enums_by_name[node.name] = None if node.name in enums_by_name else _members_of(node)
    return enums_by_name


def _members_of(node: ast.ClassDef) -> tuple[str, ...] | None:
    members = []
    for item in node.body:
        match item:
            case ast.Assign([ast.Name(name)], ast.Constant(str() as value)) if name == value:
                members.append(name)
            case ast.Expr(ast.Constant(str())):
                pass
            case _:
                return None
    return tuple(members)
