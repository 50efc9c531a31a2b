"""Evaluate constant expressions without running code: literals, arithmetic and known names.

Everything is bounded: numbers, texts and lists stay small, even for `9**9**9`. Only operations with the same
result in every Python since 3.8 are supported, so running the expression gives the same value.
"""

import ast
import enum
from collections.abc import Callable, Mapping
from typing import Any, Final

from msgspec import Struct, field

from providers.patterns import pattern

LARGEST_NUMBER: Final = 1_024  # bits
LARGEST_VALUE: Final = 10_000  # characters or items of one value
_LARGEST_TOTAL: Final = 1_000_000  # of all values of one file
_SCALARS: Final = (int, float, bool, str, type(None))
_NUMBERS: Final = (int, float, bool)
# Fill, sign, width, precision and type; no locale, and no width that could exhaust the memory.
_SPEC: Final = pattern(r"(?:.?[<>^=])?[-+ ]?#?0?\d{0,3}[,_]?(?:\.\d{1,2})?[bcdeEfFgGosxX%]?")
_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
    ast.Div: lambda a, b: a / b,
    ast.FloorDiv: lambda a, b: a // b,
    ast.Mod: lambda a, b: a % b,
}
_BITS: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.BitAnd: lambda a, b: a & b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitXor: lambda a, b: a ^ b,
    ast.RShift: lambda a, b: a >> b,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
}
BUILTINS: Final = frozenset(
    {"float", "int", "bool", "str", "len", "abs", "round", "min", "max", "list", "tuple", "range"}
)
"""Builtin functions that only compute if their arguments are plain values."""


class NotConstant(Exception):  # noqa: N818 - an answer, not an error
    """The expression can only be evaluated by running it; `reason` completes "needs code to run: ..."."""

    def __init__(self, node: ast.AST, reason: str = "") -> None:
        self.reason = reason or f"{shortened(node)} is computed"
        self.node = node
        super().__init__(self.reason)


class Scope(Struct):
    """The names and calls that an expression can use.

    Attributes:
        names: values by name. Any other name is unknown, or a function of `BUILTINS`.
        attribute: returns the value of `NAME.attribute`; raises NotConstant.
        call: returns the result of any other call; raises NotConstant.
        room: one number: the characters and items that values may still have.
    """

    names: Mapping[str, Any]
    attribute: Callable[[ast.Attribute], Any]
    call: Callable[[ast.Call], Any]
    room: list[int] = field(default_factory=lambda: [_LARGEST_TOTAL])


def value_of(node: ast.expr, scope: Scope) -> Any:
    """The value of `node`, equal to the result of running it.

    Raises:
        NotConstant: the expression is not supported, too large, or fails.
    """
    try:
        return _value(node, scope)
    except (ArithmeticError, LookupError, TypeError, ValueError):
        raise NotConstant(node) from None


def shortened(node: ast.AST) -> str:
    """The source of a node, at most 60 characters of its first line."""
    try:
        text = ast.unparse(node).partition("\n")[0]
    except RecursionError:
        return "an expression that is nested too deeply"
    return text if len(text) <= 60 else text[:59] + "…"


def _value(node: ast.expr, scope: Scope) -> Any:
    match node:
        case ast.Constant(None | bool() | int() | float() | str()):
            return node.value
        case ast.Name(name) if name in scope.names:
            return scope.names[name]
        case ast.Attribute():
            return scope.attribute(node)
        case ast.UnaryOp(operator, operand):
            return _unary(node, operator, value_of(operand, scope))
        case ast.BinOp(left, operator, right):
            return _bounded(
                node, _binary(node, operator, value_of(left, scope), value_of(right, scope)), scope
            )
        case ast.BoolOp(operator, operands):
            return _logical(operator, operands, scope)
        case ast.Compare(left, operators, others):
            return _compare(node, left, operators, others, scope)
        case ast.IfExp(test, body, orelse):
            return value_of(body if value_of(test, scope) else orelse, scope)
        case ast.List(items):
            return _bounded(node, _items(items, scope), scope)
        case ast.Tuple(items):
            return _bounded(node, tuple(_items(items, scope)), scope)
        case ast.Dict(keys, items):
            return _bounded(node, _table(node, keys, items, scope), scope)
        case ast.JoinedStr(parts):
            return _bounded(node, "".join(_format_part(part, scope) for part in parts), scope)
        case ast.Subscript(container, index):
            return _bounded(node, _subscript(node, value_of(container, scope), index, scope), scope)
        case ast.Call(ast.Name(name), arguments, []) if name in BUILTINS and name not in scope.names:
            values = [value_of(one, scope) for one in arguments if not isinstance(one, ast.Starred)]
            if len(values) != len(arguments):
                raise NotConstant(node)
            return _bounded(node, _call_builtin(node, name, values), scope)
        case ast.Call():
            return scope.call(node)
    raise NotConstant(node)


def _bounded(node: ast.expr, value: Any, scope: Scope) -> Any:
    """The value, if it is within the limits; else raises NotConstant."""
    if isinstance(value, int):
        if value.bit_length() > LARGEST_NUMBER:
            raise NotConstant(node)
    elif isinstance(value, str | list | tuple | dict):
        scope.room[0] -= len(value)
        if len(value) > LARGEST_VALUE or scope.room[0] < 0:
            raise NotConstant(node)
    return value


def _unary(node: ast.expr, operator: ast.unaryop, value: Any) -> Any:
    if isinstance(operator, ast.Not) and type(value) in (*_SCALARS, list, tuple, dict):
        return not value
    if isinstance(operator, ast.USub | ast.UAdd) and type(value) in _NUMBERS:
        return -value if isinstance(operator, ast.USub) else +value
    if isinstance(operator, ast.Invert) and type(value) is int:
        return ~value
    raise NotConstant(node)


def _binary(node: ast.expr, operator: ast.operator, left: Any, right: Any) -> Any:
    sides = type(left), type(right)
    if all(side in _NUMBERS for side in sides):
        return _calculate(node, operator, left, right)
    if isinstance(operator, ast.Add) and sides[0] is sides[1] and sides[0] in (str, list, tuple):
        return left + right
    if isinstance(operator, ast.Mult) and int in sides:
        sequence, times = (right, left) if sides[0] is int else (left, right)
        if type(sequence) in (str, list, tuple) and len(sequence) * times <= LARGEST_VALUE:
            return sequence * times
    raise NotConstant(node)


def _calculate(node: ast.expr, operator: ast.operator, left: Any, right: Any) -> Any:
    whole = isinstance(left, int) and isinstance(right, int)
    if any(isinstance(side, int) and side.bit_length() > LARGEST_NUMBER for side in (left, right)):
        raise NotConstant(node)
    if type(operator) in _ARITHMETIC:
        return _ARITHMETIC[type(operator)](left, right)
    if whole and type(operator) in _BITS:
        return _BITS[type(operator)](left, right)
    # Powers of floats may differ in the last digit between C libraries.
    if whole and isinstance(operator, ast.Pow) and 0 <= right <= LARGEST_NUMBER:
        if max(left.bit_length(), 1) * right <= LARGEST_NUMBER:
            return left**right
    elif whole and isinstance(operator, ast.LShift) and 0 <= right <= LARGEST_NUMBER:
        return left << right
    raise NotConstant(node)


def _logical(operator: ast.boolop, operands: list[ast.expr], scope: Scope) -> Any:
    value: Any = None
    for operand in operands:
        value = value_of(operand, scope)
        if type(value) not in (*_SCALARS, list, tuple, dict):
            raise NotConstant(operand)
        if bool(value) == isinstance(operator, ast.Or):
            break
    return value


def _compare(
    node: ast.expr, first: ast.expr, operators: list[ast.cmpop], others: list[ast.expr], scope: Scope
) -> bool:
    left = value_of(first, scope)
    for operator, other in zip(operators, others, strict=True):
        right = value_of(other, scope)
        if not _holds(node, operator, left, right):
            return False
        left = right
    return True


def _holds(node: ast.expr, operator: ast.cmpop, left: Any, right: Any) -> bool:
    if type(left) in _SCALARS:
        if type(right) in _SCALARS:
            if type(operator) in _COMPARISONS:
                return _COMPARISONS[type(operator)](left, right)
            if isinstance(operator, ast.Is | ast.IsNot) and (left is None or right is None):
                return (left is right) == isinstance(operator, ast.Is)
        if isinstance(operator, ast.In | ast.NotIn) and (
            (type(right) in (list, tuple) and all(type(one) in _SCALARS for one in right))
            or type(right) is dict
            or type(right) is type(left) is str
        ):
            return (left in right) == isinstance(operator, ast.In)
    raise NotConstant(node)


def _items(nodes: list[ast.expr], scope: Scope) -> list[Any]:
    values: list[Any] = []
    for node in nodes:
        if isinstance(node, ast.Starred):
            many = value_of(node.value, scope)
            if type(many) not in (list, tuple):
                raise NotConstant(node)
            values += many
        else:
            values.append(value_of(node, scope))
    return values


def _table(
    node: ast.expr, keys: list[ast.expr | None], items: list[ast.expr], scope: Scope
) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for key_node, item in zip(keys, items, strict=True):
        if key_node is None:
            more = value_of(item, scope)
            if type(more) is not dict:
                raise NotConstant(item)
            table |= more
        else:
            key = value_of(key_node, scope)
            if type(key) is not str:
                raise NotConstant(node, "a dict has a key that is not text")
            table[key] = value_of(item, scope)
    return table


def _format_part(node: ast.expr, scope: Scope) -> str:
    match node:
        case ast.Constant(str() as text):
            return text
        case ast.FormattedValue(expression, conversion, specification):
            value = value_of(expression, scope)
            spec = _formatted_spec(specification, scope)
            if type(value) in _SCALARS and _SPEC.fullmatch(spec):
                shown = {-1: value, 115: value, 114: repr(value), 97: ascii(value)}[conversion]
                return format(str(value) if conversion == 115 else shown, spec)
    raise NotConstant(node)


def _formatted_spec(node: ast.expr | None, scope: Scope) -> str:
    return "" if node is None else str(value_of(node, scope))


def _subscript(node: ast.expr, container: Any, index: ast.expr, scope: Scope) -> Any:
    if isinstance(index, ast.Slice):
        ends = [
            None if end is None else value_of(end, scope) for end in (index.lower, index.upper, index.step)
        ]
        if type(container) in (str, list, tuple) and all(type(end) in (int, type(None)) for end in ends):
            return container[slice(*ends)]
        raise NotConstant(node)
    key = value_of(index, scope)
    if (type(container) in (str, list, tuple) and type(key) is int) or (
        type(container) is dict and type(key) is str
    ):
        return container[key]
    raise NotConstant(node)


def _call_builtin(node: ast.expr, name: str, arguments: list[Any]) -> Any:
    scalars = all(type(one) in _SCALARS for one in arguments)
    match name, arguments:
        case (("float" | "int" | "bool" | "str"), [one]) if scalars:
            if isinstance(one, str) and len(one) > LARGEST_VALUE // 10:
                raise NotConstant(node)
            return {"float": float, "int": int, "bool": bool, "str": str}[name](one)
        case "len", [str() | list() | tuple() | dict() | range() as one]:
            return len(one)
        case "abs", [one] if type(one) in _NUMBERS:
            return abs(one)
        case "round", [one] if type(one) in _NUMBERS:
            return round(one)
        case "round", [one, int() as digits] if type(one) in _NUMBERS and abs(digits) <= 100:
            return round(one, digits)
        case (("min" | "max"), [_, _, *_]) if scalars:
            return min(arguments) if name == "min" else max(arguments)
        case (("min" | "max"), [list() | tuple() as many]) if all(type(one) in _SCALARS for one in many):
            return min(many) if name == "min" else max(many)
        case "range", [_, *_] if all(type(one) is int for one in arguments):
            return range(*arguments)
        case (("list" | "tuple"), [list() | tuple() | range() | str() as many]) if len(many) <= LARGEST_VALUE:
            return list(many) if name == "list" else tuple(many)
    raise NotConstant(node)


def member_part(node: ast.Attribute, member: enum.Enum) -> Any:
    """`member.value` or `member.name`."""
    if node.attr == "value":
        return member.value
    if node.attr == "name":
        return member.name
    raise NotConstant(node)
