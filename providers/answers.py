"""JSON from a server as data that the rest of the code can rely on, or one error.

Below every provider; knows no server. Python's parser accepts more than JSON (NaN, half of a surrogate pair,
numbers that become infinite), and what is nested deeply breaks each function that walks over it later.
"""

import json
import math
import re
from typing import Any, TypeVar

DEEPEST = 64
"""Levels of objects and lists in each other; an answer of the platform has five."""

_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")

Object = TypeVar("Object", bound=dict[str, Any])


class MalformedAnswerError(ValueError):
    """Bytes that are not the JSON that a server should answer with; the message says why."""


def json_value(content: bytes, kind: type[dict[str, Any]] = dict) -> Any:
    """The value that these bytes are, with objects as `kind`.

    A number that no float is near to stays text, so that it is neither infinite nor zero.

    Raises:
        OddAnswerError: they are not JSON in UTF-8, or it is nested deeper than `DEEPEST` levels.
    """
    try:
        text = content.decode("utf-8-sig")
        value = json.loads(
            text,
            object_hook=None if kind is dict else kind,
            parse_float=_float,
            parse_constant=str,
        )
        if text.count("[") + text.count("{") > DEEPEST:
            _check_depth(value)
        if _HALF_A_PAIR.search(text):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise MalformedAnswerError(f"it is nested deeper than {DEEPEST} levels") from None
    except MalformedAnswerError:
        raise
    except ValueError as problem:
        raise MalformedAnswerError(f"it is no JSON: {str(problem)[:100]}") from None
    return value


def json_object(content: bytes, kind: type[Object]) -> Object:
    """As `json_value`, for what has to be an object. Raises OddAnswerError."""
    value = json_value(content, kind)
    if not isinstance(value, kind):
        raise MalformedAnswerError("it is no JSON object")
    return value


def _float(text: str) -> float | str:
    number = float(text)
    is_zero = not text.lower().partition("e")[0].strip("-0.")
    return number if math.isfinite(number) and (number or is_zero) else text


def _check_depth(value: Any) -> None:
    """Level by level, as a function that calls itself would fail where it is needed."""
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise MalformedAnswerError(f"it is nested deeper than {DEEPEST} levels")
