"""Recognizes JSON objects that a newer reconciler wrote by keys that this version does not have. Pure."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import fields

from state.errors import NewerFormatError


def refuse_newer_keys(body: Mapping[str, Any], what: str, kind: type[Struct]) -> None:
    """Raise NewerFormatError for an object with all keys of this version, and further ones.

    Args:
        what: the object, for the message.
        kind: the class with the keys.
    """
    if _required(kind) <= body.keys() and (unknown := sorted(body.keys() - kind.__struct_fields__)):
        raise NewerFormatError(
            f"a newer reconciler wrote {what}: it has {unknown[0]!r}, which this version does not know",
            hint="pip install --upgrade picsellia-reconciler",
        )


@cache  # `fields` evaluates the annotations of the class, and a history has thousands of objects
def _required(kind: type[Struct]) -> frozenset[str]:
    return frozenset(field.name for field in fields(kind) if field.required)
