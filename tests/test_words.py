"""Texts for users and contributors are in plain English and use the terms of the glossary."""

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler.cli import COMMANDS, group
from reconciler.cli.commands.drift_merge import command as drift_merge
from tests.test_readme import DOCUMENTS, ROOT

TEXTS = [*DOCUMENTS, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
GONE = {
    r"far ends?": "provider, platform, registry or server",
    r"(?:some|any|no)body(?:'s)?": "the passive, or the component",
    r"whoever|whomever": "the component",
    r"wants? (?:a|an|another|no|--)": "needs",
    r"(?:is|are|was|were|be|been) told": "is reported",
    r"(?:is|are|was|were|be|been) asked (?:for|again)": "is read, is checked",
    r"(?:a|an|any|each|its|no|of|older|that|the|their|this|whole) records?": "state, state version",
    r"anew": "again",
    r"for ever": "permanently",
    r"gone back to": "restored",
    r"so (?:long|many|much) as": "as long as, up to",
    r"(?:in|of|for) what": "a noun",
}
"""Words that the project does not use, and their replacements."""


MODULES = sorted(
    path for room in ("reconciler", "providers", "state") for path in (ROOT / room).rglob("*.py")
)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Each command with its name, groups and their commands included."""

    def below(command: click.Command, words: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        yield " ".join(words), command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from below(found, (*words, name))

    yield from below(group, ("reconciler",))
    yield "reconciler drift merge", drift_merge


def literals(module: Path) -> Iterator[str]:
    """The texts in a module, without docstrings. A value in an f-string becomes `…`."""
    nodes = [*ast.walk(ast.parse(module.read_text()))]
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            left_out |= {id(part) for part in ast.walk(node)} - {id(node)}
            if id(node) not in left_out:
                yield "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
                )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


def prose(text: str) -> str:
    """The text without blocks of code and without `code`, which quote the program."""
    text = re.sub(r"^```.*?^```$|^    [^\n]*$|<!--.*?-->", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "``", text)


def faults(text: str) -> list[str]:
    """Each word that is gone, with its surroundings and its replacement."""
    text = re.sub(r"\s+", " ", prose(text))
    return [
        f"…{text[max(0, found.start() - 40) : found.end() + 20]}…  write: {instead}"
        for words, instead in GONE.items()
        for found in re.finditer(rf"\b{words}(?!\w)", text, re.I)
    ]


@pytest.mark.parametrize("document", TEXTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_a_page_is_in_plain_words(document: Path) -> None:
    assert faults(document.read_text()) == []


@pytest.mark.parametrize(("name", "command"), [*commands()], ids=[name for name, _ in commands()])
def test_help_is_in_plain_words(name: str, command: click.Command) -> None:
    options = [param.help for param in command.params if isinstance(param, click.Option)]
    assert command.help, name
    assert all(options), f"every option of {name} has a help text"
    for text in (command.help, *map(str, options)):
        assert faults(text) == []


def test_the_list_and_the_reference_of_commands_are_in_plain_words() -> None:
    reference = runpy.run_path(str(ROOT / "scripts" / "command-reference"))["reference"]()
    assert all(f"## reconciler {name}\n" in reference for name in COMMANDS)
    assert faults(reference) == []
    assert [fault for summary in COMMANDS.values() for fault in faults(summary)] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(ROOT)))
def test_messages_are_in_plain_words(module: Path) -> None:
    assert [fault for text in literals(module) for fault in faults(text)] == []


def test_literals_are_texts_without_docstrings(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text(
        '"""Docs."""\nA = "one"\nB = f"two {A:>{3}} or {\'three\'}"\ndef f():\n    """Docs."""\n'
    )
    assert sorted(literals(module)) == ["one", "two … or …"]


def test_faults_are_found_in_prose_and_not_in_quotes() -> None:
    assert len(faults("Somebody loses the\nrecord.")) == 2
    assert faults("It prints `the record`:\n\n```text\nthe record\n```\n") == []
    assert faults("State is recorded. It records nobody-else's.") != []
    assert faults("The last recorded value.") == []
    assert len(faults("    the record\n\nthe record\n")) == 1
