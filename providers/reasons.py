"""Reasons, refusals and ways out of them, as data. The views turn them into words.

A code is an enum member; its value is the `reason_code` of JSON documents.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field


class Reason(Struct, frozen=True):
    """The reason of a decision.

    Attributes:
        code: the kind of reason.
        details: JSON values for its text, by name.
    """

    code: StrEnum
    details: Mapping[str, Any] = field(default_factory=dict)


class WayOut(Struct, frozen=True):
    """One way out of a refusal.

    Attributes:
        label: the kind of way out.
        command: the command to run; "" if there is none.
        details: JSON values for its text, by name.
    """

    label: StrEnum
    command: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


class Refusal(Struct, frozen=True):
    """The reason why a step may not run, and the ways out."""

    reason: Reason
    ways: tuple[WayOut, ...] = ()
