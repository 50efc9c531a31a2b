"""In a pipeline's folder, no command needs the name of the pipeline or of its stack."""

from pathlib import Path

import click
import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.test_words import commands

NAMED = ("PIPELINE", "STACK")
TYPED: dict[str, tuple[str, ...]] = {
    "plan": (),
    "apply": (),
    "deploy": (),
    "promote": ("--from", "TEST", "--to", "LIVE"),
    "rollback": (),
    "status": (),
    "drift": (),
    "adopt": ("processing/dataset_cleanup#default_cpu",),
    "graph": (),
    "destroy": ("--yes",),
    "image": (),
    "contract": ("1.0.0",),
    "list": (),
    "validate": (),
    "bump": ("patch",),
    "state show": (),
    "state history": (),
    "state diff": ("1", "2"),
    "state forget": ("input/dataset_cleanup/dataset", "--yes"),
    "state unlock": (),
    "state verify": (),
}
"""The arguments of each command that works on a pipeline, without its name."""


def with_name(command: click.Command) -> bool:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    return any(
        name in argument.make_metavar(click.Context(command)) for argument in arguments for name in NAMED
    )


def test_each_command_on_a_pipeline_has_a_case() -> None:
    named = {name.removeprefix("reconciler ") for name, command in commands() if with_name(command)}
    assert named == {*TYPED}


@pytest.fixture
def inside(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a pipeline that was applied, beside another one; the user is in it."""
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    copy_example("computed_inputs", cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("command", sorted({*TYPED} - {"promote", "rollback"}))
def test_no_command_needs_a_name_in_the_folder_of_a_pipeline(
    command: str, inside: Path, cli: Cli, sandbox: Sandbox
) -> None:
    ended = cli(*command.split(), *TYPED[command])

    assert ended.code == 0, ended.err
    assert "computed_inputs" not in ended.out + ended.err


def test_rollback_and_promote_need_no_name(inside: Path, cli: Cli, sandbox: Sandbox) -> None:
    ended = cli("rollback")
    assert ended.code == 1
    assert "dataset_cleanup" in ended.err, "it finds the pipeline, which has no earlier state"
    ended = cli("promote", "--from", "STAGING", "--to", "CUSTOM")
    assert ended.code == 1
    assert "name a pipeline" not in ended.err


@pytest.mark.parametrize("command", sorted({*TYPED} - {"list"}))
def test_elsewhere_the_error_says_how_to_select_one(command: str, cli: Cli, sandbox: Sandbox) -> None:
    arguments = TYPED[command]
    if command in ("adopt", "contract", "promote"):
        arguments = ("--from", "STAGING", "--to", "CUSTOM") if command == "promote" else ()
    ended = cli(*command.split(), *arguments)
    assert ended.code == 2
    assert "name a pipeline" in ended.err


def test_the_name_of_another_pipeline_still_counts(inside: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert "computed_inputs" in cli("contract", "../computed_inputs").out
    assert "computed_inputs" in cli("state", "show", "computed_inputs").out
    assert cli("state", "unlock", "sandbox@nowhere/other").out == "sandbox@nowhere/other was not locked\n"


def test_a_short_name_unlocks_the_stack_that_it_stands_for(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    (stack,) = cli("state", "list").out.split()
    assert cli("state", "unlock", "dataset_cleanup").out == f"{stack} was not locked\n"
    ended = cli("state", "unlock", "dataset_cleanpu")
    assert (ended.code, "there is no state of dataset_cleanpu" in ended.err) == (1, True)
