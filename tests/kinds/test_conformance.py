"""What every kind of the table has to do: its facts agree, and so does its life on the platform.

A new kind is tested by this file as it is; `docs/how-to/adding-a-kind.md` says how.
"""

from typing import Any

import pytest

from providers.config_keys import Holds
from providers.errors import ExistsError, GoneError
from providers.picsellia.kinds import KINDS, kinds
from providers.picsellia.platform import Platform
from providers.protocol import ListedKind
from providers.sandbox import Sandbox, Settings
from providers.table import FACTS, ancestors
from reconciler.pipeline.keys import READERS
from tests.kinds.conftest import Subject

SENT_AS = {
    Holds.TEXT: str,
    Holds.COUNT: int,
    Holds.FLAG: bool,
    Holds.TEXTS: list[str],
    Holds.TABLE: dict[str, Any],
    Holds.VARIABLES: dict[str, Any],
    Holds.FRAMEWORK: str,
    Holds.INFERENCE_TYPE: str,
    Holds.PIPELINE_TYPE: str,
}
"""For each type of value in config.toml, the type of the key in a body."""


@pytest.mark.parametrize("name", KINDS)
def test_the_facts_of_a_kind_agree(name: str) -> None:
    facts = FACTS[name]
    collection = facts.collection
    assert collection is not None, "the sandbox serves it"
    fixed = {field for field, rule in facts.rules.items() if rule.immutable}
    assert set(facts.rules) <= set(collection.create), "each field can be set on create"
    assert set(facts.rules) - fixed <= set(collection.change), (
        "each field that is not immutable can be changed"
    )
    assert not fixed & set(collection.change), "a field that can be changed is not immutable"
    assert "name" in collection.create
    assert "{parent}" in collection.path
    assert "{id}" in collection.item or {"{parent}", "{name}"} <= set(collection.item.split("/"))

    if facts.parent is None:
        assert collection.parent == "organization"
    else:
        parent = FACTS[facts.parent].collection
        assert parent is not None
        assert collection.parent == parent.name
    for field, key in (facts.config.keys if facts.config else {}).items():
        assert field in facts.rules
        assert key.path
        body = collection.create[field].type
        assert body == SENT_AS[key.holds], f"{field} is {key.holds} in config.toml, but {body} in a body"
        if facts.config and facts.config.rows:
            assert key.holds in READERS, f"a row cannot hold {key.holds}"
    if facts.listed_by:
        assert hasattr(KINDS[name], "siblings"), "a listed kind reads the whole list"


def test_an_object_lives_from_its_creation_to_its_deletion(subject: Subject, sandbox: Sandbox) -> None:
    assert subject.read() is None

    made = subject.create()
    assert made.name == subject.named("one")
    assert made.fields == subject.fields("one")
    assert subject.read() == made
    assert sandbox.platform.get(subject.name, *made.name) is not None

    for field, key in subject.changeable.items():
        value = subject.fields("one", number=1)[field]
        assert value != made.fields[field], f"{key} has two values"
        changed = subject.update(made, **{field: value})
        assert changed.id == made.id
        assert changed.fields == {**made.fields, field: value}
        assert subject.read() == changed
        made = changed

    subject.kind.delete(made, parent=subject.parent)
    assert subject.read(id=made.id) is None
    with pytest.raises(GoneError):
        subject.kind.delete(made, parent=subject.parent)


def test_an_object_of_that_name_is_not_made_twice(subject: Subject) -> None:
    subject.create()
    with pytest.raises(ExistsError) as taken:
        subject.create()
    assert not taken.value.outcome_unknown


def test_a_read_gives_the_object_of_exactly_that_name(subject: Subject, sandbox: Sandbox) -> None:
    for name in ("one more", "One", "one", "a/b", "ü x", "%2F", "?a=b&c", "#1"):
        subject.create(name)
    sandbox.switch(loose_find=True)
    for name in ("one", "a/b", "ü x", "%2F", "?a=b&c", "#1"):
        found = subject.read(name)
        assert found is not None, name
        assert found.name == subject.named(name)
    assert subject.read("on") is None


def test_an_object_of_another_parent_or_organization_is_not_found_by_its_id(subject: Subject) -> None:
    if subject.parents:
        above = subject.parents[:-1]
        other = Subject(ancestors(subject.name)[-1], subject.all, above).create("other")
        made = subject.create("two")
        assert Subject(subject.name, subject.all, (*above, other)).read("one", made.id) is None
        return
    with (
        Sandbox(Settings(organizations=("north", "south"))) as both,
        Platform(both.url, both.token, "north") as north,
        Platform(both.url, both.token, "south") as south,
    ):
        made = Subject(subject.name, kinds(north)).create("two")
        assert Subject(subject.name, kinds(south)).read("one", made.id) is None


def test_a_field_that_is_not_returned_is_absent_and_a_key_that_is_unknown_is_no_field(
    subject: Subject, sandbox: Sandbox
) -> None:
    subject.create()
    sandbox.switch(extra_fields=True)
    full = subject.read()
    assert full is not None
    assert set(full.fields) == set(subject.facts.rules)

    sandbox.switch(extra_fields=False, echo="certain")
    certain = subject.read()
    assert certain is not None
    assert set(certain.fields) == set(subject.facts.rules) & set(subject.collection.returned)


def test_an_update_sends_the_fields_that_changed(subject: Subject, sandbox: Sandbox) -> None:
    made = subject.create()
    field, key = next(iter(subject.changeable.items()), (None, None))
    if field is None or subject.collection.change_method == "PUT":
        return  # a PUT has every field
    assert key is not None
    sandbox.clear_requests()
    subject.update(made, **{field: subject.fields("one", number=1)[field]})
    (sent,) = sandbox.writes()
    assert list(sent["body"]) == [field]


def test_the_summary_of_an_object_is_a_few_words(subject: Subject) -> None:
    words = [str(part) for part in subject.facts.summary(subject.create()) if part]
    assert all(len(word) < 80 and "\n" not in word for word in words)


def test_a_listed_kind_lists_every_object_of_its_parent(subject: Subject) -> None:
    if not subject.facts.listed_by:
        assert subject.facts.listed_by == ""
        return
    kind = subject.kind
    assert isinstance(kind, ListedKind)
    assert subject.parent is not None
    made = [subject.create(name) for name in ("one", "two")]
    assert list(kind.siblings(subject.parent)) == made
