"""The static reader: evaluates a class from its source. Runs no code of the pipeline, needs no dependencies.

It supports classes that declare values: a file of imports, constants and classes, whose `__init__` calls
`define_input` and `extract_parameter` with constant expressions. If anything else can affect the values, it
returns `NotStatic` and never guesses: whenever both readers return values, the values are equal. Code that
cannot affect them, such as an unused import, is ignored.
"""

import ast
import builtins
import enum
import errno
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from providers.regular_files import MAX_BYTES, read_regular
from reconciler.core.diagnostics import Diagnostic, error
from reconciler.pipeline.classes.class_child import plain
from reconciler.pipeline.classes.constants import NotConstant, Scope, member_part, shortened, value_of
from reconciler.pipeline.classes.declarations import (
    ClassReference,
    ClassValue,
    InputDeclaration,
    Inputs,
    Parameters,
    missing_class,
    problems_of,
)
from reconciler.pipeline.classes.installed import NOTHING, Installed, UnknownError
from reconciler.pipeline.classes.official import (
    CLASSES,
    ENUMS_MODULE,
    INPUTS_BASE,
    ROOTS,
    check_known,
    official_class,
    official_enum,
)
from reconciler.pipeline.classes.parse_lock import parsing

READER: Final = "static"

_TYPES: Final[dict[str, type]] = {t.__name__: t for t in (int, float, str, bool, list, dict, tuple)}
_ENUM_BASES: Final[dict[tuple[str, ...], type | None]] = {
    ("enum.Enum",): None,
    ("enum.StrEnum",): str,
    ("enum.IntEnum",): int,
    ("str", "enum.Enum"): str,
    ("int", "enum.Enum"): int,
}
"""Bases of an enum -> the second type of its members."""
_GENERIC: Final = frozenset({"list", "dict", "tuple", "set", "frozenset", "type"})
# Names that the base classes use; a class that defines or sets one of them must be run.
_RESERVED: Final = frozenset(
    {"define_input", "inputs", "to_list", "extract_parameter", "to_dict", "validate_log_data"}
    | {"parameters_data", "defaulted_keys"}
)
_LOCALS: Final = frozenset({"self", "log_data"})  # names with another meaning in `__init__`
_COMPILED: Final = (".so", ".pyd", ".pyc")
_DEEPEST: Final = 5  # levels of imports between files of the pipeline


@dataclass(frozen=True, slots=True)
class NotStatic:
    """The class must be run to get its values.

    Attributes:
        reason: the code that the reader does not support; completes "needs code to run: ...".
        line: its line; 1 for the file as a whole.
        is_final: whether the class must not be run either.
    """

    reason: str
    line: int = 1
    is_final: bool = False


class _NotUnderstood(Exception):  # noqa: N818 - control flow within this module, not an error
    def __init__(self, reason: str, node: ast.AST | None = None, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.answer = NotStatic(reason, getattr(node, "lineno", 1), is_final)


class _Refused(Exception):  # noqa: N818 - becomes a diagnostic with a line
    """The engine would raise an error for this parameter; has the text of the diagnostic."""

    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(summary)
        self.summary, self.detail = summary, detail


def read_inputs(reference: ClassReference, installed: Installed = NOTHING) -> ClassValue[Inputs] | NotStatic:
    """The inputs that the class declares, or why the class must be run.

    Args:
        installed: the packages of the interpreter that would run it.
    """
    try:
        found = _find(reference, installed, (INPUTS_BASE,))
        if isinstance(found, Diagnostic):
            return ClassValue(None, READER, (found,))
        declared = tuple(_Instance(found, reference).inputs())
    except _NotUnderstood as reason:
        return reason.answer
    except RecursionError:
        return NotStatic("it is nested too deeply", 1)
    problems = tuple(problems_of(declared))
    return ClassValue(None if problems else declared, READER, problems)


def read_parameters(
    reference: ClassReference, installed: Installed = NOTHING
) -> ClassValue[Parameters] | NotStatic:
    """The default of every parameter, or why the class must be run. Same arguments as `read_inputs`."""
    try:
        found = _find(reference, installed, tuple(CLASSES.keys() - {INPUTS_BASE}))
        if isinstance(found, Diagnostic):
            return ClassValue(None, READER, (found,))
        instance = _Instance(found, reference)
        values = instance.parameters()
    except _NotUnderstood as reason:
        return reason.answer
    except RecursionError:
        return NotStatic("it is nested too deeply", 1)
    problems = tuple(instance.problems)
    return ClassValue(None if problems else dict(sorted(values.items())), READER, problems)


# The module: imports, constants and classes, each name bound once


@dataclass(frozen=True, slots=True)
class _Imported:
    """An object of another package, of which only the name is known: "typing.Optional"."""

    name: str


@dataclass(frozen=True, slots=True)
class _Opaque:
    """A function of the file, or a logger: it exists, but has no constant value."""


@dataclass(frozen=True, slots=True)
class _Official:
    """An official base class, and the module from which the file imports it."""

    name: str
    module: str


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of the pipeline's own files.

    Attributes:
        attributes: the names set in its body, with their values; `_Opaque` for methods.
        base: None for a class that only holds constants.
    """

    module: "_Module"
    node: ast.ClassDef
    attributes: dict[str, Any]
    base: "_Class | _Official | None"


@dataclass(slots=True)
class _Module:
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
    imported: "dict[Path, _Module | None]" = field(default_factory=dict)

    def bind(self, name: str, value: Any, node: ast.AST) -> None:
        if name in self.names or name in _LOCALS or hasattr(builtins, name):
            raise _NotUnderstood(f"{name} has more than one meaning", node)
        if name.startswith("__") and name != "__all__":
            raise _NotUnderstood(f"{name} has another meaning inside of a class", node)
        self.names[name] = value

    def scope(self, names: dict[str, Any] | None = None) -> Scope:
        known = self.names if names is None else {**self.names, **names}
        plain_names = {name: value for name, value in known.items() if not isinstance(value, _NOT_VALUES)}
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
        if isinstance(owner, _Class):
            return _attribute(node, _attributes(owner))
        raise NotConstant(node)

    def value(self, node: ast.expr, names: dict[str, Any] | None = None) -> Any:
        return _evaluate(node, self.scope(names))


_NOT_VALUES: Final = (_Imported, _Opaque, _Official, _Class, type)


def _no_call(node: ast.Call) -> NoReturn:
    raise NotConstant(node)


def _evaluate(node: ast.expr, scope: Scope) -> Any:
    try:
        return value_of(node, scope)
    except NotConstant as problem:
        raise _NotUnderstood(
            problem.reason, problem.node if hasattr(problem.node, "lineno") else node
        ) from None


def _attributes(found: "_Class") -> dict[str, Any]:
    """The attributes set in the bodies of the class and its bases."""
    inherited = _attributes(found.base) if isinstance(found.base, _Class) else {}
    return {**inherited, **found.attributes}


def _attribute(node: ast.Attribute, known: dict[str, Any]) -> Any:
    """The value of this attribute; raises NotConstant if it is unknown or has none."""
    if node.attr not in known or isinstance(known[node.attr], _NOT_VALUES):
        raise NotConstant(node)
    return known[node.attr]


def _find(reference: ClassReference, installed: Installed, bases: tuple[str, ...]) -> _Class | Diagnostic:
    """The class, which must derive from one of these official bases; a diagnostic if it does not exist."""
    module = _module(reference, installed, _own_names(reference))
    found = module.names.get(reference.name)
    if not isinstance(found, _Class) or found.module is not module:
        if found is not None:
            raise _NotUnderstood(f"{reference.name} is not a class of this file")
        classes = [name for name, value in module.names.items() if isinstance(value, _Class)]
        return missing_class(reference, classes)
    first = found
    while isinstance(first.base, _Class):
        first = first.base
    if first.base is None or first.base.name not in bases:
        raise _NotUnderstood(
            f"{found.node.name} does not derive from {' or '.join(sorted(bases))}", found.node
        )
    try:
        check_known(first.base.name, first.base.module, installed)
    except UnknownError as problem:
        raise _NotUnderstood(str(problem), found.node) from None
    return found


def _first_undecodable_line(source: bytes) -> int:
    """The line of the first invalid byte: the position in Python's own error does not start at the file."""
    try:
        source.decode()
    except UnicodeDecodeError as problem:
        return source.count(b"\n", 0, problem.start) + 1
    return 1


def _module(
    reference: ClassReference,
    installed: Installed,
    own: frozenset[str],
    importer: _Module | None = None,
    depth: int = 0,
) -> _Module:
    """The names that a file defines; raises _NotUnderstood if importing it does more than define them."""
    try:
        source = read_regular(reference.file)
        with parsing():
            tree = ast.parse(source, str(reference.file))
            compile(
                tree, str(reference.file), "exec", dont_inherit=True
            )  # finds errors that parsing does not
    except SyntaxError as problem:
        raise _NotUnderstood(
            f"this Python cannot parse it ({problem.msg})", ast.Constant(None, lineno=problem.lineno or 1)
        ) from None
    except UnicodeDecodeError as problem:
        at = ast.Constant(None, lineno=_first_undecodable_line(source))
        raise _NotUnderstood(f"the file cannot be read ({problem.reason})", at) from None
    except (OSError, ValueError, RecursionError, MemoryError) as problem:
        if getattr(problem, "errno", None) == errno.EFBIG:
            reason = f"{reference.file.name} has more than {MAX_BYTES >> 20} MiB"
            raise _NotUnderstood(reason, is_final=True) from None
        raise _NotUnderstood(f"the file cannot be read ({problem})") from None
    module = _Module(reference, installed, own)
    if importer is not None:
        module.room, module.imported = importer.room, importer.imported
    for node in tree.body:
        match node:
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case ast.Import(names):
                for alias in names:
                    _refuse_own(module, alias.name, node)
                    bound = alias.asname or alias.name.partition(".")[0]
                    module.bind(bound, _Imported(alias.name if alias.asname else bound), node)
            case ast.ImportFrom(level=0):
                _import(module, node, depth)
            case ast.Assign([ast.Name(name)], value):
                _constant(module, name, value, node)
            case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
                _annotation(module, annotation)
                _constant(module, name, value, node)
            case ast.ClassDef():
                module.bind(node.name, _class(module, node), node)
            case ast.FunctionDef(name=name):
                _signature(module, node)
                module.bind(name, _Opaque(), node)
            case ast.If(test, _, []) if _never_holds(module, test):
                pass
            case _:
                raise _NotUnderstood(f"{_quoted(node)} at the top of the file", node)
    return module


def _own_names(reference: ClassReference) -> frozenset[str]:
    """The modules in the pipeline's folder: they take precedence over installed packages of the same name."""
    return frozenset(map(_module_name, _entries(reference.folder)))


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as problem:
        raise _NotUnderstood(f"{folder} cannot be read: {problem.strerror}") from None


def _module_name(path: Path) -> str:
    """The name by which Python imports this file or folder: `a` for a.py and a.cpython-311-darwin.so."""
    return path.name.partition(".")[0] if path.suffix in (".py", *_COMPILED) else path.name


def _refuse_own(module: _Module, name: str, node: ast.AST) -> None:
    root = name.partition(".")[0]
    if root in module.own:
        raise _NotUnderstood(f"the folder has its own {root}", node)


def _import(module: _Module, node: ast.ImportFrom, depth: int) -> None:
    source = node.module or ""
    root = source.partition(".")[0]
    if root in module.own and (root in sys.stdlib_module_names or root in ROOTS):
        raise _NotUnderstood(f"the folder has its own {root}", node)
    own = _own_module(module, source, node, depth) if root in module.own else None
    for alias in node.names:
        if alias.name == "*":
            raise _NotUnderstood(f"it imports * from {source}", node)
        if own is not None:
            if alias.name not in own.names or _is_submodule(own, alias.name):
                raise _NotUnderstood(f"it imports {alias.name} from {source}", node)
            value = own.names[alias.name]
        else:
            value = _imported(module, source, alias.name, node)
        if (source, alias.name) == ("__future__", "annotations"):
            module.lazy_annotations = True
        module.bind(alias.asname or alias.name, value, node)


def _is_submodule(package: _Module, name: str) -> bool:
    """Whether a package has a module of this name, which its first import binds in place of a value."""
    file = package.reference.file
    return file.name == "__init__.py" and any(_module_name(path) == name for path in _entries(file.parent))


def _imported(module: _Module, source: str, name: str, node: ast.AST) -> Any:
    if (official := official_class(source, name)) is not None:
        return _Official(official, source)
    if source == ENUMS_MODULE:
        try:
            return official_enum(name, module.installed) or _Imported(f"{source}.{name}")
        except UnknownError as problem:
            raise _NotUnderstood(str(problem), node) from None
    return _Imported(f"{source}.{name}")


def _own_module(module: _Module, source: str, node: ast.AST, depth: int) -> _Module:
    """Another file of the pipeline; it and its packages must be readable in the same way."""
    folder, found = module.reference.folder, None
    root = source.partition(".")[0]
    try:
        regular = (folder / root / "__init__.py").is_file() or (folder / f"{root}.py").is_file()
        if not regular and module.installed.file_of(root) is not None:  # the installed package comes first
            raise _NotUnderstood(f"a package {root} is installed as well", node)
    except UnknownError as problem:
        raise _NotUnderstood(str(problem), node) from None
    if depth >= _DEEPEST:
        raise _NotUnderstood(f"its imports are more than {_DEEPEST} files deep at {source}", node)
    place = folder
    *packages, last = source.split(".")
    for package in packages:
        place /= package
        if (place / "__init__.py").is_file():
            _other_file(module, place / "__init__.py", source, node, depth)
    if any(_module_name(path) == last and path.suffix in (".so", ".pyd") for path in _entries(place)):
        raise _NotUnderstood(f"{source} is compiled", node)  # Python prefers it to a .py file
    for file in (place / last / "__init__.py", place / f"{last}.py"):  # Python's order
        if file.is_file() and found is None:
            found = _other_file(module, file, source, node, depth)
    if found is None:
        raise _NotUnderstood(f"the folder has no file for {source}", node)
    return found


def _other_file(module: _Module, file: Path, source: str, node: ast.AST, depth: int) -> _Module:
    if file in module.imported:
        known = module.imported[file]
        if known is None:
            raise _NotUnderstood(f"it imports {source} in a circle", node)
        return known
    module.imported[file] = None
    reference = ClassReference(module.reference.folder, file, "")
    try:
        found = _module(reference, module.installed, module.own, module, depth + 1)
    except _NotUnderstood as problem:
        raise _NotUnderstood(
            f"it imports {source}, where {problem.answer.reason}", node, is_final=problem.answer.is_final
        ) from None
    module.imported[file] = found
    return found


def _never_holds(module: _Module, test: ast.expr) -> bool:
    """Whether this is `if TYPE_CHECKING:` or `if __name__ == "__main__":`, which never runs on import."""
    match test:
        case ast.Name(name):
            return module.names.get(name) == _Imported("typing.TYPE_CHECKING")
        case ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]):
            return "__name__" not in module.names
    return False


def _constant(module: _Module, name: str, value: ast.expr, node: ast.AST) -> None:
    if name.startswith("__") and name != "__all__":
        raise _NotUnderstood(f"{name} is assigned at the top of the file", node)
    match value:
        case ast.Call(
            ast.Attribute(ast.Name(owner), "getLogger"), [] | [ast.Name("__name__") | ast.Constant(str())], []
        ):
            if module.names.get(owner) == _Imported("logging"):
                module.bind(name, _Opaque(), node)
                return
    module.bind(name, module.value(value), node)


def _class(module: _Module, node: ast.ClassDef) -> Any:
    """A class whose definition has no side effects: known bases, constants, plain methods."""
    if node.decorator_list or node.keywords or getattr(node, "type_params", None):
        raise _NotUnderstood(f"class {node.name} has a decorator, a metaclass or type parameters", node)
    bases = [module.names.get(_name(base) or "") for base in node.bases]
    base_names = tuple(
        base.name if isinstance(base, _Imported) else _name(expression) or "?"
        for base, expression in zip(bases, node.bases, strict=True)
    )
    if base_names in _ENUM_BASES and all(isinstance(base, _Imported | None) for base in bases):
        return _enum(module, node, _ENUM_BASES[base_names])
    match bases:
        case [] | [None] if base_names in ((), ("object",)):
            base: _Class | _Official | None = None
        case [_Official() | _Class() as known_base]:
            base = known_base
        case _:
            raise _NotUnderstood(f"class {node.name} has an unknown base", node)
    attributes: dict[str, Any] = {}
    initialised = False
    for item in node.body:
        match item:
            case ast.Pass() | ast.Expr(ast.Constant()):
                pass
            case ast.FunctionDef(name="__init__"):
                _signature(module, item)
                if initialised:
                    raise _NotUnderstood("__init__ is defined twice", item)
                initialised = True
            case ast.FunctionDef(name=name) if not name.startswith("_") and name not in _RESERVED:
                if hasattr(builtins, name):  # the statements below it would call the method
                    raise _NotUnderstood(f"{name} has more than one meaning", item)
                _signature(module, item)
                attributes[name] = _Opaque()  # shadows a name of the file and a value of a base
            case ast.Assign([ast.Name(name)], value) if not name.startswith("_") and name not in _RESERVED:
                attributes[name] = module.value(value, attributes)
            case ast.AnnAssign(ast.Name(name), annotation, value) if (
                not name.startswith("_") and name not in _RESERVED
            ):
                _annotation(module, annotation)
                if value is not None:
                    attributes[name] = module.value(value, attributes)
            case _:
                raise _NotUnderstood(f"{_quoted(item)} in class {node.name}", item)
    return _Class(module, node, attributes, base)


def _enum(module: _Module, node: ast.ClassDef, kind: type | None) -> type[enum.Enum]:
    """An enum with constant members only: `FAST = "fast"`."""
    members: dict[str, Any] = {}
    for item in node.body:
        match item:
            case ast.Pass() | ast.Expr(ast.Constant(str())):
                pass
            case ast.Assign([ast.Name(name)], ast.Constant(str() | int() | float() as value)) if (
                name.isupper() and not name.startswith("_") and name not in members
            ):
                members[name] = value
            case _:
                raise _NotUnderstood(f"{_quoted(item)} in class {node.name}", item)
    if kind is not None and any(type(value) is not kind for value in members.values()):
        raise _NotUnderstood(f"class {node.name} has members of another type", node)
    if not members:
        raise _NotUnderstood(f"class {node.name} has no members", node)
    factory: Any = enum.Enum
    return cast(type[enum.Enum], factory(node.name, list(members.items()), type=kind))


def _signature(module: _Module, node: ast.FunctionDef) -> None:
    """Check that `def` runs no code: no decorators, constant defaults, annotations with known names only."""
    if node.decorator_list or getattr(node, "type_params", None):
        raise _NotUnderstood(f"{node.name} has a decorator or type parameters", node)
    arguments = node.args
    for default in (*arguments.defaults, *arguments.kw_defaults):
        if not isinstance(default, ast.Constant | None):
            raise _NotUnderstood(f"a default of {node.name} is computed", node)
    annotated = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotated += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    for annotation in (*(argument.annotation for argument in annotated), node.returns):
        if annotation is not None:
            _annotation(module, annotation)


def _annotation(module: _Module, node: ast.expr) -> None:
    """Check the names of an annotation: Python evaluates it on import, so they must exist."""
    if module.lazy_annotations:
        return
    match node:
        case ast.Constant():
            pass
        case ast.Name(name) if name in module.names or isinstance(getattr(builtins, name, None), type):
            pass
        case ast.Attribute(inner) if _is_imported(module, inner):
            pass
        case ast.BinOp(left, ast.BitOr(), right) if _is_type(module, left) and _is_type(module, right):
            _annotation(module, left)
            _annotation(module, right)
        case ast.Subscript(left, right) if _name(left) in _GENERIC or _is_imported(module, left):
            _annotation(module, right)
        case ast.Tuple(items) | ast.List(items):
            for item in items:
                _annotation(module, item)
        case _:
            raise _NotUnderstood(f"the annotation {shortened(node)}", node)


def _is_imported(module: _Module, node: ast.expr) -> bool:
    """Whether this is an object of another package, or an attribute of one: their operations are unknown."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(module.names.get(_name(node) or ""), _Imported)


def _is_type(module: _Module, node: ast.expr) -> bool:
    """Whether `node` can be one side of `|` in an annotation, as far as known."""
    if isinstance(node, ast.Name):
        bound = module.names.get(node.id, getattr(builtins, node.id, None))
        return isinstance(bound, type | _Imported | _Official | _Class)
    return not isinstance(node, ast.Constant | ast.Tuple | ast.List) or _is_none(node)


# One instance of the class: the statements of its `__init__`, in order


class _Instance:
    """Evaluates `__init__` of a class and its bases, base first."""

    def __init__(self, found: _Class, reference: ClassReference) -> None:
        self._class, self._reference = found, reference
        self._attributes = _attributes(found)
        self._values: dict[str, Any] = {}
        self._declared: list[InputDeclaration] = []
        self._argument: str | None = None
        self._setting = ""
        self.problems: list[Diagnostic] = []

    def inputs(self) -> list[InputDeclaration]:
        self._run(self._class)
        return self._declared

    def parameters(self) -> dict[str, Any]:
        self._argument = "log_data"
        self._run(self._class)
        return {} if self.problems else {name: plain(value) for name, value in self._values.items()}

    def _run(self, found: _Class) -> None:
        init = next(
            (one for one in found.node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"),
            None,
        )
        statements = [] if init is None else _after_super(init, self._argument)
        self._run_base(found)
        local: dict[str, Any] = {}
        for node in statements:
            self._statement(found, node, local)

    def _run_base(self, found: _Class) -> None:
        if isinstance(found.base, _Class):
            self._run(found.base)
        elif found.base is not None:
            self._values.update(CLASSES[found.base.name].inherited)

    def _statement(self, found: _Class, node: ast.stmt, local: dict[str, Any]) -> None:
        scope = self._scope(found, local)
        match node:
            case ast.Pass() | ast.Expr(ast.Constant()):
                pass
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("self"), "define_input")) as call) if (
                not self._argument
            ):
                self._declared.append(self._declaration(found, call, scope))
            case ast.Assign([ast.Attribute(ast.Name("self"), name)], value):
                self._assign(found, name, value, node, scope)
            case ast.AnnAssign(ast.Attribute(ast.Name("self"), name), _, ast.expr() as value):
                self._assign(found, name, value, node, scope)  # such an annotation is never evaluated
            case ast.Assign([ast.Name(name)], value):
                if name in found.module.names or hasattr(builtins, name) or name in _LOCALS:
                    raise _NotUnderstood(f"{name} has more than one meaning", node)
                local[name] = _evaluate(value, scope)
            case _:
                raise _NotUnderstood(f"{_quoted(node)} in __init__", node)

    def _scope(self, found: _Class, local: dict[str, Any]) -> Scope:
        module = found.module

        def attribute(node: ast.Attribute) -> Any:
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return _attribute(node, {**self._attributes, **self._values})
            return module.attribute(node, module.names)

        def call(node: ast.Call) -> Any:
            match node.func:
                case ast.Attribute(ast.Name("self"), "extract_parameter") if self._argument:
                    return self._extracted(found, node, scope)
            raise NotConstant(node)

        names = {
            name: value
            for name, value in {**module.names, **local}.items()
            if not isinstance(value, _NOT_VALUES)
        }
        scope = Scope(names, attribute, call, module.room)
        return scope

    def _assign(self, found: _Class, name: str, value: ast.expr, node: ast.stmt, scope: Scope) -> None:
        _check_name(name, node)
        self._setting = name
        try:
            self._values[name] = _evaluate(value, scope)
            if self._argument:
                plain(self._values[name])
            return
        except _Refused as problem:
            summary, detail = problem.summary, problem.detail
        except ValueError as reason:
            summary, detail = f"parameter {name!r} {reason}", "Give it a value that JSON can hold."
        self.problems.append(error(summary, detail, file=found.module.reference.file, line=node.lineno))

    def _declaration(self, found: _Class, call: ast.Call, scope: Scope) -> InputDeclaration:
        order = ("name", "input_type", "required", "inference_type_constraint", "framework_constraint")
        arguments = _arguments(call, order, needed=2)
        name = _evaluate(arguments["name"], scope)
        required = _evaluate(arguments["required"], scope) if "required" in arguments else True
        if type(name) is not str or type(required) is not bool:
            raise _NotUnderstood("name is not text, or required is not True or False", call)
        input_type = _member(found.module, arguments["input_type"], "ProcessingInputType", scope)
        if input_type is None:
            raise _NotUnderstood("input_type is None", call)
        return InputDeclaration(
            name=name,
            input_type=input_type,
            required=required,
            inference_type_constraint=_member(found.module, arguments.get(order[3]), "InferenceType", scope),
            framework_constraint=_member(found.module, arguments.get(order[4]), "Framework", scope),
            file=found.module.reference.file,
            line=call.lineno,
        )

    def _extracted(self, found: _Class, call: ast.Call, scope: Scope) -> Any:
        """The default that cv-engine returns for an empty `log_data`; raises _Refused if cv-engine raises."""
        name = self._setting
        arguments = _arguments(call, ("keys", "expected_type", "default", "range_value"), needed=2)
        keys = _evaluate(arguments["keys"], scope)
        if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
            raise _NotUnderstood("a key is not text", call)
        expected, shown = (
            _expected(found.module, arguments["expected_type"]),
            shortened(arguments["expected_type"]),
        )
        if "range_value" in arguments:
            _evaluate(arguments["range_value"], scope)
        if not keys:
            raise _Refused(f"parameter {name!r} has no keys", "extract_parameter needs at least one.")
        node = arguments.get("default")
        if node is None or (isinstance(node, ast.Constant) and node.value is ...):
            raise _Refused(
                f"parameter {name!r} has no default",
                "A pipeline is registered with the default of every parameter: "
                f"give extract_parameter a default of type {shown}.",
            )
        default = _evaluate(node, scope)
        if default is None and not expected.optional:
            if expected.maybe:
                raise _NotUnderstood(f"whether {shown} allows None depends on the version of Python", call)
            raise _Refused(
                f"parameter {name!r} has the default None, which {shown} does not allow",
                f"Give it a value, or write expected_type=Optional[{shown}].",
            )
        if default is not None and not isinstance(default, expected.types):
            is_int_for_float = expected.types == (float,) and isinstance(default, int)
            fix = f" Write default={float(default)}." if is_int_for_float else ""
            raise _Refused(
                f"parameter {name!r} has a default of type {type(default).__name__}, not {shown}",
                f"The engine refuses {default!r:.80} for expected_type={shown}.{fix}",
            )
        return default


def _after_super(init: ast.FunctionDef, argument: str | None) -> list[ast.stmt]:
    """The statements after the docstring and `super().__init__(...)`, which must come first."""
    expected = ["self"] if argument is None else ["self", argument]
    actual = init.args
    others = actual.posonlyargs or actual.kwonlyargs or actual.vararg or actual.kwarg or actual.defaults
    if others or [one.arg for one in actual.args] != expected:
        raise _NotUnderstood(f"__init__ does not take ({', '.join(expected)})", init)
    body = list(init.body)
    while len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
    match body[0]:
        case ast.Expr(
            ast.Call(ast.Attribute(ast.Call(ast.Name("super"), [], []), "__init__"), args, keywords)
        ):
            passed = [(None, value) for value in args] + [(one.arg, one.value) for one in keywords]
        case first:
            raise _NotUnderstood("__init__ does not begin with super().__init__(...)", first)
    match passed:
        case [] if argument is None:
            pass
        case [(None | "log_data", ast.Name("log_data"))] if argument is not None:
            pass
        case _:
            raise _NotUnderstood("super().__init__ gets other arguments", body[0])
    return body[1:]


@dataclass(frozen=True, slots=True)
class _Expected:
    """The defaults that `expected_type` accepts.

    Attributes:
        types: the accepted types.
        optional: whether None is accepted.
        maybe: whether only some versions of Python accept None.
    """

    types: tuple[type, ...]
    optional: bool = False
    maybe: bool = False


def _expected(module: _Module, node: ast.expr) -> _Expected:
    match node:
        case ast.Name():
            return _Expected((_type(module, node),))
        case ast.Subscript(ast.Name(name), inner):
            imported = module.names.get(name)
            if imported == _Imported("typing.Optional") and not isinstance(inner, ast.Tuple):
                return _Expected((_type(module, inner),), optional=True)
            if imported == _Imported("typing.Union") and isinstance(inner, ast.Tuple):
                types = [_type(module, one) for one in inner.elts if not _is_none(one)]
                if len(types) == len(inner.elts):
                    return _Expected(tuple(types))
                if types:  # the engine uses the first type and ignores the others
                    return _Expected((types[0],), optional=True)
        case ast.BinOp(_, ast.BitOr(), _):
            parts = _alternatives(node)
            types = [_type(module, one) for one in parts if not _is_none(one)]
            if len(types) == len(parts):
                return _Expected(tuple(types))
            if len(types) == 1:
                return _Expected(tuple(types), maybe=True)
    raise _NotUnderstood(f"expected_type={shortened(node)} is not a plain type", node)


def _alternatives(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return [*_alternatives(left), *_alternatives(right)]
    return [node]


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _type(module: _Module, node: ast.expr) -> type:
    """The plain type or enum of this name."""
    found = module.names.get(_name(node) or "", _TYPES.get(_name(node) or ""))
    if isinstance(found, type):
        return found
    raise _NotUnderstood(f"expected_type has {shortened(node)}, which is not a plain type", node)


def _member(module: _Module, node: ast.expr | None, name: str, scope: Scope) -> str | None:
    value = None if node is None else _evaluate(node, scope)
    if value is None:
        return None
    try:
        if isinstance(value, enum.Enum) and type(value) is official_enum(name, module.installed):
            return str(value.value)
    except UnknownError as problem:
        raise _NotUnderstood(str(problem), node) from None
    assert node is not None
    raise _NotUnderstood(f"{shortened(node)} is not a member of {name}", node)


# Helpers


def _arguments(call: ast.Call, order: tuple[str, ...], needed: int) -> dict[str, ast.expr]:
    arguments = dict(zip(order, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg not in order or keyword.arg in arguments:
            raise _NotUnderstood(f"argument {keyword.arg or '**'} of the call", call)
        arguments[keyword.arg] = keyword.value
    if len(call.args) > len(order) or not set(order[:needed]) <= set(arguments):
        raise _NotUnderstood("the call has too few or too many arguments", call)
    return arguments


def _check_name(name: str, node: ast.AST) -> None:
    if name.startswith("_") or name in _RESERVED:
        raise _NotUnderstood(f"it sets self.{name}", node)


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _quoted(node: ast.AST) -> str:
    """A statement for a message: the start of its source."""
    return f"`{shortened(node)}`"
