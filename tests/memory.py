"""A complete far end inside this process: for the engine's own tests and benchmarks, and for a try.

It keeps what it is given, by (kind, name), and gives each object an identity of its own. Its habits (fields
that it never returns, fields that it ignores) are settings, as a real platform's are not ours to choose.
"""

import itertools
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from providers.errors import ExistsError, GoneError
from providers.json_value import JSON
from providers.protocol import KindFacts, LiveObject, Reference, Report

Key = tuple[str, tuple[str, ...]]


def _unchanged(name: str, value: JSON) -> JSON:
    return value


@dataclass
class MemoryWorld:
    """All objects of all kinds.

    Attributes:
        objects: what exists, by kind and name.
        hidden: fields that are never returned.
        stubborn: fields whose updates are accepted and ignored.
        keeps: whether deletes are accepted and ignored.
        habit: what the far end makes of (field, value) when it answers.
        writes: (verb, kind, name) of every write that was carried out, in order.
        parents: of each kind, the kind that its objects live in, and go with.
    """

    objects: dict[Key, LiveObject] = field(default_factory=dict)
    hidden: Collection[str] = ()
    stubborn: Collection[str] = ()
    keeps: bool = False
    habit: Callable[[str, JSON], JSON] = _unchanged
    writes: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    parents: dict[str, str | None] = field(default_factory=dict)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, live: LiveObject) -> LiveObject:
        shown = {
            name: self.habit(name, value) for name, value in live.fields.items() if name not in self.hidden
        }
        return LiveObject(live.id, live.name, shown, live.outputs)

    def edit(self, kind: str, *name: str, **fields: JSON) -> None:
        """Somebody else changes the fields of an object."""
        live = self.objects[kind, name]
        self.objects[kind, name] = LiveObject(live.id, name, {**live.fields, **fields}, live.outputs)

    def put(self, kind: str, *name: str, **fields: JSON) -> LiveObject:
        """Somebody else makes an object, or makes it anew with another identity."""
        live = LiveObject(f"{kind}-{next(self._ids)}", name, fields)
        self.objects[kind, name] = live
        return live

    def remove(self, key: Key) -> None:
        """An object goes, with all that lives in it."""
        kind, name = key
        del self.objects[key]
        for other in [k for k in self.objects if self.parents.get(k[0]) == kind and k[1][:-1] == name]:
            self.remove(other)

    def write(
        self, verb: str, kind: str, name: tuple[str, ...], change: Callable[[], LiveObject | None]
    ) -> LiveObject | None:
        with self._lock:
            live = change()
            self.writes.append((verb, kind, name))
            return live


class MemoryKind:
    """One kind of the world above, with the facts that it is given."""

    def __init__(self, kind: str, facts: KindFacts, world: MemoryWorld) -> None:
        self.kind = kind
        self.facts = facts
        self.world = world
        world.parents[kind] = facts.parent

    def read(self, reference: Reference) -> LiveObject | None:
        live = self.world.objects.get((self.kind, reference.name))
        return None if live is None else self.world.answer(live)

    def siblings(self, parent: LiveObject) -> Sequence[LiveObject]:
        return [
            self.world.answer(live)
            for (kind, name), live in list(self.world.objects.items())
            if kind == self.kind and name[:-1] == parent.name
        ]

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        key = (self.kind, tuple(name))

        def change() -> LiveObject:
            if key in self.world.objects:
                raise ExistsError(f"{self.kind} {'/'.join(name)} exists already")
            return self.world.put(self.kind, *name, **fields)

        live = self.world.write("create", *key, change)
        assert live is not None
        return self.world.answer(live)

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        key = (self.kind, live.name)

        def change() -> LiveObject:
            if key not in self.world.objects:
                raise GoneError(f"{self.kind} {'/'.join(live.name)} does not exist")
            together = self.facts.written_together
            sent = {name: fields[name] for name in together if name in fields} if together else {}
            taken = {k: value for k, value in {**sent, **changed}.items() if k not in self.world.stubborn}
            self.world.edit(self.kind, *live.name, **taken)
            return self.world.objects[key]

        after = self.world.write("update", *key, change)
        assert after is not None
        return self.world.answer(after)

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        key = (self.kind, live.name)

        def change() -> None:
            if key not in self.world.objects:
                raise GoneError(f"{self.kind} {'/'.join(live.name)} does not exist")
            if not self.world.keeps:
                self.world.remove(key)

        self.world.write("delete", *key, change)
