"""Evaluates one instance of a class for the static reader: the statements of its `__init__`, in order."""

import ast
import builtins
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from reconciler.core.diagnostics import Diagnostic, error
from reconciler.pipeline.classes.class_child import plain
from reconciler.pipeline.classes.constants import NotConstant, Scope, shortened
from reconciler.pipeline.classes.declarations import ClassReference, InputDeclaration, Place
from reconciler.pipeline.classes.failures import RANGE_ADVICE
from reconciler.pipeline.classes.installed import UnknownError
from reconciler.pipeline.classes.official import CLASSES
from reconciler.pipeline.classes.static_definitions import RESERVED
from reconciler.pipeline.classes.static_module import (
    LOCALS,
    NOT_VALUES,
    Imported,
    Module,
    NotUnderstood,
    PipelineClass,
    attribute_of,
    attributes_of,
    constant_value,
    is_none,
    name_of,
    quoted,
)

_TYPES: Final[dict[str, type]] = {t.__name__: t for t in (int, float, str, bool, list, dict, tuple)}


class _Refused(Exception):  # noqa: N818 - becomes a diagnostic with a line
    """The engine would raise an error for this parameter; has the text of the diagnostic."""

    def __init__(self, summary: str, detail: str) -> None:
        super().__init__(summary)
        self.summary, self.detail = summary, detail


class Instance:
    """Evaluates `__init__` of a class and its bases, base first."""

    def __init__(self, found: PipelineClass, reference: ClassReference) -> None:
        self._class, self._reference = found, reference
        self._attributes = attributes_of(found)
        self._values: dict[str, Any] = {}
        self._declared: list[InputDeclaration] = []
        self._argument: str | None = None
        self._setting = ""
        self.problems: list[Diagnostic] = []
        self.places: dict[str, Place] = {}
        self.nulls: list[tuple[Sequence[str], str, Path, int]] = []

    def inputs(self) -> list[InputDeclaration]:
        self._run(self._class)
        return self._declared

    def parameters(self) -> dict[str, Any]:
        self._argument = "log_data"
        self._run(self._class)
        return {} if self.problems else {name: plain(value) for name, value in self._values.items()}

    def _run(self, found: PipelineClass) -> None:
        init = next(
            (one for one in found.node.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"),
            None,
        )
        statements = [] if init is None else _after_super(init, self._argument)
        self._run_base(found)
        local: dict[str, Any] = {}
        for node in statements:
            self._statement(found, node, local)

    def _run_base(self, found: PipelineClass) -> None:
        if isinstance(found.base, PipelineClass):
            self._run(found.base)
        elif found.base is not None:
            self._values.update(CLASSES[found.base.name].inherited)

    def _statement(self, found: PipelineClass, node: ast.stmt, local: dict[str, Any]) -> None:
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
                if name in found.module.names or hasattr(builtins, name) or name in LOCALS:
                    raise NotUnderstood(f"{name} has more than one meaning", node)
                local[name] = constant_value(value, scope)
            case _:
                raise NotUnderstood(f"{quoted(node)} in __init__", node)

    def _scope(self, found: PipelineClass, local: dict[str, Any]) -> Scope:
        module = found.module

        def attribute(node: ast.Attribute) -> Any:
            if isinstance(node.value, ast.Name) and node.value.id == "self":
                return attribute_of(node, {**self._attributes, **self._values})
            return module.attribute(node, module.names)

        def call(node: ast.Call) -> Any:
            match node.func:
                case ast.Attribute(ast.Name("self"), "extract_parameter") if self._argument:
                    return self._extracted(found, node, scope)
            raise NotConstant(node)

        names = {
            name: value
            for name, value in {**module.names, **local}.items()
            if not isinstance(value, NOT_VALUES)
        }
        scope = Scope(names, attribute, call, module.room)
        return scope

    def _assign(self, found: PipelineClass, name: str, value: ast.expr, node: ast.stmt, scope: Scope) -> None:
        _check_name(name, node)
        self._setting = name
        self.places[name] = (found.module.reference.file, value.lineno)
        try:
            self._values[name] = constant_value(value, scope)
            if self._argument:
                plain(self._values[name])
            return
        except _Refused as problem:
            summary, detail = problem.summary, problem.detail
        except ValueError as reason:
            summary, detail = f"parameter {name!r} {reason}", "Give it a value that JSON can hold."
        self.problems.append(error(summary, detail, file=found.module.reference.file, line=node.lineno))

    def _declaration(self, found: PipelineClass, call: ast.Call, scope: Scope) -> InputDeclaration:
        order = ("name", "input_type", "required", "inference_type_constraint", "framework_constraint")
        arguments = _arguments(call, order, needed=2)
        name = constant_value(arguments["name"], scope)
        required = constant_value(arguments["required"], scope) if "required" in arguments else True
        if type(name) is not str or type(required) is not bool:
            raise NotUnderstood("name is not text, or required is not True or False", call)
        input_type = _member(found.module, arguments["input_type"], "ProcessingInputType", scope)
        if input_type is None:
            raise NotUnderstood("input_type is None", call)
        return InputDeclaration(
            name=name,
            input_type=input_type,
            required=required,
            inference_type_constraint=_member(found.module, arguments.get(order[3]), "InferenceType", scope),
            framework_constraint=_member(found.module, arguments.get(order[4]), "Framework", scope),
            file=found.module.reference.file,
            line=call.lineno,
        )

    def _extracted(self, found: PipelineClass, call: ast.Call, scope: Scope) -> Any:
        """The default that cv-engine returns for an empty `log_data`; raises _Refused if cv-engine raises."""
        name = self._setting
        arguments = _arguments(call, ("keys", "expected_type", "default", "range_value"), needed=2)
        keys = constant_value(arguments["keys"], scope)
        if not isinstance(keys, list | tuple) or not all(isinstance(key, str) for key in keys):
            raise NotUnderstood("a key is not text", call)
        expected, shown = (
            _expected(found.module, arguments["expected_type"]),
            shortened(arguments["expected_type"]),
        )
        limits = constant_value(arguments["range_value"], scope) if "range_value" in arguments else None
        if not keys:
            raise _Refused(f"parameter {name!r} has no keys", "extract_parameter needs at least one.")
        node = arguments.get("default")
        if node is None or (isinstance(node, ast.Constant) and node.value is ...):
            raise _Refused(
                f"parameter {name!r} has no default",
                "A pipeline is registered with the default of every parameter: "
                f"give extract_parameter a default of type {shown}.",
            )
        default = constant_value(node, scope)
        if default is None and not expected.optional:
            if expected.maybe:
                raise NotUnderstood(f"whether {shown} allows None depends on the version of Python", call)
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
        is_checked = bool(limits) and default is not None and expected.types in ((int,), (float,))
        if is_checked and (problem := _range_problem(default, limits)):
            if expected.maybe:
                raise NotUnderstood(f"whether {shown} has a range depends on the version of Python", call)
            raise _Refused(f"parameter {name!r} {problem}", RANGE_ADVICE)
        if default is None and expected.types[0] in (int, float, bool):
            place = found.module.reference.file, call.lineno
            self.nulls.append((keys, expected.types[0].__name__, *place))
        return default


def _range_problem(default: Any, limits: Any) -> str:
    """Why the engine refuses this default in a job; "" if it does not."""
    is_pair = isinstance(limits, list | tuple) and len(limits) == 2
    if not is_pair or not all(isinstance(one, int | float) for one in limits) or not limits[0] < limits[1]:
        return f"has range_value={limits!r:.80}, which is not two numbers with the smaller one first"
    is_within = limits[0] <= default <= limits[1]
    return "" if is_within else f"has the default {default!r:.80}, outside of range_value={limits!r:.80}"


def _after_super(init: ast.FunctionDef, argument: str | None) -> list[ast.stmt]:
    """The statements after the docstring and `super().__init__(...)`, which must come first."""
    expected = ["self"] if argument is None else ["self", argument]
    actual = init.args
    others = actual.posonlyargs or actual.kwonlyargs or actual.vararg or actual.kwarg or actual.defaults
    if others or [one.arg for one in actual.args] != expected:
        raise NotUnderstood(f"__init__ does not take ({', '.join(expected)})", init)
    body = list(init.body)
    while len(body) > 1 and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        del body[0]
    match body[0]:
        case ast.Expr(
            ast.Call(ast.Attribute(ast.Call(ast.Name("super"), [], []), "__init__"), args, keywords)
        ):
            passed = [(None, value) for value in args] + [(one.arg, one.value) for one in keywords]
        case first:
            raise NotUnderstood("__init__ does not begin with super().__init__(...)", first)
    match passed:
        case [] if argument is None:
            pass
        case [(None | "log_data", ast.Name("log_data"))] if argument is not None:
            pass
        case _:
            raise NotUnderstood("super().__init__ gets other arguments", body[0])
    return body[1:]


class _Expected(Struct, frozen=True):
    """The defaults that `expected_type` accepts.

    Attributes:
        types: the accepted types.
        optional: whether None is accepted.
        maybe: whether only some versions of Python accept None.
    """

    types: tuple[type, ...]
    optional: bool = False
    maybe: bool = False


def _expected(module: Module, node: ast.expr) -> _Expected:
    match node:
        case ast.Name():
            return _Expected((_type(module, node),))
        case ast.Subscript(ast.Name(name), inner):
            imported = module.names.get(name)
            if imported == Imported("typing.Optional") and not isinstance(inner, ast.Tuple):
                return _Expected((_type(module, inner),), optional=True)
            if imported == Imported("typing.Union") and isinstance(inner, ast.Tuple):
                types = [_type(module, one) for one in inner.elts if not is_none(one)]
                if len(types) == len(inner.elts):
                    return _Expected(tuple(types))
                if types:  # the engine uses the first type and ignores the others
                    return _Expected((types[0],), optional=True)
        case ast.BinOp(_, ast.BitOr(), _):
            parts = _alternatives(node)
            types = [_type(module, one) for one in parts if not is_none(one)]
            if len(types) == len(parts):
                return _Expected(tuple(types))
            if len(types) == 1:
                return _Expected(tuple(types), maybe=True)
    raise NotUnderstood(f"expected_type={shortened(node)} is not a plain type", node)


def _alternatives(node: ast.expr) -> list[ast.expr]:
    match node:
        case ast.BinOp(left, ast.BitOr(), right):
            return [*_alternatives(left), *_alternatives(right)]
    return [node]


def _type(module: Module, node: ast.expr) -> type:
    """The plain type or enum of this name."""
    found = module.names.get(name_of(node) or "", _TYPES.get(name_of(node) or ""))
    if isinstance(found, type):
        return found
    raise NotUnderstood(f"expected_type has {shortened(node)}, which is not a plain type", node)


def _member(module: Module, node: ast.expr | None, name: str, scope: Scope) -> str | None:
    value = None if node is None else constant_value(node, scope)
    if value is None:
        return None
    try:
        if isinstance(value, enum.Enum) and type(value) is module.official_enum(name):
            return str(value.value)
    except UnknownError as problem:
        raise NotUnderstood(str(problem), node) from None
    assert node is not None
    raise NotUnderstood(f"{shortened(node)} is not a member of {name}", node)


def _arguments(call: ast.Call, order: tuple[str, ...], needed: int) -> dict[str, ast.expr]:
    arguments = dict(zip(order, call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg not in order or keyword.arg in arguments:
            raise NotUnderstood(f"argument {keyword.arg or '**'} of the call", call)
        arguments[keyword.arg] = keyword.value
    if len(call.args) > len(order) or not set(order[:needed]) <= set(arguments):
        raise NotUnderstood("the call has too few or too many arguments", call)
    return arguments


def _check_name(name: str, node: ast.AST) -> None:
    if name.startswith("_") or name in RESERVED:
        raise NotUnderstood(f"it sets self.{name}", node)
