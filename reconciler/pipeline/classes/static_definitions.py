"""Reads the definitions of a file of the pipeline: imports, constants and classes, without running them."""

import ast
import builtins
import enum
import errno
import functools
import os
import sys
from pathlib import Path
from typing import Any, Final, cast

from providers.regular_files import MAX_BYTES, read_regular
from reconciler.pipeline.classes.constants import shortened
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.installed import Installed, UnknownError
from reconciler.pipeline.classes.official import ENUMS_MODULE, ROOTS, official_class
from reconciler.pipeline.classes.parse_lock import parsing
from reconciler.pipeline.classes.static_module import (
    Imported,
    Module,
    NotUnderstood,
    Official,
    Opaque,
    PipelineClass,
    is_none,
    name_of,
    quoted,
)

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
RESERVED: Final = frozenset(
    {"define_input", "inputs", "to_list", "extract_parameter", "to_dict", "validate_log_data"}
    | {"parameters_data", "defaulted_keys"}
)
_SUFFIXES: Final = (".py", ".so", ".pyd", ".pyc")
_KEPT: Final = 1 << 16
"""Maximum size in bytes of a file whose tree is kept for other pipelines with the same file."""
_DEEPEST: Final = 5  # levels of imports between files of the pipeline


def _first_undecodable_line(source: bytes) -> int:
    """The line of the first invalid byte: the position in Python's own error does not start at the file."""
    try:
        source.decode()
    except UnicodeDecodeError as problem:
        return source.count(b"\n", 0, problem.start) + 1
    return 1


def read_module(
    reference: ClassReference,
    installed: Installed,
    own: frozenset[str],
    importer: Module | None = None,
    depth: int = 0,
) -> Module:
    """The names that a file defines; raises NotUnderstood if importing it does more than define them.

    Args:
        own: the modules in the pipeline's folder.
        importer: the file that imports this one, at this depth; None for the file of the class.
    """
    tree = _parsed(reference.file)
    module = Module(reference, installed, own)
    if importer is not None:
        module.room, module.imported = importer.room, importer.imported
    for node in tree.body:
        _define(module, node, depth)
    return module


@functools.lru_cache(maxsize=64)  # pipelines share modules, and many have the same inputs
def _tree(source: bytes) -> ast.Module:
    with parsing():
        tree = ast.parse(source)
        compile(tree, "<class>", "exec", dont_inherit=True)  # finds errors that parsing does not
    return tree


def _parsed(file: Path) -> ast.Module:
    try:
        source = read_regular(file)
        tree = _tree(source) if len(source) <= _KEPT else _tree.__wrapped__(source)
    except SyntaxError as problem:
        raise NotUnderstood(
            f"this Python cannot parse it ({problem.msg})", ast.Constant(None, lineno=problem.lineno or 1)
        ) from None
    except UnicodeDecodeError as problem:
        at = ast.Constant(None, lineno=_first_undecodable_line(source))
        raise NotUnderstood(f"the file cannot be read ({problem.reason})", at) from None
    except (OSError, ValueError, RecursionError, MemoryError) as problem:
        if getattr(problem, "errno", None) == errno.EFBIG:
            reason = f"{file.name} has more than {MAX_BYTES >> 20} MiB"
            raise NotUnderstood(reason, is_final=True) from None
        raise NotUnderstood(f"the file cannot be read ({problem})") from None
    return tree


def _define(module: Module, node: ast.stmt, depth: int) -> None:
    """Bind the names of one statement at the top of a file."""
    match node:
        case ast.Expr(ast.Constant()) | ast.Pass():
            pass
        case ast.Import(names):
            for alias in names:
                _refuse_own(module, alias.name, node)
                bound = alias.asname or alias.name.partition(".")[0]
                module.bind(bound, Imported(alias.name if alias.asname else bound), node)
        case ast.ImportFrom(level=0):
            _import(module, node, depth)
        case ast.Assign([ast.Name(name)], value):
            _constant(module, name, value, node)
        case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
            _annotation(module, annotation)
            _constant(module, name, value, node)
        case ast.ClassDef():
            module.bind(node.name, _own_class(module, node), node)
        case ast.FunctionDef(name=name):
            _signature(module, node)
            module.bind(name, Opaque(), node)
        case ast.If(test, _, []) if _never_holds(module, test):
            pass
        case _:
            raise NotUnderstood(f"{quoted(node)} at the top of the file", node)


def own_names(reference: ClassReference) -> frozenset[str]:
    """The modules in the pipeline's folder: they take precedence over installed packages of the same name."""
    return frozenset(map(_module_name, _entries(reference.folder)))


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - names only
    except OSError as problem:
        raise NotUnderstood(f"{folder} cannot be read: {problem.strerror}") from None


def _module_name(entry: str) -> str:
    """The name by which Python imports this file or folder: `a` for a.py and a.cpython-311-darwin.so."""
    return entry.partition(".")[0] if entry.endswith(_SUFFIXES) and entry not in _SUFFIXES else entry


def _refuse_own(module: Module, name: str, node: ast.AST) -> None:
    root = name.partition(".")[0]
    if root in module.own:
        raise NotUnderstood(f"the folder has its own {root}", node)


def _import(module: Module, node: ast.ImportFrom, depth: int) -> None:
    source = node.module or ""
    root = source.partition(".")[0]
    if root in module.own and (root in sys.stdlib_module_names or root in ROOTS):
        raise NotUnderstood(f"the folder has its own {root}", node)
    own = _own_module(module, source, node, depth) if root in module.own else None
    for alias in node.names:
        if alias.name == "*":
            raise NotUnderstood(f"it imports * from {source}", node)
        if own is not None:
            if alias.name not in own.names or _is_submodule(own, alias.name):
                raise NotUnderstood(f"it imports {alias.name} from {source}", node)
            value = own.names[alias.name]
        else:
            value = _imported(module, source, alias.name, node)
        if (source, alias.name) == ("__future__", "annotations"):
            module.lazy_annotations = True
        module.bind(alias.asname or alias.name, value, node)


def _is_submodule(package: Module, name: str) -> bool:
    """Whether a package has a module of this name, which its first import binds in place of a value."""
    file = package.reference.file
    return file.name == "__init__.py" and name in map(_module_name, _entries(file.parent))


def _imported(module: Module, source: str, name: str, node: ast.AST) -> Any:
    if (official := official_class(source, name)) is not None:
        return Official(official, source)
    if source == ENUMS_MODULE:
        try:
            return module.official_enum(name) or Imported(f"{source}.{name}")
        except UnknownError as problem:
            raise NotUnderstood(str(problem), node) from None
    return Imported(f"{source}.{name}")


def _own_module(module: Module, source: str, node: ast.AST, depth: int) -> Module:
    """Another file of the pipeline; it and its packages must be readable in the same way."""
    folder, found = module.reference.folder, None
    root = source.partition(".")[0]
    try:
        regular = (folder / root / "__init__.py").is_file() or (folder / f"{root}.py").is_file()
        if not regular and module.installed.file_of(root) is not None:  # the installed package comes first
            raise NotUnderstood(f"a package {root} is installed as well", node)
    except UnknownError as problem:
        raise NotUnderstood(str(problem), node) from None
    if depth >= _DEEPEST:
        raise NotUnderstood(f"its imports are more than {_DEEPEST} files deep at {source}", node)
    place = folder
    *packages, last = source.split(".")
    for package in packages:
        place /= package
        if (place / "__init__.py").is_file():
            _other_file(module, place / "__init__.py", source, node, depth)
    if any(_module_name(entry) == last and entry.endswith((".so", ".pyd")) for entry in _entries(place)):
        raise NotUnderstood(f"{source} is compiled", node)  # Python prefers it to a .py file
    for file in (place / last / "__init__.py", place / f"{last}.py"):  # Python's order
        if file.is_file() and found is None:
            found = _other_file(module, file, source, node, depth)
    if found is None:
        raise NotUnderstood(f"the folder has no file for {source}", node)
    return found


def _other_file(module: Module, file: Path, source: str, node: ast.AST, depth: int) -> Module:
    if file in module.imported:
        known = module.imported[file]
        if known is None:
            raise NotUnderstood(f"it imports {source} in a circle", node)
        return known
    module.imported[file] = None
    reference = ClassReference(module.reference.folder, file, "")
    try:
        found = read_module(reference, module.installed, module.own, module, depth + 1)
    except NotUnderstood as problem:
        raise NotUnderstood(
            f"it imports {source}, where {problem.answer.reason}", node, is_final=problem.answer.is_final
        ) from None
    module.imported[file] = found
    return found


def _never_holds(module: Module, test: ast.expr) -> bool:
    """Whether this is `if TYPE_CHECKING:` or `if __name__ == "__main__":`, which never runs on import."""
    match test:
        case ast.Name(name):
            return module.names.get(name) == Imported("typing.TYPE_CHECKING")
        case ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]):
            return "__name__" not in module.names
    return False


def _constant(module: Module, name: str, value: ast.expr, node: ast.AST) -> None:
    if name.startswith("__") and name != "__all__":
        raise NotUnderstood(f"{name} is assigned at the top of the file", node)
    match value:
        case ast.Call(
            ast.Attribute(ast.Name(owner), "getLogger"), [] | [ast.Name("__name__") | ast.Constant(str())], []
        ):
            if module.names.get(owner) == Imported("logging"):
                module.bind(name, Opaque(), node)
                return
    module.bind(name, module.value(value), node)


def _own_class(module: Module, node: ast.ClassDef) -> Any:
    """A class whose definition has no side effects: known bases, constants, plain methods."""
    if node.decorator_list or node.keywords or getattr(node, "type_params", None):
        raise NotUnderstood(f"class {node.name} has a decorator, a metaclass or type parameters", node)
    bases = [module.names.get(name_of(base) or "") for base in node.bases]
    base_names = tuple(
        base.name if isinstance(base, Imported) else name_of(expression) or "?"
        for base, expression in zip(bases, node.bases, strict=True)
    )
    if base_names in _ENUM_BASES and all(isinstance(base, Imported | None) for base in bases):
        return _enum(module, node, _ENUM_BASES[base_names])
    match bases:
        case [] | [None] if base_names in ((), ("object",)):
            base: PipelineClass | Official | None = None
        case [Official() | PipelineClass() as known_base]:
            base = known_base
        case _:
            raise NotUnderstood(f"class {node.name} has an unknown base", node)
    inits = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    attributes: dict[str, Any] = {}
    for item in node.body:
        if item in inits[1:]:
            raise NotUnderstood("__init__ is defined twice", item)
        _set_attribute(module, node, item, attributes)
    return PipelineClass(module, node, attributes, base)


def _set_attribute(module: Module, owner: ast.ClassDef, item: ast.stmt, attributes: dict[str, Any]) -> None:
    """Add the attribute that one statement in the body of a class sets."""
    match item:
        case ast.Pass() | ast.Expr(ast.Constant()):
            pass
        case ast.FunctionDef(name="__init__"):
            _signature(module, item)
        case ast.FunctionDef(name=name) if _is_free(name):
            if hasattr(builtins, name):  # the statements below it would call the method
                raise NotUnderstood(f"{name} has more than one meaning", item)
            _signature(module, item)
            attributes[name] = Opaque()  # shadows a name of the file and a value of a base
        case ast.Assign([ast.Name(name)], value) if _is_free(name):
            attributes[name] = module.value(value, attributes)
        case ast.AnnAssign(ast.Name(name), annotation, value) if _is_free(name):
            _annotation(module, annotation)
            if value is not None:
                attributes[name] = module.value(value, attributes)
        case _:
            raise NotUnderstood(f"{quoted(item)} in class {owner.name}", item)


def _is_free(name: str) -> bool:
    """Whether a class can set this name without an effect on its base class."""
    return not name.startswith("_") and name not in RESERVED


def _enum(module: Module, node: ast.ClassDef, kind: type | None) -> type[enum.Enum]:
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
                raise NotUnderstood(f"{quoted(item)} in class {node.name}", item)
    if kind is not None and any(type(value) is not kind for value in members.values()):
        raise NotUnderstood(f"class {node.name} has members of another type", node)
    if not members:
        raise NotUnderstood(f"class {node.name} has no members", node)
    factory: Any = enum.Enum
    return cast(type[enum.Enum], factory(node.name, list(members.items()), type=kind))


def _signature(module: Module, node: ast.FunctionDef) -> None:
    """Check that `def` runs no code: no decorators, constant defaults, annotations with known names only."""
    if node.decorator_list or getattr(node, "type_params", None):
        raise NotUnderstood(f"{node.name} has a decorator or type parameters", node)
    arguments = node.args
    for default in (*arguments.defaults, *arguments.kw_defaults):
        if not isinstance(default, ast.Constant | None):
            raise NotUnderstood(f"a default of {node.name} is computed", node)
    annotated = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    annotated += [extra for extra in (arguments.vararg, arguments.kwarg) if extra is not None]
    for annotation in (*(argument.annotation for argument in annotated), node.returns):
        if annotation is not None:
            _annotation(module, annotation)


def _annotation(module: Module, node: ast.expr) -> None:
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
        case ast.Subscript(left, right) if name_of(left) in _GENERIC or _is_imported(module, left):
            _annotation(module, right)
        case ast.Tuple(items) | ast.List(items):
            for item in items:
                _annotation(module, item)
        case _:
            raise NotUnderstood(f"the annotation {shortened(node)}", node)


def _is_imported(module: Module, node: ast.expr) -> bool:
    """Whether this is an object of another package, or an attribute of one: their operations are unknown."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(module.names.get(name_of(node) or ""), Imported)


def _is_type(module: Module, node: ast.expr) -> bool:
    """Whether `node` can be one side of `|` in an annotation, as far as known."""
    if isinstance(node, ast.Name):
        bound = module.names.get(node.id, getattr(builtins, node.id, None))
        return isinstance(bound, type | Imported | Official | PipelineClass)
    return not isinstance(node, ast.Constant | ast.Tuple | ast.List) or is_none(node)
