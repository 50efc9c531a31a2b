"""Field knowledge as data: what is known of each field of a kind, read by the engine's diff.

Both sides of every comparison pass through the same `normalise` function, so a platform that answers
"4" or 4.0 where the files say 4 causes no phantom change. Nothing here compares anything.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]; mypy has no recursive alias here


_PLAIN = (str, int, type(None))
_EXACT = 2**53
"""Whole floats from here on are not all that they seem, and may not fit the 64 bits of the SDK's JSON."""


_WHOLE = re.compile(r"-?\d+", re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?", re.ASCII)
_LONGEST_NUMBER = 32
"""Characters that a float or a whole number of 64 bits takes; what is longer is a text."""


class Effect(IntEnum):
    """What is wrong with a job when a field is not as it should be; the higher, the worse."""

    DESCRIPTION = 1
    RESOURCES = 2
    PARAMETERS = 3
    IMAGE = 4
    EXISTENCE = 5


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


def as_is(value: JSON) -> JSON:
    """Numbers in one shape (4.0 is 4, NaN and infinities are null as in the SDK's orjson), all else kept."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, dict):
        return {str(key): as_is(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_is(item) for item in value]
    return value


def integer(value: JSON) -> JSON:
    """4, "4", "4.0" and 4.0 are the same whole number; anything else stays as it is and will differ."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?\d+(?:\.0+)?\s*", value, re.ASCII):
        return int(value.partition(".")[0])
    return as_is(value)


def text(value: JSON) -> JSON:
    """Null and "" are the same absence of text."""
    return "" if value is None else value


def flags(value: JSON) -> JSON:
    """Null and [] are the same absence of flags."""
    return [] if value is None else as_is(value)


def mapping(value: JSON) -> JSON:
    """Null and {} are the same absence of parameters."""
    return {} if value is None else as_is(value)


def enum_name(value: JSON) -> JSON:
    """Enum names without regard to case."""
    return value.upper() if isinstance(value, str) else value


def configured(value: JSON) -> JSON:
    """Enum names without regard to case; null, "" and NOT_CONFIGURED are the same, written NOT_CONFIGURED."""
    return "NOT_CONFIGURED" if value is None or value == "" else enum_name(value)


def constraint(value: JSON) -> JSON:
    """Enum names without regard to case; null, "" and NOT_CONFIGURED are no constraint, written null."""
    return None if value in (None, "", "NOT_CONFIGURED") else enum_name(value)


def number_like(value: JSON) -> JSON:
    """Text that is a number counts as that number, at any depth: some platforms answer 640 as "640"."""
    if isinstance(value, dict):
        return {key: number_like(item) for key, item in value.items()}
    if isinstance(value, list):
        return [number_like(item) for item in value]
    if isinstance(value, str) and len(value) <= _LONGEST_NUMBER and _NUMBER.fullmatch(value):
        return int(value) if _WHOLE.fullmatch(value) else as_is(float(value))
    return value


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What is known of one field.

    Attributes:
        normalise: applied to desired, recorded and live alike before they are compared, sent or recorded.
        alike: applied besides for comparing only: two values that it makes equal are no difference.
        immutable: the far end cannot change it in place; a different value means replacing the object.
        unordered: a list whose order carries no meaning.
        keyed: a JSON object compared key by key, each key with its own recorded, desired and live value.
        write_only: never returned; compared with the record only.
        create_default: sent on create when the files do not manage the field (UNSET: nothing is sent).
        effect: what a wrong value does to a job.
    """

    normalise: Callable[[JSON], JSON] = as_is
    alike: Callable[[JSON], JSON] | None = None
    immutable: bool = False
    unordered: bool = False
    keyed: bool = False
    write_only: bool = False
    create_default: JSON = UNSET
    effect: Effect = Effect.PARAMETERS
