"""How a stored object is shown in an answer: which fields, in which dress.

Pure: takes a stored object and the switches, gives JSON values, changes neither.
"""

from collections.abc import Sequence
from typing import Any

from providers.sandbox.settings import Switches
from providers.sandbox.store import Stored

_NUMBERS = ("default_cpu", "default_gpu", "default_parameters", "parameters")


def answer(
    stored: Stored, switches: Switches, returned: Sequence[str], *, parent: tuple[str, Any] | None = None
) -> dict[str, Any]:
    """One object as the platform shows it.

    Args:
        stored: the object.
        switches: echo, numbers, reorder, extra_fields and null_connector are looked at.
        returned: the keys that the SDK reads; whether the platform answers more is not known.
        parent: the key under which the object that it lives in is shown, and that one's answer.
    """
    shown: dict[str, Any] = {"id": stored.id, **stored.fields, **dict((parent,) if parent else ())}
    if switches.echo == "certain":
        shown = {key: shown[key] for key in returned}
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
