"""One kind of the table, whichever it is, with values that follow from its facts."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from providers.collection import BodyKey, Collection
from providers.json_value import JSON
from providers.picsellia.kinds import KINDS, kinds
from providers.picsellia.platform import Platform
from providers.protocol import KindFacts, LiveObject, Reference, ResourceKind, silent
from providers.sandbox import Sandbox
from providers.table import ancestors
from tests.quick import skip_waits


def sample(key: BodyKey, number: int) -> JSON:
    """Two values that the platform takes for a key, by their number."""
    if key.one_of:
        return key.one_of[number]
    if key.type is bool:
        return bool(number)
    if key.type is int:
        return number + 1
    if key.type is str:
        return f"text {number}"
    return [f"--flag={number}"] if key.type == list[str] else {"KEY": f"text {number}"}


@dataclass(frozen=True)
class Subject:
    """A kind on the sandbox, with everything that its objects live in.

    Attributes:
        name: as in the table.
        parents: the chain of objects that its objects live in, outermost first.
    """

    name: str
    all: dict[str, ResourceKind]
    parents: tuple[LiveObject, ...] = ()

    @property
    def kind(self) -> ResourceKind:
        return self.all[self.name]

    @property
    def facts(self) -> KindFacts:
        return KINDS[self.name].facts

    @property
    def collection(self) -> Collection:
        collection = self.facts.collection
        assert collection is not None, f"the sandbox cannot serve {self.name}: it has no collection"
        return collection

    @property
    def parent(self) -> LiveObject | None:
        return self.parents[-1] if self.parents else None

    @property
    def changeable(self) -> dict[str, BodyKey]:
        """The fields that an update can change, but for the name."""
        return {
            field: self.collection.change[field]
            for field, rule in self.facts.rules.items()
            if not rule.immutable and field != "name"
        }

    def named(self, name: str) -> tuple[str, ...]:
        return (*(self.parent.name if self.parent else ()), name)

    def fields(self, name: str, number: int = 0) -> dict[str, Any]:
        """A value for each field."""
        create = self.collection.create
        values = {field: sample(create[field], number) for field in self.facts.rules if field != "name"}
        return values | ({"name": name} if "name" in self.facts.rules else {})

    def create(self, name: str = "one") -> LiveObject:
        return self.kind.create(self.named(name), self.fields(name), parent=self.parent, report=silent)

    def read(self, name: str = "one", id: str | None = None) -> LiveObject | None:
        return self.kind.read(Reference(self.named(name), id, self.parent, self.fields(name)))

    def update(self, live: LiveObject, **changed: JSON) -> LiveObject:
        fields = {**live.fields, **changed}
        return self.kind.update(live, changed, fields, parent=self.parent, report=silent)


@pytest.fixture(params=KINDS)
def subject(
    request: pytest.FixtureRequest, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    skip_waits(monkeypatch)
    with Platform(sandbox.url, sandbox.token, sandbox.organization) as platform:
        found = kinds(platform)
        parents: tuple[LiveObject, ...] = ()
        for ancestor in ancestors(request.param):
            parents = (*parents, Subject(ancestor, found, parents).create("parent"))
        sandbox.clear_requests()
        yield Subject(request.param, found, parents)
