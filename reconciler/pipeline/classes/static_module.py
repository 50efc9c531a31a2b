"""The names that a file of the pipeline binds, with the values that the static reader supports."""

import ast
import builtins
import enum
from pathlib import Path
from typing import Any, Final, NoReturn

from msgspec import Struct, field

from reconciler.pipeline.classes.constants import NotConstant, Scope, member_part, shortened, value_of
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.installed import Installed
from reconciler.pipeline.classes.official import official_enum

LOCALS: Final = frozenset({"self", "log_data"})  # names with another meaning in `__init__`


class NotStatic(Struct, frozen=True):
    """The class must be run to get its values.

    Attributes:
        reason: the code that the reader does not support; completes "needs code to run: ...".
        line: its line; 1 for the file as a whole.
        is_final: whether the class must not be run either.
    """

    reason: str
    line: int = 1
    is_final: bool = False


class NotUnderstood(Exception):  # noqa: N818 - control flow of the static reader, not an error
    """The file or class has code that the reader does not support. `answer` has the reason."""

    def __init__(self, reason: str, node: ast.AST | None = None, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.answer = NotStatic(reason, getattr(node, "lineno", 1), is_final)


class Imported(Struct, frozen=True):
    """An object of another package, of which only the name is known: "typing.Optional"."""

    name: str


class Opaque(Struct, frozen=True):
    """A function of the file, or a logger: it exists, but has no constant value."""


class Official(Struct, frozen=True):
    """An official base class, and the module from which the file imports it."""

    name: str
    module: str


class PipelineClass(Struct, frozen=True):
    """A class of the pipeline's own files.

    Attributes:
        attributes: the names set in its body, with their values; `Opaque` for methods.
        base: None for a class that only holds constants.
    """

    module: "Module"
    node: ast.ClassDef
    attributes: dict[str, Any]
    base: "PipelineClass | Official | None"


class Module(Struct):
    """A file of the pipeline.

    Attributes:
        own: the modules in the pipeline's folder.
        names: the names that it binds, with their values.
        room: characters and items that the values of all files may still have; one number.
        imported: the files that any file imports, read once: an enum must be the same one everywhere. None
            for a file that is still being read.
    """

    reference: ClassReference
    installed: Installed
    own: frozenset[str]
    names: dict[str, Any] = field(default_factory=dict)
    lazy_annotations: bool = False
    room: list[int] = field(default_factory=lambda: [1_000_000])
    imported: "dict[Path, Module | None]" = field(default_factory=dict)
    _enums: dict[str, type[enum.Enum] | None] = field(default_factory=dict)

    def official_enum(self, name: str) -> type[enum.Enum] | None:
        """As `official.official_enum`, for this file's interpreter. Its file is read once."""
        if name not in self._enums:
            self._enums[name] = official_enum(name, self.installed)
        return self._enums[name]

    def bind(self, name: str, value: Any, node: ast.AST) -> None:
        if name in self.names or name in LOCALS or hasattr(builtins, name):
            raise NotUnderstood(f"{name} has more than one meaning", node)
        if name.startswith("__") and name != "__all__":
            raise NotUnderstood(f"{name} has another meaning inside of a class", node)
        self.names[name] = value

    def scope(self, names: dict[str, Any] | None = None) -> Scope:
        known = self.names if names is None else {**self.names, **names}
        plain_names = {name: value for name, value in known.items() if not isinstance(value, NOT_VALUES)}
        return Scope(plain_names, lambda node: self.attribute(node, known), _no_call, self.room)

    def attribute(self, node: ast.Attribute, names: dict[str, Any]) -> Any:
        """`Enum.MEMBER`, `Enum.MEMBER.value`, or an attribute of a class of constants."""
        owner: Any = None
        if isinstance(node.value, ast.Name):
            owner = names.get(node.value.id)
        elif isinstance(node.value, ast.Attribute):
            owner = self.attribute(node.value, names)
        if isinstance(owner, type) and issubclass(owner, enum.Enum) and node.attr in owner.__members__:
            return owner[node.attr]
        if isinstance(owner, enum.Enum):
            return member_part(node, owner)
        if isinstance(owner, PipelineClass):
            return attribute_of(node, attributes_of(owner))
        raise NotConstant(node)

    def value(self, node: ast.expr, names: dict[str, Any] | None = None) -> Any:
        return constant_value(node, self.scope(names))


NOT_VALUES: Final = (Imported, Opaque, Official, PipelineClass, type)


def _no_call(node: ast.Call) -> NoReturn:
    raise NotConstant(node)


def constant_value(node: ast.expr, scope: Scope) -> Any:
    try:
        return value_of(node, scope)
    except NotConstant as problem:
        raise NotUnderstood(
            problem.reason, problem.node if hasattr(problem.node, "lineno") else node
        ) from None


def attributes_of(found: "PipelineClass") -> dict[str, Any]:
    """The attributes set in the bodies of the class and its bases."""
    inherited = attributes_of(found.base) if isinstance(found.base, PipelineClass) else {}
    return {**inherited, **found.attributes}


def attribute_of(node: ast.Attribute, known: dict[str, Any]) -> Any:
    """The value of this attribute; raises NotConstant if it is unknown or has none."""
    if node.attr not in known or isinstance(known[node.attr], NOT_VALUES):
        raise NotConstant(node)
    return known[node.attr]


def is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def name_of(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def quoted(node: ast.AST) -> str:
    """A statement for a message: the start of its source."""
    return f"`{shortened(node)}`"
