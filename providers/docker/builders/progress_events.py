"""Reads progress events of a build in JSON. A value of another type is left out: progress ends no build."""

from collections.abc import Mapping
from typing import Any

_END = 1 << 62  # bytes, from which a number is no size


def text_in(event: Mapping[str, Any], key: str) -> str:
    """The text with this key; "" if there is none."""
    found = event.get(key)
    return found if isinstance(found, str) else ""


def size_in(event: Mapping[str, Any], key: str) -> int | None:
    """The number of bytes with this key; None if there is none."""
    found = event.get(key)
    return found if type(found) is int and 0 <= found < _END else None


def object_in(event: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object with this key; empty if there is none."""
    found = event.get(key)
    return found if isinstance(found, dict) else {}


def objects_in(event: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The objects in the list with this key; none if there is no list."""
    found = event.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
