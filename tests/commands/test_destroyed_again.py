"""`destroy` of what is destroyed already, or was never applied, does nothing and succeeds."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example, stack_of

APP = "dataset_cleanup"
TRAINING = "single_training"
WAYS = {
    "one": ("destroy", APP),
    "one with --yes": ("destroy", APP, "--yes"),
    "one with its models": ("destroy", APP, "--prune"),
    "by names": ("destroy", APP, TRAINING),
    "all": ("destroy", "--all", "--yes"),
    "shown": ("destroy", "--all", "--dry-run"),
}
DONE = "it is already destroyed"
NEVER = "it was never applied, and nothing of it exists"


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> Sandbox:
    for name in (APP, TRAINING):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    return sandbox


def destroyed(cli: Cli, sandbox: Sandbox) -> None:
    ended = cli("destroy", "--all", "--yes")
    assert ended.code == 0, ended.err
    sandbox.clear_requests()


@pytest.mark.parametrize("way", WAYS)
def test_a_second_destroy_does_nothing_and_succeeds(way: str, cli: Cli, applied: Sandbox) -> None:
    destroyed(cli, applied)
    history = cli("state", "history", stack_of(APP)).out

    again = cli(*WAYS[way])

    assert again.code == 0, again.err
    assert DONE in again.err
    assert applied.writes() == []
    assert cli("state", "history", stack_of(APP)).out == history


def test_every_report_counts_them_as_unchanged(cli: Cli, applied: Sandbox) -> None:
    destroyed(cli, applied)

    ended = cli("destroy", "--all", "-o", "json=run.json", "-o", "junit=run.xml")

    assert ended.code == 0
    assert "Done: 2 unchanged" in ended.out
    report = json.loads((cli.folder / "run.json").read_text())
    assert [run["result"] for run in report["pipelines"]] == ["unchanged", "unchanged"]
    suite = ElementTree.parse(cli.folder / "run.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "0", "0")


def test_what_was_never_applied_is_no_error_if_nothing_of_it_exists(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    for arguments in (("destroy", APP), ("destroy", "--all")):
        ended = cli(*arguments)
        assert ended.code == 0
        assert NEVER in ended.err and "whoami --explain" in ended.err
    assert sandbox.writes() == []


@pytest.mark.parametrize("lost", ["no state", "an empty state"])
def test_what_exists_without_being_in_the_state_is_an_error(
    lost: str, cli: Cli, applied: Sandbox, tmp_path: Path
) -> None:
    """It may have been applied elsewhere, so it is neither deleted nor called destroyed."""
    if lost == "no state":
        (tmp_path / "state.db").unlink()
    else:
        assert cli("state", "forget", "--stack", stack_of(APP), "--yes").code == 0
    applied.clear_requests()

    ended = cli("destroy", APP, "--yes")

    assert ended.code == 1
    assert f"processing/{APP}" in ended.err and "reconciler apply" in ended.err
    assert DONE not in ended.err
    assert applied.writes() == []


def test_one_that_was_created_again_by_another_tool_is_not_called_destroyed(
    cli: Cli, applied: Sandbox
) -> None:
    destroyed(cli, applied)
    applied.platform.create_processing(APP)

    ended = cli("destroy", APP, "--yes")

    assert ended.code == 1
    assert f"processing/{APP} exists on the platform" in ended.err


def test_an_unreachable_platform_is_no_success(cli: Cli, applied: Sandbox) -> None:
    destroyed(cli, applied)
    applied.fail("GET", "/api/.*processing.*", 503, times=None)
    applied.clear_requests()

    ended = cli("destroy", APP, "--yes")

    assert ended.code in (1, 13)
    assert DONE not in ended.err


def test_a_stack_without_folder_is_destroyed_once(cli: Cli, applied: Sandbox) -> None:
    shutil.rmtree(cli.folder / APP)
    for said in ("", DONE):
        ended = cli("destroy", "--stack", APP, "--yes")
        assert ended.code == 0, ended.err
        assert said in ended.err
    assert [one["name"] for one in applied.platform.processings()] == []
