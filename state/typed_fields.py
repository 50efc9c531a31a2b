"""Checks the fields of stored records: each has the type and the form that this package writes. Pure."""

from datetime import datetime
from typing import Final, TypeVar

from msgspec import Struct

MAX_NUMBER: Final = 2**53
"""Upper limit of the stored numbers, which JSON keeps exactly."""

_NUMBERS = "serial", "fence", "pid", "ttl"
_NESTED = "holder", "entry", "document"
_Part = TypeVar("_Part", bound=Struct)


def typed(part: _Part) -> _Part:
    """Returns `part` if every field has its type, a number or a string. Raises TypeError otherwise."""
    for name in part.__struct_fields__:
        value = getattr(part, name)
        if name in _NUMBERS:
            is_number = type(value) is int or (name == "ttl" and type(value) is float)
            if not is_number or not 0 <= value < MAX_NUMBER:
                raise TypeError(f"{name} is {str(value)[:40]!r}")
        elif name not in _NESTED and not isinstance(value, str):
            raise TypeError(f"{name} is not a string")
        elif name == "written_at" and value and not is_time(value):
            raise TypeError(f"{name} is not a time with its offset from UTC")
    return part


def is_time(text: str) -> bool:
    """Whether the text is an ISO 8601 time with its offset from UTC."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False
