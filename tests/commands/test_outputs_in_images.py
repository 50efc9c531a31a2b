"""Files that a command writes into the build context of a pipeline change its image, which is said."""

import re
from collections.abc import Iterator

import click
import pytest

from reconciler.cli import group
from tests.commands import folders
from tests.conftest import Cli

WARNING = "is in the build context of a pipeline"
REFUSAL = "would become part of the image"
INPUTS = {"--plan", "--baseline", "--python", "--reports"}
NO_DOCUMENT = {("sandbox", "--folder")}  # the data of a server


def _commands(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _commands(found, *path, name)


def _outputs() -> Iterator[tuple[str, ...]]:
    """Every way to name a file that a command writes, as its arguments before the file."""
    for path, command in _commands(group):
        for option in command.params:
            if not isinstance(option, click.Option):
                continue
            name = option.opts[-1]
            if option.metavar == "FORMAT[=FILE]":
                formats = re.findall(r"\w+", (option.help or "").split(" to FILE")[0].removeprefix("Write "))
                yield from ((*path, "-o", f"{format_}=") for format_ in set(formats) - {"or"})
            elif name in INPUTS or (*path, name) in NO_DOCUMENT:
                continue
            elif isinstance(option.type, click.Path) or "FILE" in (option.metavar or ""):
                yield (*path, name, "")


OUTPUTS = sorted(_outputs())


def test_there_are_outputs_of_each_form() -> None:
    assert {("apply", "--json", ""), ("graph", "-o", "svg="), ("drift", "--write-baseline", "")} <= {*OUTPUTS}
    assert {("apply", "-o", "ndjson="), ("dashboard", "--out", ""), ("plan", "--out", "")} <= {*OUTPUTS}


@pytest.mark.parametrize("place", ["app/out.toml", "app/runs/out.toml", "out.toml"])
@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_every_output_in_a_build_context_is_a_warning_or_refused(
    output: tuple[str, ...], place: str, cli: Cli
) -> None:
    app = folders.processing(cli.folder / "app", "reg.io/team/app")
    (app / ".dockerignore").write_text("runs\n")
    (app / "runs").mkdir()
    *command, option, prefix = output

    ended = cli(*command, option, f"{prefix}{place}", "no/such/pipeline")
    is_refused = option in ("--events", "--out") or prefix == "ndjson="
    expected = REFUSAL if is_refused and command != ["dashboard"] else WARNING
    assert (expected in " ".join(ended.err.split())) is (place == "app/out.toml"), ended.err
    assert not (app / "out.toml").exists() or command != ["apply"]
