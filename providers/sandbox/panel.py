"""The switches of a running sandbox, and the count of requests that each failure rule has seen.

Decides nothing about requests but which failure rule one falls under.
"""

import re
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from providers.sandbox.settings import Fault, Switches

_SWITCHES = TypeAdapter(Switches)
_FAULT = TypeAdapter(Fault)


class Panel:
    """The switches as they are now.

    Args:
        switches: how they are at the start, and after `reset`.
    """

    def __init__(self, switches: Switches) -> None:
        self._start = switches
        self._seen: list[int] = []
        self.reset()

    def reset(self) -> None:
        """Put every switch back to where it was at the start; the rules of failure count from 1 again."""
        self._set(self._start)

    def change(self, patch: dict[str, Any]) -> None:
        """Change some switches; giving `faults` replaces all rules, which then count from 1.

        Raises:
            pydantic.ValidationError: an unknown switch, or a value it cannot have.
            re.error: a path that is no regular expression.
        """
        self._set(_SWITCHES.validate_python({**self.as_json(), **patch}), keep_counts="faults" not in patch)

    def add_fault(self, rule: dict[str, Any]) -> None:
        """Add one rule of failure; those already there keep their counts.

        Raises:
            pydantic.ValidationError: a rule that cannot be understood.
            re.error: a path that is no regular expression.
        """
        faults = (*self.switches.faults, _FAULT.validate_python(rule))
        self._set(replace(self.switches, faults=faults), keep_counts=True)

    def as_json(self) -> dict[str, Any]:
        """The switches as plain JSON values."""
        plain: dict[str, Any] = _SWITCHES.dump_python(self.switches, mode="json")
        return plain

    def due(self, method: str, path: str) -> Fault | None:
        """Count this request under every rule it matches; return the first rule that wants it to fail."""
        due = None
        for index, fault in enumerate(self.switches.faults):
            if fault.method not in ("*", method) or not re.search(fault.path, path):
                continue
            self._seen[index] += 1
            seen = self._seen[index]
            late = seen - fault.nth
            if due is None and late >= 0 and late % fault.every == 0:
                due = fault if fault.times is None or late < fault.times else None
        return due

    def _set(self, switches: Switches, *, keep_counts: bool = False) -> None:
        for pattern in (switches.locked, *(fault.path for fault in switches.faults)):
            re.compile(pattern or "")
        counted = self._seen if keep_counts else []
        self._seen = counted + [0] * (len(switches.faults) - len(counted))
        self.switches = switches
