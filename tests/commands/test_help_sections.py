"""The help of a command with many options has them in sections, each option once."""

import re

import click
import pytest

from reconciler.cli.options.sections import MANY, OTHERS, SECTIONS
from reconciler.cli.reference import every_command
from tests.conftest import Cli

CONTEXTS = {context.command_path: context for context in every_command()}


def options(context: click.Context) -> list[str]:
    """The longest name of each option that the help has."""
    params = context.command.get_params(context)
    found = [one for one in params if isinstance(one, click.Option) and not one.hidden]
    return sorted(max(one.opts, key=len) for one in found)


@pytest.mark.parametrize("name", CONTEXTS)
def test_each_option_is_in_the_help_once_and_few_have_no_section(name: str) -> None:
    context = CONTEXTS[name]
    text = context.command.get_help(context)
    parts = re.split(r"(?m)^(\S.*):$", text)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    in_sections = {
        heading: re.findall(r"(?m)^  (?:-\w, )?(--[a-z-]+)", body)
        for heading, body in sections.items()
        if heading in (OTHERS, *SECTIONS)
    }
    assert sorted(option for found in in_sections.values() for option in found) == options(context)
    if len(options(context)) >= MANY:
        assert len(in_sections) > 3
        assert len(in_sections.get(OTHERS, ())) <= 8
    else:
        assert [*in_sections] == [OTHERS]


def test_each_option_of_a_section_exists() -> None:
    known = {
        name
        for context in CONTEXTS.values()
        for one in context.command.get_params(context)
        for name in (*one.opts, *one.secondary_opts)
    }
    assert {name for names in SECTIONS.values() for name in names} <= known


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("help", "--help"),
        ("help apply", "apply --help"),
        ("help state list", "state list --help"),
        ("-V", "--version"),
    ],
)
def test_what_other_tools_have_works_too(typed: str, meant: str, cli: Cli) -> None:
    ended = cli(*typed.split())
    assert (ended.code, ended.out) == (0, cli(*meant.split()).out)


def test_help_for_an_unknown_command_suggests_one(cli: Cli) -> None:
    ended = cli("help", "statsu")
    assert ended.code == 2
    assert "there is no command 'statsu'. Did you mean 'status'?" in ended.err
