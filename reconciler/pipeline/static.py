"""The static reader: what a class says, read from its source. Runs nobody's code, needs no dependencies.

It understands the usual form only: literal arguments to `define_input` and `extract_parameter`. Whatever
else stands in the file makes it answer `NotStatic`, never a guess: where it answers, running the class says
the same.
"""

import ast
import builtins
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from providers.regular_files import read_regular
from reconciler.diagnostics import Diagnostic, error
from reconciler.pipeline import enums
from reconciler.pipeline.classes import (
    ClassReference,
    ClassValue,
    InputDeclaration,
    Inputs,
    Parameters,
    missing_class,
    problems_of,
)
from reconciler.pipeline.helper import plain
from reconciler.pipeline.syntax import parsing

READER: Final = "static"

_ENUMS: Final[Mapping[str, tuple[str, ...]]] = {
    "ProcessingInputType": enums.INPUT_TYPES,
    "InferenceType": enums.INFERENCE_TYPES,
    "Framework": enums.FRAMEWORKS,
    "ProcessingType": enums.PROCESSING_TYPES,
}
_ENGINE: Final = "picsellia_cv_engine.core.parameters"
_IMPORTS: Final[Mapping[str, frozenset[str]]] = {
    "__future__": frozenset({"annotations"}),
    "typing": frozenset({"Any", "Dict", "List", "Optional", "Union"}),
    "picsellia.types.enums": frozenset(_ENUMS),
    "picsellia.types.schemas": frozenset({"LogDataType"}),
    "picsellia_pipelines_cli.utils.inputs": frozenset({"PipelineInputs"}),
    _ENGINE: frozenset({"Parameters", "HyperParameters", "AugmentationParameters", "ExportParameters"}),
    f"{_ENGINE}.base_parameters": frozenset({"Parameters"}),
    f"{_ENGINE}.hyper_parameters": frozenset({"HyperParameters"}),
    f"{_ENGINE}.augmentation_parameters": frozenset({"AugmentationParameters"}),
    f"{_ENGINE}.export_parameters": frozenset({"ExportParameters"}),
}
# What each base has set before the class adds its own (cv-engine 0.6).
_INHERITED: Final[Mapping[str, Mapping[str, Any]]] = {
    "Parameters": {},
    "AugmentationParameters": {},
    "ExportParameters": {"export_format": "onnx"},
    "HyperParameters": {
        "epochs": 10,
        "batch_size": 8,
        "image_size": 640,
        "seed": 0,
        "validate": False,
        "train_set_split_ratio": 0.8,
        "device": "cuda:0",
    },
}
_INPUTS_BASE: Final = "PipelineInputs"
_TYPES: Final[Mapping[str, type]] = {t.__name__: t for t in (int, float, str, bool, list, dict)}
_CONSTANT = re.compile(r"[A-Z][A-Z0-9_]*")
# Names that the base classes rely on; a class that defines or sets one of them has to be run.
_TAKEN: Final = frozenset(
    {"define_input", "inputs", "to_list", "extract_parameter", "to_dict", "validate_log_data"}
    | {"parameters_data", "defaulted_keys"}
)


@dataclass(frozen=True, slots=True)
class NotStatic:
    """The class has to be run to be known.

    Attributes:
        reason: what the reader does not follow, as the end of "needs code to run: ...".
        line: where that stands, or None.
    """

    reason: str
    line: int | None = None


class _NotUnderstood(Exception):  # noqa: N818 - control flow within this module, not an error
    def __init__(self, reason: str, node: ast.AST | None = None) -> None:
        super().__init__(reason)
        self.answer = NotStatic(reason, getattr(node, "lineno", None))


def read_inputs(reference: ClassReference) -> ClassValue[Inputs] | NotStatic:
    """The inputs that the class declares, or why it has to be run."""
    try:
        found = _find(reference, (_INPUTS_BASE,))
        if isinstance(found, Diagnostic):
            return ClassValue(None, READER, (found,))
        module, _, init = found
        declared = tuple(_inputs(module, init, reference))
    except _NotUnderstood as reason:
        return reason.answer
    problems = tuple(problems_of(declared))
    return ClassValue(None if problems else declared, READER, problems)


def read_parameters(reference: ClassReference) -> ClassValue[Parameters] | NotStatic:
    """The default of every parameter, or why the class has to be run."""
    try:
        found = _find(reference, tuple(_INHERITED))
        if isinstance(found, Diagnostic):
            return ClassValue(None, READER, (found,))
        module, base, init = found
        problems: list[Diagnostic] = []
        values = {**_INHERITED[base], **_defaults(module, init, reference, problems)}
    except _NotUnderstood as reason:
        return reason.answer
    return ClassValue(None if problems else dict(sorted(values.items())), READER, tuple(problems))


# The module: imports, constants and classes, each name bound once


@dataclass(slots=True)
class _Module:
    imports: dict[str, str] = field(default_factory=dict)  # local name -> name in the official package
    constants: dict[str, Any] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    folder_shadows: frozenset[str] = frozenset()

    def bind(self, name: str, node: ast.AST) -> str:
        if name in {**self.imports, **self.constants, **self.classes} or hasattr(builtins, name):
            raise _NotUnderstood(f"{name} has more than one meaning", node)
        return name


def _find(
    reference: ClassReference, bases: tuple[str, ...]
) -> tuple[_Module, str, ast.FunctionDef | None] | Diagnostic:
    """The module, the official base and the `__init__` of the class; a diagnostic when it is not there."""
    module = _module(reference)
    node = module.classes.get(reference.name)
    if node is None:
        if reference.name in {**module.imports, **module.constants}:
            raise _NotUnderstood(f"{reference.name} is not a class of this file")
        return missing_class(reference, list(module.classes))
    base = module.imports.get(_name(node.bases[0]) or "") if len(node.bases) == 1 else None
    if base not in bases:
        raise _NotUnderstood(f"{node.name} does not derive directly from {' or '.join(bases)}", node)
    methods = [item for item in node.body if isinstance(item, ast.FunctionDef) and item.name == "__init__"]
    if len(methods) > 1:
        raise _NotUnderstood("__init__ is defined twice", methods[1])
    return module, base, methods[0] if methods else None


def _first_undecodable_line(source: bytes) -> int:
    """Python's own error counts from somewhere in the file."""
    try:
        source.decode()
    except UnicodeDecodeError as problem:
        return source.count(b"\n", 0, problem.start) + 1
    return 1


def _module(reference: ClassReference) -> _Module:
    try:
        source = read_regular(reference.file)
        with parsing():
            tree = ast.parse(source, str(reference.file))
            compile(tree, str(reference.file), "exec", dont_inherit=True)  # finds what a tree may still hide
    except SyntaxError as problem:
        raise _NotUnderstood(
            f"this Python cannot parse it ({problem.msg})", ast.Constant(None, lineno=problem.lineno or 1)
        ) from None
    except UnicodeDecodeError as problem:
        at = ast.Constant(None, lineno=_first_undecodable_line(source))
        raise _NotUnderstood(f"the file cannot be read ({problem.reason})", at) from None
    except (OSError, ValueError, RecursionError, MemoryError) as problem:
        raise _NotUnderstood(f"the file cannot be read ({problem})") from None
    module = _Module(folder_shadows=_own_names(reference))
    for index, node in enumerate(tree.body):
        match node:
            case ast.Expr(ast.Constant(str())) if index == 0:
                pass
            case ast.ImportFrom(level=0):
                _import(module, node)
            case ast.Assign([ast.Name(name)], value):
                _constant(module, name, value, node)
            case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
                _annotation(module, annotation)
                _constant(module, name, value, node)
            case ast.ClassDef():
                _class(module, node)
            case _:
                raise _NotUnderstood(f"{_kind(node)} at the top of the file", node)
    return module


def _own_names(reference: ClassReference) -> frozenset[str]:
    """Modules in the pipeline's folder: they would be imported instead of installed packages of that name."""
    return frozenset(path.stem if path.suffix == ".py" else path.name for path in reference.folder.iterdir())


def _import(module: _Module, node: ast.ImportFrom) -> None:
    source = node.module or ""
    if source.partition(".")[0] in module.folder_shadows:
        raise _NotUnderstood(f"the folder has its own {source.partition('.')[0]}", node)
    for alias in node.names:
        if alias.name not in _IMPORTS.get(source, ()):
            raise _NotUnderstood(f"it imports {alias.name} from {source}", node)
        module.imports[module.bind(alias.asname or alias.name, node)] = alias.name


def _constant(module: _Module, name: str, value: ast.expr, node: ast.AST) -> None:
    if not _CONSTANT.fullmatch(name):
        raise _NotUnderstood(f"{name} is assigned at the top of the file", node)
    module.constants[module.bind(name, node)] = _literal(module, value)


def _class(module: _Module, node: ast.ClassDef) -> None:
    """A class whose definition does nothing but define: known bases, plain methods."""
    if node.decorator_list or node.keywords or getattr(node, "type_params", None):
        raise _NotUnderstood(f"class {node.name} has a decorator, a metaclass or type parameters", node)
    for base in node.bases:
        if module.imports.get(_name(base) or "") not in (_INPUTS_BASE, *_INHERITED):
            raise _NotUnderstood(f"class {node.name} has a base that only running it can tell", node)
    for index, item in enumerate(node.body):
        match item:
            case ast.Pass():
                pass
            case ast.Expr(ast.Constant(str())) if index == 0:
                pass
            case ast.FunctionDef(name="__init__"):
                _signature(module, item)
            case ast.FunctionDef(name=name) if not name.startswith("_") and name not in _TAKEN:
                _signature(module, item)
            case _:
                raise _NotUnderstood(f"{_kind(item)} in class {node.name}", item)
    module.classes[module.bind(node.name, node)] = node


def _signature(module: _Module, node: ast.FunctionDef) -> None:
    """Nothing in `def` may run code: no decorators, constant defaults, annotations that are known names."""
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
    """An annotation is evaluated when the file is imported, so its name has to be there."""
    match node:
        case ast.Constant(None | str()):
            return
        case ast.Name(name) if name in module.imports or name in module.classes or name in _TYPES:
            return
    raise _NotUnderstood(f"the annotation {ast.unparse(node)}", node)


# __init__: one statement after the other


def _statements(init: ast.FunctionDef | None, argument: str | None) -> Iterator[ast.stmt]:
    """The statements behind the docstring and `super().__init__(...)`, which must come first."""
    if init is None:
        return
    expected = ["self"] if argument is None else ["self", argument]
    given = init.args
    others = given.posonlyargs or given.kwonlyargs or given.vararg or given.kwarg or given.defaults
    if others or [one.arg for one in given.args] != expected:
        raise _NotUnderstood(f"__init__ does not take ({', '.join(expected)})", init)
    body = iter(init.body)
    first = next(body)
    if (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    ):
        first = next(body, ast.Pass(lineno=init.lineno))
    match first:
        case ast.Expr(
            ast.Call(ast.Attribute(ast.Call(ast.Name("super"), [], []), "__init__"), args, keywords)
        ):
            passed = [(None, value) for value in args] + [(one.arg, one.value) for one in keywords]
        case _:
            raise _NotUnderstood("__init__ does not begin with super().__init__(...)", first)
    match passed:
        case [] if argument is None:
            pass
        case [(None | "log_data", ast.Name("log_data"))] if argument is not None:
            pass
        case _:
            raise _NotUnderstood("super().__init__ gets other arguments", first)
    yield from body


def _inputs(
    module: _Module, init: ast.FunctionDef | None, reference: ClassReference
) -> Iterator[InputDeclaration]:
    for node in _statements(init, None):
        match node:
            case ast.Pass():
                pass
            case ast.Expr(ast.Call(ast.Attribute(ast.Name("self"), "define_input")) as call):
                yield _declaration(module, call, reference)
            case ast.Assign([ast.Attribute(ast.Name("self"), name)], value):
                _free(name, node)
                _literal(module, value)
            case _:
                raise _NotUnderstood(f"{_kind(node)} in __init__", node)


def _declaration(module: _Module, call: ast.Call, reference: ClassReference) -> InputDeclaration:
    order = ("name", "input_type", "required", "inference_type_constraint", "framework_constraint")
    given = _arguments(call, order, needed=2)
    name = _literal(module, given["name"])
    required = _literal(module, given["required"]) if "required" in given else True
    if not isinstance(name, str) or not isinstance(required, bool):
        raise _NotUnderstood("name is not text, or required is not True or False", call)
    input_type = _member(module, given["input_type"], "ProcessingInputType")
    if input_type is None:
        raise _NotUnderstood("input_type is None", call)
    return InputDeclaration(
        name=name,
        input_type=input_type,
        required=required,
        inference_type_constraint=_member(module, given.get(order[3]), "InferenceType"),
        framework_constraint=_member(module, given.get(order[4]), "Framework"),
        file=reference.file,
        line=call.lineno,
    )


def _member(module: _Module, node: ast.expr | None, enum: str) -> str | None:
    match node:
        case None | ast.Constant(None):
            return None
        case ast.Attribute(ast.Name(name), member) if (
            module.imports.get(name) == enum and member in _ENUMS[enum]
        ):
            return member
    raise _NotUnderstood(f"{ast.unparse(node)} is not a member of {enum}", node)


def _defaults(
    module: _Module, init: ast.FunctionDef | None, reference: ClassReference, problems: list[Diagnostic]
) -> dict[str, Any]:
    values = {}
    for node in _statements(init, "log_data"):
        match node:
            case ast.Pass():
                continue
            case ast.Assign([ast.Attribute(ast.Name("self"), name)], value):
                pass
            case ast.AnnAssign(ast.Attribute(ast.Name("self"), name), _, ast.expr() as value):
                pass  # within a function, the annotation of an attribute is never evaluated
            case _:
                raise _NotUnderstood(f"{_kind(node)} in __init__", node)
        _free(name, node)
        match value:
            case ast.Call(ast.Attribute(ast.Name("self"), "extract_parameter")) as call:
                default, problem = _extracted(module, call, name)
            case _:
                default, problem = _literal(module, value), None
        if problem is None:
            try:
                values[name] = plain(default)
            except ValueError as reason:
                problem = (f"parameter {name!r} {reason}", "Give it a value that JSON has.")
        if problem is not None:
            problems.append(error(*problem, file=reference.file, line=node.lineno))
    return values


def _extracted(module: _Module, call: ast.Call, name: str) -> tuple[Any, tuple[str, str] | None]:
    """The default that cv-engine would return for an empty `log_data`, or why it would raise."""
    given = _arguments(call, ("keys", "expected_type", "default", "range_value"), needed=2)
    keys = _literal(module, given["keys"])
    expected = _TYPES.get(_name(given["expected_type"]) or "")
    if (
        not isinstance(keys, list | tuple)
        or not all(isinstance(key, str) for key in keys)
        or expected is None
    ):
        raise _NotUnderstood("keys are not texts, or expected_type is not a plain type", call)
    if "range_value" in given:
        _literal(module, given["range_value"])
    if not keys:
        return None, (f"parameter {name!r} has no keys", "extract_parameter needs at least one.")
    node = given.get("default")
    if node is None or (isinstance(node, ast.Constant) and node.value is ...):
        return None, (
            f"parameter {name!r} has no default",
            "It is then required, and a pipeline is registered with the default of every parameter: "
            f"give extract_parameter a default of type {expected.__name__}.",
        )
    default = _literal(module, node)
    if default is None:
        return None, (
            f"parameter {name!r} has the default None, which {expected.__name__} does not allow",
            f"Give it a value, or write expected_type=Optional[{expected.__name__}].",
        )
    if not isinstance(default, expected):
        fix = f" Write default={float(default)}." if expected is float and isinstance(default, int) else ""
        return None, (
            f"parameter {name!r} has a default of type {type(default).__name__}, not {expected.__name__}",
            f"The engine refuses {default!r} for expected_type={expected.__name__}.{fix}",
        )
    return default, None


# Small steps


def _arguments(call: ast.Call, order: tuple[str, ...], needed: int) -> dict[str, ast.expr]:
    given = dict(zip(order, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg not in order or keyword.arg in given:
            raise _NotUnderstood(f"argument {keyword.arg or '**'} of the call", call)
        given[keyword.arg] = keyword.value
    if len(call.args) > len(order) or not set(order[:needed]) <= set(given):
        raise _NotUnderstood("the call has too few or too many arguments", call)
    return given


def _literal(module: _Module, node: ast.expr) -> Any:
    """The value of a literal, in which constants of the module may stand by name."""
    match node:
        case ast.Constant(None | bool() | int() | float() | str()):
            return node.value
        case ast.UnaryOp(ast.USub(), ast.Constant(int() | float() as number)) if not isinstance(number, bool):
            return -number
        case ast.List(items):
            return [_literal(module, item) for item in items]
        case ast.Tuple(items):
            return tuple(_literal(module, item) for item in items)
        case ast.Dict(keys, items):
            pairs = [
                (_text_key(key, node), _literal(module, item)) for key, item in zip(keys, items, strict=True)
            ]
            return dict(pairs)
        case ast.Name(name) if name in module.constants:
            return module.constants[name]
    raise _NotUnderstood(f"{ast.unparse(node)} is computed", node)


def _text_key(key: ast.expr | None, node: ast.AST) -> str:
    if isinstance(key, ast.Constant) and isinstance(key.value, str):
        return key.value
    raise _NotUnderstood("a dict has keys that are not texts", node)


def _free(name: str, node: ast.AST) -> None:
    if name.startswith("_") or name in _TAKEN:
        raise _NotUnderstood(f"it sets self.{name}", node)


def _name(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


def _kind(node: ast.AST) -> str:
    """What a statement is, in a few characters of its own text."""
    first = ast.unparse(node).partition("\n")[0]
    return f"`{first if len(first) <= 60 else first[:59] + '…'}`"
