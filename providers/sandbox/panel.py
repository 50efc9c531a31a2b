"""The switches of a running sandbox, and the number of requests matched by each fault rule."""

import re
from dataclasses import replace
from typing import Any

from pydantic import TypeAdapter

from providers.sandbox.settings import Fault, Switches

_SWITCHES = TypeAdapter(Switches)
_FAULT = TypeAdapter(Fault)


class Panel:
    """The current switches.

    Args:
        switches: the initial switches, also used by `reset`.
    """

    def __init__(self, switches: Switches) -> None:
        self._initial = switches
        self._counts: list[int] = []
        self.reset()

    def reset(self) -> None:
        """Restore the initial switches; fault rules count from 1 again."""
        self._set(self._initial)

    def change(self, patch: dict[str, Any]) -> None:
        """Change some switches. A value for `faults` replaces all rules, which then count from 1.

        Raises:
            pydantic.ValidationError: an unknown switch or an invalid value.
        """
        self._set(_SWITCHES.validate_python({**self.as_json(), **patch}), keep_counts="faults" not in patch)

    def add_fault(self, rule: dict[str, Any]) -> None:
        """Add a fault rule; existing rules keep their counts.

        Raises:
            pydantic.ValidationError: an invalid rule.
        """
        faults = (*self.switches.faults, _FAULT.validate_python(rule))
        self._set(replace(self.switches, faults=faults), keep_counts=True)

    def as_json(self) -> dict[str, Any]:
        """The switches as plain JSON values."""
        document: dict[str, Any] = _SWITCHES.dump_python(self.switches, mode="json")
        return document

    def next_fault(self, method: str, path: str, environment: str | None) -> Fault | None:
        """Count this request for every rule that it matches. Returns the first rule by which it fails.

        Args:
            environment: the environment of a request to a platform; None for the registry.
        """
        result = None
        for index, fault in enumerate(self.switches.faults):
            if fault.method not in ("*", method) or not re.search(fault.path, path):
                continue
            if fault.environment not in (None, environment):
                continue
            self._counts[index] += 1
            position = self._counts[index] - fault.nth
            if result is None and position >= 0 and position % fault.every == 0:
                result = fault if fault.times is None or position < fault.times else None
        return result

    def _set(self, switches: Switches, *, keep_counts: bool = False) -> None:
        counts = self._counts if keep_counts else []
        self._counts = counts + [0] * (len(switches.faults) - len(counts))
        self.switches = switches
