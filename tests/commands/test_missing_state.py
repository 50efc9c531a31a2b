"""Without state, as for a colleague or after destroy, commands say why they know little, and what to run."""

from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import EXAMPLES, Cli, copy_example, stack_of

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
            assert "reconciler apply" in ended.err and "reconciler state history" in ended.err
        case "status":
            assert f"the state of {stack_of(NAME)} is empty" in text
            assert "there is no state" not in text
        case "drift":
            assert f"there is no state of {stack_of(NAME)}" in text
            assert "last applied" not in text
        case "history":
            assert "reconciler destroy" in text
        case "image":
            assert "none here" in text
        case "rollback":
            assert ended.code == 0, "it brings the destroyed resources back"
            assert "create" in text


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


def test_destroy_of_a_pipeline_that_was_never_applied_has_nothing_to_do(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    ended = cli("destroy", NAME, "--yes")
    assert ended.code == 1
    assert "If it was never applied, there is nothing to do." in ended.err
    assert "If its state was lost, this adds what exists to the state again" in ended.err
    assert sandbox.writes() == []


def test_status_of_nothing_has_no_header(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    (folder / "config.toml").write_text("[metadata\n")
    ended = cli("status", NAME)
    assert ended.code == 1
    assert "error" in ended.err
    assert ended.out == ""
