"""A number that no store and no platform can have is refused as wrong usage."""

from collections.abc import Iterator

import click
import pytest

from providers.sandbox import Sandbox
from reconciler.cli import group
from reconciler.cli.options.param_types import WholeNumberType
from tests.conftest import Cli, copy_example

LARGE = ["9223372036854775808", "99999999999999999999", "1" + "0" * 300]
NAME = "dataset_cleanup"


def integers(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Parameter]]:
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from integers(found, f"{path} {name}")
    for parameter in command.params:
        if isinstance(parameter.type, click.IntRange | click.types.IntParamType):
            yield f"{path} {parameter.name}", parameter


def test_each_whole_number_has_a_limit() -> None:
    found = dict(integers(group))
    assert len(found) > 5
    unlimited = [
        name
        for name, parameter in found.items()
        if not isinstance(parameter.type, WholeNumberType) and getattr(parameter.type, "max", None) is None
    ]
    assert unlimited == []


@pytest.mark.parametrize("number", LARGE)
def test_a_large_number_is_wrong_usage(number: str, cli: Cli, sandbox: Sandbox) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    for command in (
        *(("state", "show", NAME, "--serial", number), ("state", "history", NAME, "--limit", number)),
        *(("state", "history", NAME, "--limit", number, "--saves"), ("state", "diff", NAME, "1", number)),
        *(("deploy", NAME, "--cpu", number), ("deploy", NAME, "--gpu", number)),
        *(("state", "diff", NAME, number, "1"), ("dashboard", "--out", "page", "--runs", number)),
    ):
        ended = cli(*command)
        assert (ended.code, "a bug in" in ended.err) == (2, False), (command, ended.err)
