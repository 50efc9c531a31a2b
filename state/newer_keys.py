"""Recognizes JSON objects that a newer reconciler wrote by keys that this version does not have. Pure."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from state.errors import NewerFormatError


def refuse_newer_keys(body: Mapping[str, Any], what: str, kind: type[Any]) -> None:
    """Raise NewerFormatError for an object with all keys of this version, and further ones.

    Args:
        what: the object, for the message.
        kind: the dataclass with the keys.
    """
    names = {field.name for field in fields(kind)}
    required = {field.name for field in fields(kind) if field.default is MISSING}
    if required <= body.keys() and (unknown := sorted(body.keys() - names)):
        raise NewerFormatError(
            f"a newer reconciler wrote {what}: it has {unknown[0]!r}, which this version does not know",
            hint="pip install --upgrade picsellia-reconciler",
        )
