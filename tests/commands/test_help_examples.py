"""Each --help has an example, and each example is a line that the command accepts."""

import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

from reconciler.cli import group
from tests.test_words import commands

EVERY = dict(commands())


def examples(command: click.Command) -> list[str]:
    """The lines below `Example:` or `Examples:` in the help of a command."""
    block = re.search(r"^Examples?:\n((?: +\S.*\n?)+)", inspect.cleandoc(command.help or ""), re.M)
    return [line.strip() for line in block[1].splitlines()] if block else []


@pytest.mark.parametrize("name", EVERY)
def test_the_help_has_an_example_that_the_command_accepts(name: str, workplace: Path, home: Path) -> None:
    found = examples(EVERY[name])
    assert found, f"{name} --help has no example"
    (workplace / "reports").mkdir()
    for line in found:
        typed = re.search(r"reconciler [^|>)]*", line)  # without what the shell does with its output
        assert typed, line
        words = shlex.split(typed[0])
        assert " ".join(words).startswith(name), line
        if name in ("reconciler", "reconciler state"):
            _, command, rest = parsed(words)
        else:
            command, rest = EVERY[name], words[len(name.split()) :]
        with command.make_context(command.name, rest) as context:
            assert context.params.keys() >= {param.name for param in command.params if param.expose_value}


def parsed(words: list[str]) -> tuple[str, click.Command, list[str]]:
    """The command of a line of a group, and the arguments that remain."""
    names = [name for name in EVERY if " ".join(words).startswith(f"{name} ") or " ".join(words) == name]
    name = max(names, key=len)
    assert EVERY[name] is not group
    return name, EVERY[name], words[len(name.split()) :]
