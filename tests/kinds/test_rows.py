"""Objects of any kind that have rows of their own in config.toml: from the first plan to their end."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from providers.collection import Collection
from providers.config_keys import Holds, Key
from providers.picsellia.kinds import KINDS
from providers.rules import UNSET
from providers.sandbox import Sandbox
from providers.table import FACTS, ancestors
from reconciler.core.values import Address
from reconciler.pipeline.objects import row_tables
from tests.conftest import Cli, copy_example
from tests.kinds.conftest import sample

OF_EXAMPLES = {"processing": "dataset_cleanup", "model": "DefectClassifier", "model-version": "v1"}
WRITTEN = {
    Holds.TEXT: '"text 0"',
    Holds.COUNT: "1",
    Holds.FLAG: "false",
    Holds.TEXTS: '["--flag=0"]',
    Holds.TABLE: '{ KEY = "text 0" }',
    Holds.VARIABLES: '{ KEY = "text 0" }',
}


@dataclass(frozen=True)
class Row:
    """One object of a kind as config.toml declares it, after everything that it lives in."""

    kind: str
    name: str = "one"

    @property
    def address(self) -> Address:
        names = [OF_EXAMPLES.get(parent, self.name) for parent in ancestors(self.kind)]
        return Address(self.kind, (*names, self.name))

    @property
    def fields(self) -> tuple[str, ...]:
        config = FACTS[self.kind].config
        return tuple(config.keys) if config else ()

    @property
    def text(self) -> str:
        config = FACTS[self.kind].config
        assert config is not None
        above = [Row(parent, self.name) for parent in ancestors(self.kind) if parent not in OF_EXAMPLES]
        names = [parent.replace("-", "_") for parent in ancestors(self.kind)]
        lines = [
            f"[[{config.name}]]",
            *(f'{key} = "{part}"' for key, part in zip([*names, "name"], self.address.name, strict=True)),
            *(f"{key.name} = {self.written(field, key)}" for field, key in config.keys.items()),
        ]
        return "".join(f"{one.text}\n" for one in above[-1:]) + "\n".join(lines) + "\n"

    @property
    def collection(self) -> Collection:
        collection = FACTS[self.kind].collection
        assert collection is not None
        return collection

    def written(self, field: str, key: Key) -> str:
        """The first value of a field, as TOML."""
        choices = self.collection.create[field].one_of
        return f'"{choices[0]}"' if choices else WRITTEN[key.holds]

    def on_platform(self, number: int) -> dict[str, Any]:
        """Each field as the platform would have it."""
        return {field: sample(self.collection.create[field], number) for field in self.fields}

    def changed_on_platform(self) -> dict[str, Any]:
        """The second value of each field that the platform can change in place."""
        changeable = self.collection.change
        return {field: value for field, value in self.on_platform(1).items() if field in changeable}


def found(cli: Cli, pipeline: str) -> dict[str, str]:
    document = json.loads(cli("drift", pipeline, "--json", "-").out)
    return {
        f"{finding['address']}#{finding['field'].partition('.')[0]}": finding["class"]
        for stack in document["stacks"]
        for finding in stack["findings"]
    }


def with_row(config: Path, row: str) -> None:
    text = config.read_text().rstrip("\n")
    config.write_text(f"{text}\n\n{row}")


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_with_a_row_is_made_watched_taken_over_and_let_go(
    kind: str, cli: Cli, sandbox: Sandbox
) -> None:
    if kind not in {kind for kind, _ in row_tables().values()}:
        config = FACTS[kind].config
        assert config is None or not config.rows, "it has no rows, and so no test of them"
        return
    trains = {"model", "model-version"} & set(ancestors(kind))
    pipeline = "single_training" if trains else "dataset_cleanup"
    config_file = copy_example(pipeline, cli.folder, sandbox.registry) / "config.toml"
    assert cli("apply", pipeline).code == 0
    before = config_file.read_text()
    row = Row(kind)
    address = str(row.address)

    with_row(config_file, row.text)
    planned = cli("plan", pipeline)
    assert f"+ {address}" in planned.out, planned.err
    assert cli("apply", pipeline).code == 0
    live = sandbox.platform.get(kind, *row.address.name)
    assert live is not None
    assert {field: live[field] for field in row.fields} == row.on_platform(0)
    assert "Nothing to do" in cli("plan", pipeline).out

    changed = row.changed_on_platform()
    sandbox.platform.edit(kind, *row.address.name, **changed)
    assert found(cli, pipeline) == {f"{address}#{field}": "drift" for field in changed}
    assert cli("adopt", pipeline).code == 0
    assert found(cli, pipeline) == {}
    assert cli("apply", pipeline).code == 0

    config_file.write_text(before)
    assert "forget" in cli("plan", pipeline).out
    assert cli("apply", pipeline).code == 0
    assert sandbox.platform.get(kind, *row.address.name) is not None

    with_row(config_file, row.text)
    assert cli("apply", pipeline).code == 0
    config_file.write_text(before)
    assert cli("apply", pipeline, "--prune", "--yes").code == 0
    assert sandbox.platform.get(kind, *row.address.name) is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda text: text.replace("name =", "nam ="), "Did you mean 'name'?"),
        (lambda text: text + text, "is declared twice"),
        (lambda text: text.replace("[[", "[").replace("]]", "]"), "must be rows"),
    ],
    ids=["misspelt", "twice", "no rows"],
)
def test_a_row_that_is_wrong_is_told_with_its_line(
    kind: str, wrong: Any, words: str, cli: Cli, sandbox: Sandbox
) -> None:
    if kind not in {kind for kind, _ in row_tables().values()}:
        config = FACTS[kind].config
        assert config is None or not config.rows
        return
    row = Row(kind, "one")
    trains = {"model", "model-version"} & set(ancestors(kind))
    pipeline = "single_training" if trains else "dataset_cleanup"
    config_file = copy_example(pipeline, cli.folder, sandbox.registry) / "config.toml"
    with_row(config_file, wrong(row.text))
    ended = cli("validate", pipeline)
    assert ended.code == 1
    assert words in ended.err
    assert "config.toml:" in ended.err


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_that_the_platform_refuses_is_an_error_before_any_request(
    kind: str, cli: Cli, sandbox: Sandbox
) -> None:
    config = FACTS[kind].config
    if config is None or not config.rows:
        return
    row = Row(kind)
    wrong = []
    for field, key in config.keys.items():
        body, line = row.collection.create[field], f"{key.name} = {row.written(field, key)}\n"
        if body.required and FACTS[kind].rules[field].create_default is UNSET:
            wrong.append((line, "", f"{key.name} is missing"))
        if not body.empty:
            wrong.append((line, f'{key.name} = ""\n', f"{key.name} is empty"))
        if body.one_of:
            wrong.append((line, f'{key.name} = "odd"\n', f"{key.name} 'odd' is not known"))
    trains = {"model", "model-version"} & set(ancestors(kind))
    pipeline = "single_training" if trains else "dataset_cleanup"
    config_file = copy_example(pipeline, cli.folder, sandbox.registry) / "config.toml"
    before = config_file.read_text()
    for line, other, words in wrong:
        config_file.write_text(before)
        above, header, own = row.text.rpartition(f"[[{config.name}]]\n")
        assert line in own
        with_row(config_file, above + header + own.replace(line, other))
        ended = cli("validate", pipeline)
        assert ended.code == 1, words
        assert words in ended.err
        assert "config.toml:" in ended.err
    assert sandbox.writes() == []
