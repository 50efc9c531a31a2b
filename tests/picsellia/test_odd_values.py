"""Malformed responses to every verb of every kind give an object or a provider error."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from providers.errors import ProviderError
from providers.picsellia.kinds import kinds as all_kinds
from providers.picsellia.platform import Platform
from providers.protocol import ListedKind, LiveObject, Reference, ResourceKind, silent
from reconciler.core.diff import compare
from state.invariants import verify
from state.snapshot import RecordedResource, Snapshot
from tests.conftest import CASES
from tests.faults.odd import Key, Recorded, Tape, bodies
from tests.picsellia.conftest import INPUT, PROCESSING, VERSION
from tests.picsellia.odd_host import ORGANIZATION, SIGN_IN

AT = "2025-03-01T12:00:00.000+00:00"
PARENTS = {
    "input": LiveObject("6a1e9c1c-7a9f-4a0e-9a5d-3d5f0f6f1c11", ("app",), {}),
    "model-version": LiveObject("6a1e9c1c-7a9f-4a0e-9a5d-3d5f0f6f1c12", ("Apples",), {}),
}
FIELDS = {
    "processing": PROCESSING,
    "input": INPUT,
    "model": {"name": "Apples"},
    "model-version": VERSION,
}
NAMES = {
    "processing": ("app",),
    "input": ("app", "dataset"),
    "model": ("Apples",),
    "model-version": ("Apples", "v1"),
}
VERBS = "read", "siblings", "create", "update", "delete"
SAMPLE = 10


def answer(kind: str) -> dict[str, Any]:
    """One object as the platform returns it."""
    beside = {
        "id": "6a1e9c1c-7a9f-4a0e-9a5d-3d5f0f6f1c13",
        "updated_at": AT,
        "updated_by": "ann",
        "version": 3,
    }
    return {"name": NAMES[kind][-1], **FIELDS[kind], **beside}


class Odd(Tape):
    """Accepts the sign-in, and returns one response to every other request."""

    def __init__(self) -> None:
        super().__init__(recording=False)
        self.body = b""

    def key(self, request: requests.PreparedRequest) -> Key:
        _, path = key = super().key(request)
        sign_in = SIGN_IN.get(path.partition("?")[0])
        body = self.body if sign_in is None else json.dumps(sign_in).encode()
        self.replaced = {key: Recorded(200, {}, body)}
        return key


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch, home: object) -> Iterator[tuple[Odd, dict[str, ResourceKind]]]:
    tape = Odd()
    tape.insert(monkeypatch)
    with Platform("http://platform", "token", str(ORGANIZATION["name"])) as platform:
        yield tape, all_kinds(platform)


def call(kind: ResourceKind, name: str, verb: str) -> list[LiveObject]:
    parent, fields = PARENTS.get(name), FIELDS[name]
    there = LiveObject("6a1e9c1c-7a9f-4a0e-9a5d-3d5f0f6f1c13", NAMES[name], fields)
    if verb == "read":
        live = kind.read(Reference(NAMES[name], there.id, parent, fields))
        return [] if live is None else [live]
    if verb == "siblings":
        assert isinstance(kind, ListedKind)
        return list(kind.siblings(parent or there))
    if verb == "create":
        return [kind.create(NAMES[name], fields, parent=parent, report=silent)]
    if verb == "update":
        return [kind.update(there, fields, fields, parent=parent, report=silent)]
    kind.delete(there, parent=parent)
    return []


def problems_of(live: LiveObject, name: str, kind: ResourceKind) -> list[str]:
    """Problems that this object would cause later, in the engine or in state."""
    changes = list(compare(FIELDS[name], FIELDS[name], live.fields, kind.facts.rules))
    json.dumps([repr(change) for change in changes])
    address = "/".join((name, "x"))
    recorded = RecordedResource(address, name, live.id, {}, live.outputs)
    return verify(Snapshot("s", "l", 1, {address: recorded}, {}, "0.1.0", AT))


Selection = Callable[[list[tuple[str, bytes]]], list[tuple[str, bytes]]]


def play(odd: tuple[Odd, dict[str, ResourceKind]], name: str, verb: str, choose: Selection) -> None:
    tape, kinds = odd
    shown: dict[str, Any] = answer(name)
    listed = verb == "siblings" or (verb == "delete" and name == "model")
    document: dict[str, Any] = (
        {"items": [shown, {**shown, "id": "2", "name": "b"}], "count": 2} if listed else shown
    )
    found = choose(list(bodies(Recorded(200, {}, json.dumps(document).encode()))))
    failures = []
    for what, body in found:
        tape.body = body
        try:
            for live in call(kinds[name], name, verb):
                assert problems_of(live, name, kinds[name]) == []
        except ProviderError as problem:
            assert problem.message
        except Exception as problem:  # noqa: BLE001 - what is counted here
            failures.append(f"{verb} {name}, {what}: {type(problem).__name__}: {str(problem)[:300]}")
    CASES["odd answers to a call of a kind"] += len(found)
    assert not failures, f"{len(failures)} of {len(found)}\n" + "\n".join(failures[:20])


EVERY = [(name, verb) for name in FIELDS for verb in VERBS if verb != "siblings" or name == "input"]


@pytest.mark.parametrize(("name", "verb"), EVERY)
def test_a_sample_of_odd_answers(odd: tuple[Odd, dict[str, ResourceKind]], name: str, verb: str) -> None:
    chance = random.Random(f"{name} {verb}")
    play(odd, name, verb, lambda found: chance.sample(found, min(SAMPLE, len(found))))


@pytest.mark.full
@pytest.mark.parametrize(("name", "verb"), EVERY)
def test_every_odd_answer(odd: tuple[Odd, dict[str, ResourceKind]], name: str, verb: str) -> None:
    play(odd, name, verb, lambda found: found)
