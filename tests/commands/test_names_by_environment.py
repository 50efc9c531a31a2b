"""A pipeline may have another name in each environment: a name is that of the one in use."""

import json
import shutil

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

KEPT, GONE, SHARED = "computed_inputs", "dataset_cleanup", "shared"
COMMANDS = ("plan", "drift", "status", "apply --yes", "deploy --yes", "destroy --yes", "rollback --yes")


@pytest.fixture
def renamed(cli: Cli, environments: Sandbox) -> Sandbox:
    """A pipeline called `shared` in LIVE only, and a stack called so in TEST, whose folder is deleted."""
    file = cli.folder / "reconciler.toml"
    file.write_text(f'[workspace]\nname = "shop"\n\n{file.read_text()}')
    for name, environment in ((KEPT, "LIVE"), (GONE, "TEST")):
        config = copy_example(name, cli.folder, environments.registry) / "config.toml"
        overlay = f'\n[reconciler.env.{environment}.metadata]\nname = "{SHARED}"\n'
        config.write_text(config.read_text() + overlay)
    for name, environment in ((KEPT, "TEST"), (KEPT, "LIVE"), (GONE, "TEST")):
        applied = cli("apply", name, "--env", environment, "--yes")
        assert applied.code == 0, applied.err
    shutil.rmtree(cli.folder / GONE)
    environments.clear_requests()
    return environments


def processings(sandbox: Sandbox, environment: str) -> list[str]:
    return sorted(one["name"] for one in sandbox.account(environment).platform.processings())


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [SHARED, f"{SHARED}*"])
def test_no_command_takes_a_pipeline_with_that_name_elsewhere(
    command: str, name: str, cli: Cli, renamed: Sandbox
) -> None:
    ended = cli(*command.split(), name, "--env", "TEST")

    assert ended.code in (1, 13), (ended.code, ended.out)
    assert f"no pipeline {'matches' if '*' in name else 'is called'} {name}" in ended.err
    assert renamed.writes() == []


@pytest.mark.parametrize("name", [SHARED, f"{SHARED}*", KEPT])
def test_it_has_its_name_in_its_environment(name: str, cli: Cli, renamed: Sandbox) -> None:
    ended = cli("plan", name, "--env", "LIVE")

    assert (ended.code, "Nothing to do" in ended.out) == (0, True), ended.err


def test_the_error_names_the_pipeline_that_has_the_name_elsewhere(cli: Cli, renamed: Sandbox) -> None:
    assert f"In TEST, {KEPT} has another name: give its path" in cli("plan", SHARED, "--env", "TEST").err


def test_the_stack_of_the_deleted_folder_is_destroyed_as_drift_says(cli: Cli, renamed: Sandbox) -> None:
    assert f"destroy --stack {SHARED}" in cli("drift", "--all", "--env", "TEST").out

    ended = cli("destroy", "--stack", SHARED, "--env", "TEST", "--yes")

    assert ended.code == 0, ended.err
    assert processings(renamed, "TEST") == [KEPT]
    assert cli("drift", "--all", "--env", "TEST").code == 0
    assert cli("drift", "--all", "--env", "LIVE").code == 0


def test_the_stack_of_a_folder_in_the_environment_is_kept(cli: Cli, renamed: Sandbox) -> None:
    ended = cli("destroy", "--stack", SHARED, "--env", "LIVE", "--yes")

    assert (ended.code, f"has a folder: {KEPT}" in ended.err) == (1, True)
    assert processings(renamed, "LIVE") == [SHARED]


def test_status_has_a_row_of_each_stack_with_its_own_folder(cli: Cli, renamed: Sandbox) -> None:
    ended = cli("status", "--all", "--env", "TEST", "--json")

    rows = json.loads(ended.out)["rows"]
    found = sorted((row["environment"].partition("@")[0], row["stack"], row["folder"]) for row in rows)
    assert found == [("my-org", SHARED, KEPT), ("my-test-org", KEPT, KEPT), ("my-test-org", SHARED, GONE)]


@pytest.mark.parametrize("environment", ["TEST", "LIVE"])
def test_a_folder_names_its_own_states(environment: str, cli: Cli, renamed: Sandbox) -> None:
    ended = cli("state", "show", f"./{KEPT}", "--env", environment, "--json")

    assert ended.code == 0, ended.err
    name = KEPT if environment == "TEST" else SHARED
    assert json.loads(ended.out)["stack"].endswith(f"/{name}")
