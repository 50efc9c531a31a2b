"""A wrapper around any kind that fails on demand: what the engine's promises are tested against.

Every verb of every wrapped kind is one call, counted over all of them. A fault hits a call by its number,
before the work (the request never arrived) or after it (the answer was lost). Invents no failure of its own.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from providers.json_value import JSON
from providers.protocol import KindFacts, ListedKind, LiveObject, Reference, Report, ResourceKind

T = TypeVar("T")

READS = ("read", "siblings")
WRITES = ("create", "update", "delete")


class Died(BaseException):
    """The process ended here, as if somebody had pulled the plug: no later call gets through either."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: the number of the call that it hits, counted from 1.
        error: what is raised: an error family of `providers.errors`, or Died.
        after: raised after the work was done, instead of its answer.
        times: how many calls in a row it hits.
    """

    at: int
    error: BaseException
    after: bool = False
    times: int = 1

    def hits(self, number: int) -> bool:
        return self.at <= number < self.at + self.times


class Faults:
    """Counts the calls of all kinds that it is given to, and lets those fail that a fault hits.

    Args:
        faults: what goes wrong; of two for one call the first.
        verbs: those that count, and may fail; the others pass.

    Attributes:
        calls: (verb, name) of every counted call, in order, failed ones included.
    """

    def __init__(self, *faults: Fault, verbs: Collection[str] = (*READS, *WRITES)) -> None:
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self._faults = faults
        self._verbs = verbs
        self._dead = False
        self._counting = threading.Lock()

    def around(self, verb: str, name: Sequence[str], call: Callable[[], T]) -> T:
        if verb not in self._verbs:
            return call()
        with self._counting:
            self.calls.append((verb, tuple(name)))
            number = len(self.calls)
            if self._dead:
                raise Died
        fault = next((fault for fault in self._faults if fault.hits(number)), None)
        if fault is None:
            return call()
        if fault.after:
            call()
        self._dead = isinstance(fault.error, Died)
        raise fault.error


class FaultyKind:
    """A kind like the one it wraps, on a bad day."""

    def __init__(self, kind: ResourceKind, faults: Faults) -> None:
        self._kind = kind
        self._faults = faults

    @property
    def facts(self) -> KindFacts:
        return self._kind.facts

    def read(self, reference: Reference) -> LiveObject | None:
        return self._faults.around("read", reference.name, lambda: self._kind.read(reference))

    def siblings(self, parent: LiveObject) -> Sequence[LiveObject]:
        kind = self._kind
        assert isinstance(kind, ListedKind)
        return self._faults.around("siblings", parent.name, lambda: kind.siblings(parent))

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        return self._faults.around(
            "create", name, lambda: self._kind.create(name, fields, parent=parent, report=report)
        )

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        return self._faults.around(
            "update",
            live.name,
            lambda: self._kind.update(live, changed, fields, parent=parent, report=report),
        )

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        return self._faults.around("delete", live.name, lambda: self._kind.delete(live, parent=parent))
