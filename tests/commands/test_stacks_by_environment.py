"""A pipeline has a stack in each environment: options and names of environments select one of them."""

import json
from pathlib import Path

import click
import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox
from reconciler import api
from state.stores.sqlite import SqliteStore
from tests.commands.test_own_folder import with_name
from tests.conftest import Cli, copy_example
from tests.state.conftest import counting
from tests.test_words import commands

PLACES = {"TEST": "my-test-org@test.example.com", "LIVE": "my-org@live.example.com:8443"}
NAME = "counter"
TRAINING = "picsellia/training"
LIVE, TEST = (f"{PLACES[name]}/{NAME}" for name in ("LIVE", "TEST"))
ONE_STACK = {
    "show": (),
    "history": (),
    "diff": ("1", "2"),
    "forget": ("processing/app", "--yes"),
    "unlock": (),
    "verify": (),
}
"""The arguments of each command for one stack, after its name."""


@pytest.fixture
def stacks(cli: Cli, home: Path) -> Path:
    """A workspace with two environments, and the state of a pipeline and of a training in both."""
    split = {name: scope.split("@") for name, scope in PLACES.items()}
    (cli.folder / "reconciler.toml").write_text(
        "".join(
            f'[environments.{name}]\nhost = "https://{host}"\norganization = "{organization}"\n'
            for name, (organization, host) in split.items()
        )
    )
    path = home.parent / "state.db"
    with SqliteStore(path) as store:
        for scope in PLACES.values():
            for name in (NAME, TRAINING):
                saved = replace(counting(4), stack=f"{scope}/{name}", lineage=f"{scope}/{name}")
                for serial in (0, 1):
                    store.save(replace(saved, serial=serial), expected_serial=serial, lock=None)
    return path


def test_every_command_for_a_stack_selects_by_environment() -> None:
    for name, command in commands():
        options = {option for param in command.params for option in param.opts}
        takes_stack = name.startswith("reconciler state") and (
            with_name(command) or "FROM" in metavars(command)
        )
        if (takes_stack and not name.endswith("copy")) or name in (
            "reconciler graph",
            "reconciler state list",
            "reconciler state claims",
        ):
            assert {"--env", "--organization"} <= options, name


def metavars(command: click.Command) -> list[str]:
    context = click.Context(command)
    return [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]


@pytest.mark.parametrize("command", ONE_STACK)
@pytest.mark.parametrize(
    "selected",
    [
        [NAME, "--env", "live"],
        [NAME, "--organization", "my-org"],
        [f"LIVE/{NAME}"],
        [f"live/{NAME}"],
        [f"my-org@LIVE/{NAME}"],
        [LIVE],
        [LIVE, "--env", "LIVE"],
    ],
    ids=" ".join,
)
def test_one_of_the_stacks_is_selected(command: str, selected: list[str], stacks: Path, cli: Cli) -> None:
    name, *options = selected
    ended = cli("state", command, name, *ONE_STACK[command], *options, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["stack"] == LIVE


@pytest.mark.parametrize("name", [f"LIVE/{TRAINING}", f"my-org@LIVE/{TRAINING}"])
def test_a_name_with_a_slash_is_found_in_its_environment(name: str, stacks: Path, cli: Cli) -> None:
    assert json.loads(cli("state", "show", name, "--json").out)["stack"] == f"{PLACES['LIVE']}/{TRAINING}"


def test_an_ambiguous_name_lists_the_stacks_and_the_options(stacks: Path, cli: Cli) -> None:
    ended = cli("state", "show", NAME)
    assert ended.code == 1
    assert f"{NAME} has several stacks: {LIVE}, {TEST}" in ended.err
    assert "Select one with --env LIVE or --env TEST, or by its name: LIVE/counter" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["LIVE/nothing"],
        ["nothing", "--env", "LIVE"],
        ["my-org@TEST/counter"],
    ],
    ids=" ".join,
)
def test_what_is_not_there_lists_what_is(arguments: list[str], stacks: Path, cli: Cli) -> None:
    ended = cli("state", "show", *arguments)
    assert ended.code == 1
    assert f"there is no state of {arguments[0]}" in ended.err
    assert LIVE in ended.err
    assert "Did you mean 'counter'" not in ended.err


def test_an_unknown_environment_in_a_name_is_suggested(stacks: Path, cli: Cli) -> None:
    ended = cli("state", "show", f"LIFE/{NAME}")
    assert (ended.code, f"Did you mean 'LIVE/{NAME}'?" in ended.err) == (1, True), ended.err


def test_the_lists_are_those_of_an_environment(stacks: Path, cli: Cli) -> None:
    assert cli("state", "list", "--env", "LIVE").out.split() == [LIVE, f"{PLACES['LIVE']}/{TRAINING}"]
    assert cli("state", "list", "--organization", "my-test-org").out.split()[0] == TEST
    for scope in ("LIVE", "my-org@LIVE", PLACES["LIVE"]):
        rebuilt = json.loads(cli("state", "claims", "--rebuild", scope, "--json").out)
        assert [one["scope"] for one in rebuilt["scopes"]] == [PLACES["LIVE"]]
    listed = json.loads(cli("state", "claims", "--env", "LIVE", "--json").out)
    assert [one["scope"] for one in listed["scopes"]] == [PLACES["LIVE"]]


@pytest.mark.parametrize("scope", ["LIFE", "my-org@LIFE", "my-org@nowhere.example"])
def test_claims_of_an_unknown_scope_are_not_rebuilt(scope: str, stacks: Path, cli: Cli) -> None:
    ended = cli("state", "claims", "--rebuild", scope)
    assert (ended.code, f"there is no state of {scope}" in ended.err) == (1, True), ended
    assert PLACES["LIVE"] in ended.err


def test_a_stack_is_moved_and_forgotten_by_the_names_of_its_environment(stacks: Path, cli: Cli) -> None:
    moved = cli("state", "move", f"TEST/{NAME}", "TEST/renamed")
    assert moved.out == f"renamed {TEST} to {PLACES['TEST']}/renamed; the resources themselves stay\n", moved
    assert cli("state", "move", NAME, "my-org@LIVE/other", "--env", "LIVE").code == 0
    assert cli("state", "list").out.split()[0] == f"{PLACES['LIVE']}/other"
    forgotten = cli("state", "forget", "--stack", "LIVE/other", "--yes")
    assert f"the state of {PLACES['LIVE']}/other is empty" in forgotten.out, forgotten.err
    forgotten = cli("state", "forget", "--stack", TRAINING, "--env", "TEST", "--yes")
    assert f"the state of {PLACES['TEST']}/{TRAINING} is empty" in forgotten.out, forgotten.err


def test_a_stack_without_state_is_unlocked_by_the_name_of_its_environment(stacks: Path, cli: Cli) -> None:
    assert cli("state", "unlock", "my-org@LIVE/other").out == f"{PLACES['LIVE']}/other was not locked\n"


def test_a_folder_of_that_path_comes_first(stacks: Path, cli: Cli) -> None:
    (cli.folder / "live").mkdir()
    folder = copy_example("dataset_cleanup", cli.folder / "live", "localhost:1")
    config = folder / "config.toml"
    config.write_text(f'{config.read_text()}\n[reconciler]\nstack = "{TRAINING}"\n')
    folder.rename(folder.with_name(NAME))
    ended = cli("state", "show", f"live/{NAME}", "--env", "TEST", "--json")
    assert json.loads(ended.out)["stack"] == f"{PLACES['TEST']}/{TRAINING}"


def test_python_selects_by_environment(stacks: Path, cli: Cli) -> None:
    with api.Workspace.open(cli.folder).open_state() as state:
        with pytest.raises(api.UserError, match=f"{NAME} has several stacks: {LIVE}, {TEST}"):
            state.runs(NAME)
        assert state.stack(NAME, environment="LIVE") == state.stack(f"LIVE/{NAME}") == LIVE
        assert state.version(NAME, organization="my-org").stack == LIVE
        assert len(state.runs(NAME, environment="live")) == len(state.runs(LIVE))
        assert state.stacks(environment="TEST") == [TEST, f"{PLACES['TEST']}/{TRAINING}"]
        with pytest.raises(api.UserError, match="'NOWHERE' is not an environment"):
            state.runs(NAME, environment="NOWHERE")


def test_a_graph_has_the_values_of_its_environment(cli: Cli, environments: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, environments.registry)
    config = folder / "config.toml"
    config.write_text(config.read_text() + '\n[reconciler.env.LIVE.docker]\nimage_name = "live/of-its-own"\n')
    assert "live/of-its-own" in cli("graph", "dataset_cleanup", "--env", "LIVE").out
    assert "live/of-its-own" not in cli("graph", "dataset_cleanup").out
    for env in ("LIVE", "TEST"):
        assert ("live/of-its-own" in cli("graph", "--all", "--env", env).out) == (env == "LIVE")


def test_a_stack_without_a_folder_is_destroyed_by_the_name_of_its_environment(
    cli: Cli, environments: Sandbox
) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, environments.registry)
    for env in ("TEST", "LIVE"):
        assert cli("apply", "--all", "--env", env, "--yes").code == 0
    folder.rename(cli.folder.parent / "gone")

    ended = cli("destroy", "--stack", "my-org@LIVE/dataset_cleanup", "--yes")

    assert ended.code == 0, ended.err
    left = {
        env: [one["name"] for one in environments.account(env).platform.processings()]
        for env in ("TEST", "LIVE")
    }
    assert left == {"TEST": ["dataset_cleanup"], "LIVE": []}
