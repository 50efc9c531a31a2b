"""Without state, as for a colleague or after destroy, commands say why they know little, and what to run."""

import re
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import EXAMPLES, Cli, Ended, copy_example, stack_of

NAME = "dataset_cleanup"
COMMANDS = {
    "plan": ("plan", NAME),
    "drift": ("drift", NAME),
    "status": ("status", NAME),
    "rollback": ("rollback", NAME),
    "history": ("state", "history", NAME),
    "image": ("image", NAME),
}


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> Sandbox:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    return sandbox


@pytest.fixture
def colleague(applied: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user of the same repository and platform, whose state is on another machine."""
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "of-the-colleague.db"))


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_a_colleague_says_what_is_missing_and_what_to_run(
    cli: Cli, colleague: None, command: str
) -> None:
    ended = cli(*COMMANDS[command])
    text = ended.out + ended.err

    if command == "image":
        assert "none here, so the files that changed are unknown; the next apply records them" in text
        return
    assert f"there is no state of {NAME if command == 'history' else stack_of(NAME)}" in text
    assert "`reconciler whoami --explain` shows where this state is" in text
    assert command == "history" or "reconciler apply" in text
    assert ended.code == (1 if command in ("rollback", "history") else 0)


def test_after_an_apply_nothing_is_missing(cli: Cli, colleague: None, applied: Sandbox) -> None:
    applied.clear_requests()
    assert cli("apply", NAME).code == 0
    assert applied.writes() == [], "everything is as the files declare"
    for command in ("plan", "drift", "status"):
        assert "no state" not in cli(*COMMANDS[command]).err
    assert "in sync" in cli("status", NAME).out


def test_what_a_plan_takes_over_counts_the_changes(cli: Cli, colleague: None, applied: Sandbox) -> None:
    applied.platform.edit_processing(NAME, default_cpu=64)
    assert "Plan: 7 to adopt, 1 of them with changes." in cli("plan", NAME).out


@pytest.mark.parametrize("command", COMMANDS)
def test_after_destroy_each_command_says_so_or_shows_it(cli: Cli, applied: Sandbox, command: str) -> None:
    assert cli("destroy", NAME, "--yes").code == 0

    ended = cli(*COMMANDS[command])
    text = ended.out + ended.err

    match command:
        case "plan":
            assert f"the state of {stack_of(NAME)} is empty since" in ended.err
            assert ended.err.count("reconciler ") == ended.err.count("reconciler state history ") == 1
        case "status":
            assert f"{stack_of(NAME)} is destroyed" in text
        case "drift":
            assert "pending destroyed: 5 inputs and 1 processing to create" in text
        case "history":
            assert "reconciler destroy" in text
        case "image":
            assert "none here" in text
        case "rollback":
            assert ended.code == 0, "it brings the destroyed resources back"
            assert "create" in text


@pytest.mark.parametrize("is_destroyed", [False, True], ids=["never applied", "destroyed"])
@pytest.mark.parametrize("command", ["drift", "status"])
def test_a_pipeline_of_which_nothing_exists_is_one_row_with_one_command(
    cli: Cli, sandbox: Sandbox, command: str, is_destroyed: bool
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    if is_destroyed:
        assert cli("apply", NAME, "--yes").code == 0
        assert cli("destroy", NAME, "--yes").code == 0

    one_row_with_one_command(cli(command, NAME), is_destroyed)


@pytest.fixture
def refused(cli: Cli, sandbox: Sandbox) -> None:
    """The first apply failed, so there is a state, and nothing was ever in it."""
    copy_example(NAME, cli.folder, sandbox.registry)
    sandbox.fail("PUT", "/manifests/", 403)
    assert cli("apply", NAME, "--yes").code == 1
    sandbox.switch(faults=[])


@pytest.mark.parametrize(
    "command",
    [("plan",), ("plan", "--all"), ("drift",), ("status",), ("adopt",), ("destroy", "--yes"), ("rollback",)],
    ids=" ".join,
)
@pytest.mark.parametrize("runs", [1, 3])
def test_what_a_failed_first_apply_left_was_never_destroyed(
    cli: Cli, sandbox: Sandbox, refused: None, command: tuple[str, ...], runs: int
) -> None:
    for _ in range(1, runs):
        sandbox.fail("PUT", "/manifests/", 403)
        assert cli("apply", NAME, "--yes").code == 1
        sandbox.switch(faults=[])

    ended = cli(command[0], *([] if "--all" in command else [NAME]), *command[1:])

    text = ended.out + ended.err
    assert "destroyed" not in text and "is empty" not in text and "removed" not in text, text
    if command[0] in ("drift", "status", "destroy"):
        assert "never applied" in text


def test_a_destroy_of_what_was_never_applied_leaves_it_never_applied(
    cli: Cli, sandbox: Sandbox, refused: None
) -> None:
    for _ in range(2):
        assert "it was never applied, and nothing of it exists" in cli("destroy", NAME, "--yes").err
    one_row_with_one_command(cli("drift", NAME), is_destroyed=False)


@pytest.mark.parametrize("command", ["drift", "status"])
def test_what_was_destroyed_and_failed_to_come_back_is_destroyed(
    cli: Cli, sandbox: Sandbox, applied: Sandbox, command: str
) -> None:
    assert cli("destroy", NAME, "--yes").code == 0
    sandbox.fail("POST", "/processings$", 400)
    assert cli("apply", NAME, "--yes", "--target", f"processing/{NAME}").code == 1
    assert cli("state", "forget", NAME, f"image/{sandbox.registry}/examples/{NAME}", "--yes").code == 0

    one_row_with_one_command(cli(command, NAME), is_destroyed=True)


@pytest.mark.parametrize("is_destroyed", [False, True], ids=["never applied", "destroyed"])
@pytest.mark.parametrize("command", ["drift", "status"])
def test_the_image_that_another_environment_published_is_no_row_of_its_own(
    cli: Cli, environments: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str, is_destroyed: bool
) -> None:
    """The state of TEST is elsewhere, so the rows are those of LIVE."""
    copy_example(NAME, cli.folder, environments.registry)
    assert cli("apply", NAME, "--env", "TEST", "--yes").code == 0
    monkeypatch.delenv("TEST_TOKEN")
    monkeypatch.setenv("RECONCILER_STATE", str(cli.folder.parent / "of-LIVE.db"))
    if is_destroyed:
        assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
        assert cli("destroy", NAME, "--env", "LIVE", "--yes").code == 0

    one_row_with_one_command(cli(command, NAME, "--env", "LIVE"), is_destroyed)


def one_row_with_one_command(ended: Ended, is_destroyed: bool) -> None:
    text = ended.out + ended.err

    assert "destroyed" in ended.out if is_destroyed else "never applied" in ended.out
    assert re.findall(r"\breconciler (\w+)", text) == ["apply"]
    assert "state" not in text, "its state explains nothing that the row does not say"
    assert len(ended.out.splitlines()) <= 5


@pytest.mark.parametrize("command", ["drift", "status"])
def test_what_was_only_forgotten_still_exists_and_its_empty_state_is_explained(
    cli: Cli, applied: Sandbox, command: str
) -> None:
    assert cli("state", "forget", "--stack", NAME, "--yes").code == 0

    ended = cli(command, NAME)

    assert f"the state of {stack_of(NAME)} is empty" in ended.err
    assert "destroyed" not in ended.out and "never applied" not in ended.out


def test_the_first_plan_of_a_pipeline_needs_no_explanation(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    ended = cli("plan", NAME)
    assert ended.code == 0
    assert "no state" not in ended.err


@pytest.mark.parametrize("name", sorted(path.parent.name for path in EXAMPLES.glob("*/config.toml")))
def test_drift_of_a_pipeline_that_was_never_applied_is_one_row_with_one_command(
    name: str, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    if name != NAME:
        copy_example(name, cli.folder, sandbox.registry)

    ended = cli("drift", "--all")

    pipelines = 1 if name == NAME else 2
    assert ended.code == 10
    assert ended.out.count("pending never applied: ") == pipelines
    assert ended.out.count("reconciler apply ") == pipelines
    assert "--target" not in ended.out


def test_a_pipeline_of_which_something_exists_has_a_row_for_each_difference(
    cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes", "--target", f"processing/{NAME}").code == 0

    ended = cli("drift", NAME)

    assert "never applied" not in ended.out
    assert ended.out.count("--target") > 1


def test_without_state_what_exists_was_not_called_never_applied(cli: Cli, sandbox: Sandbox) -> None:
    """The objects are as the files have them, so the only difference is an input that was deleted outside."""
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    assert cli("state", "forget", "--stack", NAME, "--yes").code == 0
    (lost, *_) = sandbox.platform.inputs(NAME)
    sandbox.platform.delete_input(NAME, str(lost["name"]))

    for ended in (cli("drift", NAME), cli("status", NAME)):
        assert ended.code in (0, 10), ended.err
        assert "never applied" not in ended.out and "destroyed" not in ended.out, ended.out


@pytest.mark.parametrize("command", [("show",), ("history",), ("verify",)])
def test_an_emptied_stack_elsewhere_is_not_in_the_way(
    cli: Cli, applied: Sandbox, command: tuple[str, ...]
) -> None:
    """Of a target that has no login any more, and whose state was forgotten."""
    other = f"elsewhere@PROD/{NAME}"
    assert cli("state", "move", NAME, other).code == 0
    assert "elsewhere@PROD" in cli("status", "--all").out
    assert cli("state", "forget", "--stack", other, "--yes").code == 0
    assert cli("apply", NAME, "--yes").code == 0

    ended = cli("state", *command, NAME)
    assert ended.code == 0, ended.err
    status = cli("status", "--all")
    assert "elsewhere@PROD" not in status.out
    assert "no login" not in status.out


def test_status_of_nothing_has_no_header(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    (folder / "config.toml").write_text("[metadata\n")
    ended = cli("status", NAME)
    assert ended.code == 1
    assert "error" in ended.err
    assert ended.out == ""


def test_a_field_of_what_does_not_exist_yet_cannot_be_adopted(cli: Cli, sandbox: Sandbox) -> None:
    """The files set it, so that is not the reason."""
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)

    ended = cli("adopt", "dataset_cleanup", "processing/dataset_cleanup#description")

    said = " ".join(ended.err.split())
    assert ended.code == 1
    assert "processing/dataset_cleanup#description does not exist" in said
    assert "There is no live value to adopt. Create it with: reconciler apply dataset_cleanup" in said
    assert "do not set" not in said
