"""Why something is as it is, and how a refusal ends, as data. The views make the words.

A code is a member of an enum; its value is the `reason_code` of JSON documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason.

    Attributes:
        code: which one.
        details: JSON values that its words need, by name.
    """

    code: StrEnum
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WayOut:
    """One way out of a refusal.

    Attributes:
        label: which one.
        command: the command that does it; "" where there is none to run.
        details: JSON values that its words need, by name.
    """

    label: StrEnum
    command: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a step may not run as it stands, and the ways out."""

    reason: Reason
    ways: tuple[WayOut, ...] = ()
