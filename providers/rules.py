"""Field rules as data: how the engine's diff compares each field of a kind.

Desired, recorded and live values pass through the same `normalise` function and the same `equal`, so a
platform that returns "4" or 4.0 for a 4 in the files causes no phantom change. Equality of values:

| left | right | equal |
|---|---|---|
| null, true, false | the same one | yes |
| number | number | if both are the same number as JSON writes them: 1, 1.0 and 1e0 |
| text | text | if they have the same characters; "1.10" and "1.1" differ |
| list | list | if they have the same length and equal values in the same order |
| table | table | if they have the same keys with equal values |
| number | text | only with `number_like`: if the text is that number, as JSON writes numbers |
| anything | anything else | no |

`number_like` applies to parameters, at any depth, and only to comparisons with live: some platforms return
640 as "640". A field's rule may add more equalities: null equals "", enum names ignore case, and
an image repository has one normal form.
"""

import math
import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Final, TypeGuard

from msgspec import Struct

from providers.image_names import normal_name
from providers.json_value import JSON
from providers.patterns import pattern

_PLAIN = (str, int, type(None))
_EXACT = 2**53
"""Integral floats from here on are inexact, and may not fit the 64 bits of the SDK's JSON."""


_NUMBER = pattern(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d{1,9})?", re.ASCII)
"""A number as JSON writes it. Exponents of ten or more digits are out of range for any compared number."""
_WHOLE = pattern(r"(-?(?:0|[1-9]\d{0,17}))(?:\.0+)?", re.ASCII)
_MAX_NUMBER_LENGTH = 32
"""Maximum length of a float or a 64-bit integer in characters; longer text stays text."""


class Effect(IntEnum):
    """The effect of a wrong field value on a job; higher is worse."""

    DESCRIPTION = 1
    RESOURCES = 2
    PARAMETERS = 3
    IMAGE = 4
    EXISTENCE = 5


class Unset(Enum):
    """The marker for a field without a default, as null is a value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


def canonical_numbers(value: JSON) -> JSON:
    """Numbers in canonical form (4.0 becomes 4; NaN and infinities null, as in the SDK's orjson)."""
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
    """4, "4", "4.0" and 4.0 become the integer 4; any other value stays unchanged and differs."""
    if isinstance(value, str) and (whole := _WHOLE.fullmatch(value)):
        return int(whole[1])
    return canonical_numbers(value)


def text(value: JSON) -> JSON:
    """Null becomes ""."""
    return "" if value is None else value


def texts(value: JSON) -> JSON:
    """A list of texts: null becomes []."""
    return [] if value is None else canonical_numbers(value)


def table(value: JSON) -> JSON:
    """A table: null becomes {}."""
    return {} if value is None else canonical_numbers(value)


def text_table(value: JSON) -> JSON:
    """A table of texts: null becomes {}, and numbers become text."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        return value
    return {
        str(key): str(canonical_numbers(item)) if _is_number(item) else item for key, item in value.items()
    }


def repository(value: JSON) -> JSON:
    """The name of an image repository in its normal form."""
    return normal_name(value) if isinstance(value, str) else canonical_numbers(value)


def enum_name(value: JSON) -> JSON:
    """Enum names in upper case. ASCII only, where case mapping is one to one: "ß" is not "SS"."""
    return value.upper() if isinstance(value, str) and value.isascii() else value


def configured(value: JSON) -> JSON:
    """Enum names in upper case; null and "" become NOT_CONFIGURED."""
    return "NOT_CONFIGURED" if value is None or value == "" else enum_name(value)


def constraint(value: JSON) -> JSON:
    """Enum names in upper case; "" and NOT_CONFIGURED, which mean no constraint, become null."""
    name = configured(value)
    return None if name == "NOT_CONFIGURED" else name


def equal(left: JSON, right: JSON) -> bool:
    """Equality as JSON, by the table above."""
    return _equal(left, right, _same_scalar)


def number_like(left: JSON, right: JSON) -> bool:
    """Like `equal`, but a number equals its text, at any depth. Different texts are never equal."""
    return _equal(left, right, _same_scalar_or_its_text)


def as_number(value: JSON) -> JSON:
    """The number that a text denotes; the text itself if no number has exactly its value."""
    if not isinstance(value, str) or len(value) > _MAX_NUMBER_LENGTH:
        return value
    if (match := _NUMBER.fullmatch(value)) is None:
        return value
    exact = Decimal(value)
    number = int(exact) if not (match[1] or match[2]) else canonical_numbers(float(value))
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


def _is_number(value: JSON) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _decimal(number: float) -> Decimal:
    """The number as JSON writes it: 0.1 is exactly a tenth, not the nearest binary fraction."""
    return Decimal(repr(number) if type(number) is float else number)


class FieldRule(Struct, frozen=True):
    """How one field is compared and written.

    Attributes:
        normalise: applied to desired, recorded and live values before they are compared, sent or recorded.
        equivalent: for comparisons with live: whether two unequal values have the same meaning.
        immutable: the provider cannot change it in place; a different value replaces the object.
        unordered: a list whose order has no meaning.
        keyed: a JSON object compared key by key, each key with its own recorded, desired and live value.
        write_only: never returned by the provider; compared with the recorded value only.
        create_default: sent on create if the files do not manage the field (UNSET: nothing is sent).
        effect: the effect of a wrong value on a job.
        follows: for a field that is not a key of config.toml: its origin, and the change to make there. ""
            for all others.
    """

    normalise: Callable[[JSON], JSON] = canonical_numbers
    equivalent: Callable[[JSON, JSON], bool] | None = None
    immutable: bool = False
    unordered: bool = False
    keyed: bool = False
    write_only: bool = False
    create_default: JSON | Unset = UNSET
    effect: Effect = Effect.PARAMETERS
    follows: str = ""


NAME: Final = FieldRule(
    effect=Effect.DESCRIPTION,
    follows="A name is what the resource is found by: rename it in config.toml by hand.",
)
DOCKER_IMAGE: Final = FieldRule(
    repository,
    effect=Effect.IMAGE,
    follows="Another image name is another image: write docker.image_name in config.toml by hand.",
)
DOCKER_TAG: Final = FieldRule(
    effect=Effect.IMAGE,
    follows="It follows from metadata.version and [reconciler] pin: set those, or apply the files.",
)
DOCKER_FLAGS: Final = FieldRule(
    texts,
    unordered=True,
    effect=Effect.IMAGE,
    follows="They follow from docker.gpu: take over default_gpu, or apply the files.",
)
