"""Checks that values made from a document have the types that their classes declare.

A document of an earlier run may be cut, edited or forged. A number in place of a text would end a command far
from where it was read, so readers check their result here, at once and as a whole.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from msgspec import Struct

from providers.errors import ProviderError
from providers.json_value import JSON

Check = Callable[[Any], bool]


def check_fields(value: Any) -> None:
    """Check every field of a struct, dataclass or named tuple, in any depth.

    Raises:
        ValueError: a field has another type than it declares; the message names the field.
    """
    kind: Any = type(value)
    for name, check in _checks(kind):
        found = getattr(value, name)
        if not check(found):
            raise ValueError(f"{name.replace('_', ' ')} cannot be {_described(found)}")


@cache
def _checks(kind: Any) -> tuple[tuple[str, Check], ...]:
    """The fields of a struct, dataclass or named tuple, each with the check of its value."""
    hints = get_type_hints(kind)
    names = getattr(kind, "__struct_fields__", None) or list(hints)
    return tuple((name, _check(hints[name])) for name in names)


@cache
def _check(hint: Any) -> Check:
    """Whether a value fits an annotation. A class in it raises for its own fields."""
    if hint is Any or hint is JSON:
        return lambda value: True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if {bool, int, float, str} <= {*arguments}:  # JSON, whose alternatives join those around it
            return lambda value: True
        return _any_of([_check(one) for one in arguments])
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is ...):
        return _tuple_of([_check(one) for one in arguments])
    if origin in (tuple, list, Sequence):
        return _sequence_of(tuple if origin is tuple else (tuple, list), _check(arguments[0]))
    if origin is Mapping:
        return _mapping_of(*map(_check, arguments))
    if hint is None or hint is NoneType:
        return lambda value: value is None
    if hint in (int, float):  # true is an int in Python, and no number in JSON
        kinds = (int,) if hint is int else (int, float)
        return lambda value: isinstance(value, kinds) and not isinstance(value, bool)
    if hasattr(hint, "__dataclass_fields__") or hasattr(hint, "_fields") or issubclass(hint, Struct):
        return _with_fields(hint)
    if hint is ProviderError:
        return lambda value: isinstance(value, hint) and _is_text(value.message) and _is_text(value.hint)
    assert isinstance(hint, type), hint
    return lambda value: isinstance(value, hint)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _any_of(checks: Sequence[Check]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _tuple_of(checks: Sequence[Check]) -> Check:
    return lambda value: (
        isinstance(value, tuple)
        and len(value) == len(checks)
        and all(check(one) for check, one in zip(checks, value, strict=True))
    )


def _sequence_of(kinds: Any, check: Check) -> Check:
    return lambda value: isinstance(value, kinds) and all(check(one) for one in value)


def _mapping_of(check_key: Check, check_value: Check) -> Check:
    return lambda value: (
        isinstance(value, Mapping) and all(map(check_key, value)) and all(map(check_value, value.values()))
    )


def _with_fields(kind: Any) -> Check:
    def check(value: Any) -> bool:
        if not isinstance(value, kind):
            return False
        check_fields(value)
        return True

    return check


def _described(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a text"
        case int() | float():
            return "a number"
        case Mapping():
            return "an object"
    return "a list" if isinstance(value, list | tuple) else "of this kind"
