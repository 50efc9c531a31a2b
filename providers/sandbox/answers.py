"""Formats stored objects for responses. Pure: returns JSON values and changes neither object nor switches."""

from collections.abc import Sequence
from typing import Any

from providers.sandbox.settings import Switches
from providers.sandbox.store import StoredObject

_NUMBERS = ("default_cpu", "default_gpu", "default_parameters", "parameters")


def object_json(
    stored: StoredObject,
    switches: Switches,
    returned: Sequence[str],
    *,
    parent: tuple[str, Any] | None = None,
) -> dict[str, Any]:
    """The JSON of one object in a response.

    Args:
        stored: the object.
        switches: echo, numbers, reorder, extra_fields and null_connector apply.
        returned: the keys that the SDK reads; the platform may return more.
        parent: key and JSON of the parent object, if the response contains it.
    """
    fields: dict[str, Any] = {"id": stored.id, **stored.fields, **dict((parent,) if parent else ())}
    if switches.echo == "certain":
        fields = {key: fields[key] for key in returned}
    if switches.null_connector and stored.kind == "organization":
        fields["default_connector_id"] = None
    for key in _NUMBERS:
        if key in fields:
            fields[key] = _format_numbers(fields[key], switches.numbers)
    if switches.reorder:
        fields = {key: value[::-1] if isinstance(value, list) else value for key, value in fields.items()}
    if switches.extra_fields:
        fields |= {"visibility": "ORGANIZATION", "quota": {"unit": "hour", "amount": None}}
    return fields


def _format_numbers(value: Any, numbers: str) -> Any:
    if isinstance(value, dict):
        return {key: _format_numbers(item, numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [_format_numbers(item, numbers) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or numbers == "native":
        return value
    return str(value) if numbers == "text" else float(value)
