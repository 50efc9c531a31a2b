"""Field knowledge as data: what is known of each field of a kind, read by the engine's diff.

All three worlds pass through the same `normalise` function and are compared by the same `equal`, so a
platform that answers "4" or 4.0 where the files say 4 causes no phantom change. Which values are equal:

| left | right | equal |
|---|---|---|
| null, true, false | the same one | yes |
| number | number | when both are the same number as JSON writes them: 1, 1.0 and 1e0 |
| text | text | when they are the same characters; "1.10" and "1.1" are two texts |
| list | list | when they have the same length and equal values in the same order |
| table | table | when they have the same keys with equal values |
| number | text | only by `number_like`: when the text is that number, as JSON writes numbers |
| anything | anything else | no |

`number_like` holds for parameters, at any depth, and compares live with the others only: some platforms
answer 640 as "640". The rules of a field may say more: no text is null, names of enums have no case.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, Final

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]; mypy has no recursive alias here


_PLAIN = (str, int, type(None))
_EXACT = 2**53
"""Whole floats from here on are not all that they seem, and may not fit the 64 bits of the SDK's JSON."""


_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d{1,9})?", re.ASCII)
"""A number as JSON writes it. Exponents of ten digits and more are beyond all numbers that are compared."""
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d{0,17}))(?:\.0+)?", re.ASCII)
_LONGEST_NUMBER = 32
"""Characters that a float or a whole number of 64 bits takes; what is longer stays a text."""


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

HIDDEN: Final = "(a secret, not shown)"
"""Stands for a live value that looks like a secret. Nothing else leaves the kind that read it."""


def canonical_numbers(value: JSON) -> JSON:
    """Numbers in one shape (4.0 is 4, NaN and infinities are null as in the SDK's orjson), all else kept."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return int(value) if value.is_integer() and abs(value) < _EXACT else value
    if isinstance(value, dict):
        return {str(key): canonical_numbers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [canonical_numbers(item) for item in value]
    return value


def integer(value: JSON) -> JSON:
    """4, "4", "4.0" and 4.0 are the same whole number; anything else stays as it is and will differ."""
    if isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return int(whole[1])
    return canonical_numbers(value)


def text(value: JSON) -> JSON:
    """Null and "" are the same absence of text."""
    return "" if value is None else value


def flags(value: JSON) -> JSON:
    """Null and [] are the same absence of flags."""
    return [] if value is None else canonical_numbers(value)


def mapping(value: JSON) -> JSON:
    """Null and {} are the same absence of parameters."""
    return {} if value is None else canonical_numbers(value)


def texts(value: JSON) -> JSON:
    """A table of texts: null and {} are the same absence of them, and a number is its text."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    return {
        str(key): str(canonical_numbers(item)) if _is_number(item) else item for key, item in value.items()
    }


def enum_name(value: JSON) -> JSON:
    """Enum names without regard to case. Only ASCII has cases that are one to one: "ß" is not "SS"."""
    return value.upper() if isinstance(value, str) and value.isascii() else value


def configured(value: JSON) -> JSON:
    """Enum names without regard to case; null, "" and NOT_CONFIGURED are the same, written NOT_CONFIGURED."""
    return "NOT_CONFIGURED" if value is None or value == "" else enum_name(value)


def constraint(value: JSON) -> JSON:
    """Enum names without regard to case; null, "" and NOT_CONFIGURED are no constraint, written null."""
    name = configured(value)
    return None if name == "NOT_CONFIGURED" else name


def equal(left: JSON, right: JSON) -> bool:
    """Equal as JSON, by the table above."""
    return _equal(left, right, _same_scalar)


def number_like(left: JSON, right: JSON) -> bool:
    """As `equal`, and a number equals its text, at any depth. Two different texts are never equal."""
    return _equal(left, right, _same_scalar_or_its_text)


def as_number(value: JSON) -> JSON:
    """The number that a text is; the text itself where no number has its value."""
    if not isinstance(value, str) or len(value) > _LONGEST_NUMBER:
        return value
    if (written := _NUMBER.fullmatch(value)) is None:
        return value
    exact = Decimal(value)
    number = int(exact) if not (written[1] or written[2]) else canonical_numbers(float(value))
    return number if _is_number(number) and _decimal(number) == exact else value


def _equal(left: JSON, right: JSON, same_leaf: Callable[[JSON, JSON], bool]) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            _equal(value, right[key], same_leaf) for key, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            _equal(one, other, same_leaf) for one, other in zip(left, right, strict=True)
        )
    return same_leaf(left, right)


def _same_scalar(left: JSON, right: JSON) -> bool:
    if type(left) is type(right):
        return bool(left == right)
    return _is_number(left) and _is_number(right) and _decimal(left) == _decimal(right)


def _same_scalar_or_its_text(left: JSON, right: JSON) -> bool:
    return _same_scalar(left, right) or _is_text_of(left, right) or _is_text_of(right, left)


def _is_text_of(text: JSON, number: JSON) -> bool:
    return (
        isinstance(text, str)
        and _is_number(number)
        and _NUMBER.fullmatch(text) is not None
        and Decimal(text) == _decimal(number)
    )


def _is_number(value: JSON) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decimal(number: float) -> Decimal:
    """The number as JSON writes it: 0.1 is a tenth here, and not the fraction that is nearest to it."""
    return Decimal(repr(number) if type(number) is float else number)


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What is known of one field.

    Attributes:
        normalise: applied to desired, recorded and live alike before they are compared, sent or recorded.
        alike: for live beside the others: whether two values that are not equal mean the same all the same.
        immutable: the far end cannot change it in place; a different value means replacing the object.
        unordered: a list whose order carries no meaning.
        keyed: a JSON object compared key by key, each key with its own recorded, desired and live value.
        write_only: never returned; compared with the record only.
        create_default: sent on create when the files do not manage the field (UNSET: nothing is sent).
        effect: what a wrong value does to a job.
        follows: for a field that config.toml does not say as it is: from what it follows, and what to change
            instead. "" for the others.
    """

    normalise: Callable[[JSON], JSON] = canonical_numbers
    equivalent: Callable[[JSON, JSON], bool] | None = None
    immutable: bool = False
    unordered: bool = False
    keyed: bool = False
    write_only: bool = False
    create_default: JSON = UNSET
    effect: Effect = Effect.PARAMETERS
    follows: str = ""


NAME: Final = FieldRule(
    effect=Effect.DESCRIPTION,
    follows="A name is what the resource is found by: rename it in config.toml by hand.",
)
DOCKER_IMAGE: Final = FieldRule(
    effect=Effect.IMAGE,
    follows="Another image name is another image: write docker.image_name in config.toml by hand.",
)
DOCKER_TAG: Final = FieldRule(
    effect=Effect.IMAGE,
    follows="It follows from metadata.version and [reconciler] pin: set those, or put it back.",
)
DOCKER_FLAGS: Final = FieldRule(
    flags,
    unordered=True,
    effect=Effect.IMAGE,
    follows="They follow from docker.gpu: take over default_gpu, or put them back.",
)
