"""Parses JSON from a server to safe data, or raises one error.

Below all providers and independent of them. Python's parser accepts more than JSON (NaN, half a surrogate
pair, numbers that overflow to infinity), and deep nesting breaks every recursive function later on.
"""

import json
import math
from typing import Any, TypeVar

from providers.patterns import pattern

MAX_DEPTH = 64
"""Maximum nesting of objects and lists; a response of the platform has five levels."""

_HALF_A_PAIR = pattern(r"\\u[dD][89a-fA-F]")

Object = TypeVar("Object", bound=dict[str, Any])


class MalformedAnswerError(ValueError):
    """A response body is not valid JSON; the message has the reason."""


def json_value(content: bytes, kind: type[dict[str, Any]] = dict) -> Any:
    """Parses a JSON value, with objects as `kind`.

    A number outside the range of floats stays text, so it becomes neither infinite nor zero.

    Raises:
        MalformedAnswerError: the bytes are not JSON in UTF-8, or nested deeper than `MAX_DEPTH` levels.
    """
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text,
            object_hook=None if kind is dict else kind,
            parse_float=_float,
            parse_constant=str,
        )
        if text.count("[") + text.count("{") > MAX_DEPTH and is_deeper(value, MAX_DEPTH):
            raise MalformedAnswerError(f"it is nested deeper than {MAX_DEPTH} levels")
        if _HALF_A_PAIR.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise MalformedAnswerError(f"it is nested deeper than {MAX_DEPTH} levels") from None
    except MalformedAnswerError:
        raise
    except ValueError as problem:
        raise MalformedAnswerError(f"it is not JSON: {str(problem)[:100]}") from None
    return value


def json_object(content: bytes, kind: type[Object]) -> Object:
    """Like `json_value`, but requires an object. Raises MalformedAnswerError."""
    value = json_value(content, kind)
    if not isinstance(value, kind):
        raise MalformedAnswerError("it is not a JSON object")
    return value


def _float(text: str) -> float | str:
    number = float(text)
    is_zero = not text.lower().partition("e")[0].strip("-0.")
    return number if math.isfinite(number) and (number or is_zero) else text


def is_deeper(value: Any, levels: int) -> bool:
    """Whether more than so many lists and objects are in each other.

    Level by level: a recursive function would fail on exactly these values.
    """
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return bool(level)
