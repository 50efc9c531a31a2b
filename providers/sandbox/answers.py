"""How a stored object is shown in an answer: which fields, in which dress.

Pure: takes a stored object and the switches, gives JSON values, changes neither.
"""

from typing import Any

from providers.sandbox.settings import Switches
from providers.sandbox.store import Kind, Stored

# What the SDK 6.37 needs or exposes of each answer. Whether the platform answers more is not known.
_CERTAIN: dict[Kind, tuple[str, ...]] = {
    "organization": ("id", "name", "default_connector_id"),
    "processing": ("id", "name", "target", "type", "docker_image", "docker_tag"),
    "input": ("name",),
    "model": ("id", "name", "private"),
    "version": ("id", "origin", "name", "version", "type", "framework", "labels", "tags", "parameters"),
}
_NUMBERS = ("default_cpu", "default_gpu", "default_parameters", "parameters")


def answer(stored: Stored, switches: Switches, *, origin: Stored | None = None) -> dict[str, Any]:
    """One object as the platform shows it.

    Args:
        stored: the object.
        switches: echo, numbers, reorder, extra_fields and null_connector are looked at.
        origin: the model of a version.
    """
    shown: dict[str, Any] = {"id": stored.id, **stored.fields}
    if origin is not None:
        shown["origin"] = answer(origin, Switches(echo="certain"))
    if switches.echo == "certain":
        shown = {key: shown[key] for key in _CERTAIN[stored.kind]}
    if switches.null_connector and stored.kind == "organization":
        shown["default_connector_id"] = None
    for key in _NUMBERS:
        if key in shown:
            shown[key] = _formatted(shown[key], switches.numbers)
    if switches.reorder:
        shown = {key: value[::-1] if isinstance(value, list) else value for key, value in shown.items()}
    if switches.extra_fields:
        shown |= {"visibility": "ORGANIZATION", "quota": {"unit": "hour", "amount": None}}
    return shown


def _formatted(value: Any, numbers: str) -> Any:
    if isinstance(value, dict):
        return {key: _formatted(item, numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [_formatted(item, numbers) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float) or numbers == "native":
        return value
    return str(value) if numbers == "text" else float(value)
