"""Stacks that no folder declares: found at the top of their workspace, destroyed and forgotten without it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from providers.sandbox import Sandbox
from tests.commands.test_dashboard import data
from tests.conftest import Cli, copy_example, stack_of, training

NAME = '[workspace]\nname = "shop"\n'


@pytest.fixture
def orphan(cli: Cli, sandbox: Sandbox) -> str:
    """The stack of a pipeline that was applied and deleted, beside one that still has its folder."""
    (cli.folder / "reconciler.toml").write_text(NAME)
    for name in ("dataset_cleanup", "computed_inputs"):
        copy_example(name, cli.folder, sandbox.registry)
    applied = cli("apply", "--all", "--yes")
    assert applied.code == 0, applied.err
    shutil.rmtree(cli.folder / "dataset_cleanup")
    sandbox.clear_requests()
    return stack_of("dataset_cleanup")


def test_every_output_has_it_with_its_code_and_the_ways_out(cli: Cli, sandbox: Sandbox, orphan: str) -> None:
    files = [cli.folder.parent / f"report.{name}" for name in ("json", "junit", "markdown", "html")]
    ended = cli("drift", "--all", *(w for f in files for w in (f"--{f.suffix[1:]}", str(f))))
    assert (ended.code, "orphaned processing/dataset_cleanup" in ended.out) == (11, True)
    document = json.loads(files[0].read_text())
    [stack] = [one for one in document["stacks"] if one["findings"]]
    [finding] = stack["findings"]
    assert (stack["stack"]["name"], stack["stack"]["folder"]) == ("dataset_cleanup", "dataset_cleanup")
    assert (finding["class"], finding["reason_code"]) == ("orphaned", "orphaned")
    assert finding["reason_details"] == {"folder": "dataset_cleanup", "resources": 7}
    assert stack["last_apply"]["by"]
    assert finding["put_back"].startswith("reconciler destroy --stack dataset_cleanup ")
    assert finding["take_over"] == f"reconciler state forget --stack {orphan}"
    suite = ET.fromstring(files[1].read_text()).find(f"testsuite[@name='{orphan}']")
    assert suite is not None
    assert [failure.get("type") for failure in suite.findall("testcase/failure")] == ["orphaned"]
    for text in (ended.out, *(file.read_text() for file in files[1:])):
        assert "reconciler destroy --stack dataset_cleanup" in " ".join(text.split())
    assert cli("drift", "merge", str(files[0])).code == 11
    again = json.loads(cli("drift", "--all", "--json", "-").out)
    assert again["stacks"][-1]["findings"][0]["id"] == finding["id"]
    assert sandbox.writes() == []


def test_the_last_apply_has_the_commit_with_its_folder(cli: Cli, sandbox: Sandbox) -> None:
    """Not a change of the state alone since, nor a destroy that failed: that commit lacks the folder."""

    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@shop.example")
        ended = subprocess.run(
            ["git", *identity, *arguments], cwd=cli.folder, check=True, capture_output=True, text=True
        )
        return ended.stdout.strip()

    def commit() -> str:
        document = json.loads(cli("drift", "--all", "--json", "-").out)
        [found] = [
            one["last_apply"] for one in document["stacks"] if one["stack"]["name"] == "dataset_cleanup"
        ]
        return str(found["git_commit"])

    git("init", "-q")
    (cli.folder / "reconciler.toml").write_text(NAME)
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    git("add", ".")
    git("commit", "-qm", "a pipeline")
    assert cli("apply", "--all", "--yes").code == 0
    applied = git("rev-parse", "HEAD")
    shutil.rmtree(cli.folder / "dataset_cleanup")
    git("commit", "-qam", "it is gone")
    assert commit() == applied
    stack = stack_of("dataset_cleanup")
    assert cli("state", "forget", stack, "input/dataset_cleanup/archive", "--yes").code == 0
    assert commit() == applied
    sandbox.fail("DELETE", "/inputs/", 403, times=None)
    assert cli("destroy", "--stack", "dataset_cleanup", "--yes").code == 1
    sandbox.switch(faults=[])
    assert commit() == applied
    assert cli("state", "forget", stack, "input/dataset_cleanup/report_title", "--yes").code == 0
    assert commit() == applied
    git("checkout", "-q", applied, "--", "dataset_cleanup")
    assert cli("plan", "dataset_cleanup").code == 0


def test_status_shows_it_offline_too_and_keeps_its_exit_code(cli: Cli, orphan: str) -> None:
    for arguments in ((), ("--offline",)):
        ended = cli("status", "--all", "--json", *arguments)
        rows = {row["stack"]: row for row in json.loads(ended.out)["rows"]}
        assert ended.code == 0
        assert rows["dataset_cleanup"]["drift_code"] == "orphaned"
        assert rows["dataset_cleanup"]["folder"] == "dataset_cleanup"
        assert rows["dataset_cleanup"]["version"] == "1.0.0"
        assert rows["dataset_cleanup"]["files_version"] is None
        assert rows["computed_inputs"]["drift_code"] != "orphaned"
    assert orphan in cli("plan", "--all").err


def test_they_are_found_in_every_store(cli: Cli, sandbox: Sandbox, state: str) -> None:
    (cli.folder / "reconciler.toml").write_text(NAME)
    for name in ("dataset_cleanup", "computed_inputs"):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "other"\n')
    shutil.rmtree(cli.folder / "dataset_cleanup")
    assert "orphaned" not in cli("status", "--all", "--offline").out, "it is a stack of another workspace"
    (cli.folder / "reconciler.toml").write_text(NAME)
    found = cli("drift", "--all")
    assert (found.code, found.out.count("orphaned processing/dataset_cleanup")) == (11, 1)
    row = json.loads(cli("status", "--all", "--offline", "--json").out)["rows"][-1]
    assert (row["stack"], row["drift_code"], row["version"]) == ("dataset_cleanup", "orphaned", "1.0.0")
    assert cli("destroy", "--stack", "dataset_cleanup", "--yes").code == 0
    assert cli("drift", "--all").code == 0


def test_each_orphan_is_in_one_shard(cli: Cli, orphan: str) -> None:
    counts = [
        sum(
            finding["class"] == "orphaned"
            for stack in json.loads(cli("drift", "--all", "--shard", f"{k}/3", "--json", "-").out)["stacks"]
            for finding in stack["findings"]
        )
        for k in (1, 2, 3)
    ]
    assert sorted(counts) == [0, 0, 1]


def test_without_a_name_of_the_workspace_there_are_none(cli: Cli, sandbox: Sandbox) -> None:
    """Nothing then shows that the stack is not one of another repository."""
    for name in ("dataset_cleanup", "computed_inputs"):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    quiet = [cli(command, "--all").err for command in ("plan", "drift", "status")]
    assert "orphans" not in "".join(quiet), "nothing was missed"

    (cli.folder / "dataset_cleanup").rename(cli.folder / "moved")
    assert "orphans" not in cli("drift", "--all").err, "a folder that moved still declares its stack"

    shutil.rmtree(cli.folder / "moved")
    for command in ("plan", "drift", "status"):
        ended = cli(command, "--all")
        assert ended.code == 0
        said = " ".join(ended.err.split())
        assert "orphans were not looked for, as the workspace has no name" in said
        assert f"no folder here declares {stack_of('dataset_cleanup')}" in said
        assert said.count("orphans were not looked for") == 1

    shutil.rmtree(cli.folder / "computed_inputs")
    assert "no folder here declares" in " ".join(cli("status", "--all").err.split()), "also if none is left"


def test_a_destroyed_stack_is_not_named_as_one_that_may_be_left(cli: Cli, sandbox: Sandbox) -> None:
    for name in ("dataset_cleanup", "computed_inputs"):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    assert cli("destroy", "dataset_cleanup", "--yes").code == 0
    shutil.rmtree(cli.folder / "dataset_cleanup")
    assert "orphans" not in cli("status", "--all").err


def test_the_dashboard_says_why_it_has_no_orphans(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
    copy_example("computed_inputs", cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0

    def unknown() -> str:
        assert cli("dashboard", "--out", str(tmp_path / "site")).code == 0
        found: str = data(tmp_path / "site", "organization")["orphans_unknown"]
        return found

    assert unknown() == (
        "the workspace has no name: neither a git remote, nor [workspace] name in reconciler.toml"
    )
    (cli.folder / "reconciler.toml").write_text(NAME)
    assert unknown() == ""


def test_destroy_by_stack_deletes_what_the_state_has_and_asks_first(
    cli: Cli, sandbox: Sandbox, orphan: str
) -> None:
    refused = cli("destroy", "--stack", "dataset_cleanup")
    assert (refused.code, sandbox.writes()) == (12, [])
    ended = cli("destroy", "--stack", orphan, "--yes")
    assert ended.code == 0, ended.err
    assert [write["method"] for write in sandbox.writes()].count("DELETE") == 6
    assert cli("drift", "--all").code == 0
    again = cli("destroy", "--stack", orphan, "--yes")
    assert (again.code, "already destroyed" in again.err) == (0, True)


def test_destroy_by_stack_keeps_what_another_stack_claims(cli: Cli, sandbox: Sandbox) -> None:
    (cli.folder / "reconciler.toml").write_text(NAME)
    training(cli.folder / "clip", "clip", sandbox.registry)
    training(cli.folder / "dino", "dino", sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    config = cli.folder / "dino" / "config.toml"
    config.write_text(config.read_text().replace('"dino"', '"clip"'))
    taken = cli("apply", "dino", "--take", "model-version/clip/v1", "--yes")
    assert taken.code == 0, taken.err
    shutil.rmtree(cli.folder / "clip")
    sandbox.clear_requests()
    ended = cli("destroy", "--stack", f"{sandbox.registry}/team/training-clip", "--prune", "--yes")
    assert ended.code == 0, ended.err
    assert sandbox.writes() == []
    assert cli("plan", "dino", "--exit-code").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("destroy", "--stack", "dataset_cleanu"), 1, "Did you mean 'dataset_cleanup'?"),
        (("state", "forget", "--stack", "dataset_cleanu"), 1, "Did you mean 'dataset_cleanup'?"),
        (("destroy", "--stack", "computed_inputs"), 1, "reconciler destroy computed_inputs"),
        (("destroy", "--stack", "other@PROD/x"), 1, "no stack"),
        (("destroy",), 2, "name a pipeline"),
        (("destroy", "computed_inputs", "--stack", "x"), 2, "--stack STACK"),
        (("state", "forget"), 2, "--stack STACK"),
        (("state", "forget", "dataset_cleanup"), 2, "--stack STACK"),
        (("state", "forget", "a", "processing/a", "--stack", "b"), 2, "--stack STACK"),
    ],
)
def test_bad_input(
    cli: Cli, sandbox: Sandbox, orphan: str, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ended = cli(*arguments, "--yes")
    assert (ended.code, says in " ".join(ended.err.split())) == (code, True), ended.err
    assert sandbox.writes() == []


def test_forget_empties_the_state_and_frees_the_resources(cli: Cli, sandbox: Sandbox, orphan: str) -> None:
    document = json.loads(cli("state", "forget", "--stack", orphan, "--yes", "--json").out)
    assert (document["stack"], len(document["addresses"])) == (orphan, 7)
    assert orphan not in cli("state", "claims").out
    assert cli("drift", "--all").code == 0
    assert sandbox.writes() == []
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0, "the resources are adopted again"
    assert {write["method"] for write in sandbox.writes() if "/api/" in write["path"]} <= set()


def test_a_moved_stack_is_no_orphan_after_state_move(cli: Cli, orphan: str, sandbox: Sandbox) -> None:
    new = f"{stack_of('')}cleanup"
    assert cli("state", "move", orphan, new).code == 0
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('name = "dataset_cleanup"', 'name = "cleanup"'))
    folder.rename(Path(cli.folder / "elsewhere"))
    ended = cli("drift", "--all", "--json", "-")
    assert "orphaned" not in ended.out
    assert ended.code == 10


def test_they_are_reported_when_no_pipeline_is_left(cli: Cli, sandbox: Sandbox, orphan: str) -> None:
    """The last folder takes the selection with it, not the report."""
    shutil.rmtree(cli.folder / "computed_inputs")
    found = cli("drift", "--all")
    assert (found.code, found.out.count("orphaned processing/")) == (11, 2)
    assert [cli("drift", "--all", "--shard", f"{k}/2").code for k in (1, 2)].count(11) > 0
    for arguments in (("status",), ("status", "--offline"), ("plan",), ("plan", "--exit-code")):
        ended = cli(arguments[0], "--all", *arguments[1:])
        assert (ended.code, orphan in ended.err) == (0, True), (arguments, ended.err)
    assert cli("status", "--all").out.count("orphaned") == 2
    assert (cli("plan", "--all", "--out", str(cli.folder.parent / "plan.json")).code) == 2
    below = cli.folder / "below"
    below.mkdir()
    os.chdir(below)
    assert "there is no pipeline" in cli("drift", "--all").err, "only the top has all of the workspace"
    os.chdir(cli.folder)
    for name in ("dataset_cleanup", "computed_inputs"):
        assert cli("state", "forget", "--stack", name, "--yes").code == 0
    for command in ("drift", "status", "plan", "apply"):
        ended = cli(command, "--all")
        assert (ended.code, "there is no pipeline" in ended.err) == (1, True), command
    assert sandbox.writes() == []


@pytest.mark.parametrize("key", ["name", "stack", "image"])
def test_a_folder_that_declares_another_stack_with_state_leaves_the_old_one(
    cli: Cli, sandbox: Sandbox, key: str
) -> None:
    """The old state cannot follow the folder, as the new stack has state of its own."""
    (cli.folder / "reconciler.toml").write_text(NAME)
    if key == "image":
        folder, other = (training(cli.folder / name, name, sandbox.registry) for name in ("clip", "dino"))
        old, new = (f"{sandbox.registry}/team/training-{name}" for name in ("clip", "dino"))
        before, after = "training-clip", "training-dino"
    else:
        folder = copy_example("computed_inputs", cli.folder, sandbox.registry)
        other = Path(shutil.copytree(folder, cli.folder / "other"))
        config = other / "config.toml"
        config.write_text(config.read_text().replace("computed_inputs", "other"))
        old, new = "computed_inputs", "other"
        before = "[metadata]" if key == "stack" else 'name = "computed_inputs"'
        after = '[reconciler]\nstack = "other"\n[metadata]' if key == "stack" else 'name = "other"'
    assert cli("apply", "--all", "--yes").code == 0
    shutil.rmtree(other)
    config = folder / "config.toml"
    assert before in config.read_text()
    config.write_text(config.read_text().replace(before, after))
    sandbox.clear_requests()
    ended = cli("drift", "--all")
    assert ended.code in (11, 12), ended.err
    assert f"its folder {folder.name} now declares {new}" in " ".join(ended.out.split())
    rows = {
        row["stack"]: row for row in json.loads(cli("status", "--all", "--json", "--offline").out)["rows"]
    }
    assert (rows[old]["drift_code"], rows[new]["drift_code"]) == ("orphaned", "not-requested")
    assert f"now declares {new}" in rows[old]["drift"]
    assert f"/{old}" in cli("plan", "--all").err
    assert sandbox.writes() == []
    if key == "stack":  # the processing has its name in these files
        assert cli("destroy", "--stack", old, "--yes").code == 12
        assert cli("state", "forget", "--stack", old, "--yes").code == 0
    else:
        assert cli("destroy", "--stack", old, "--yes").code == 0
    assert "orphaned" not in cli("status", "--all", "--offline").out


def test_a_name_that_changes_for_one_environment_leaves_a_stack_there_only(
    cli: Cli, sandbox: Sandbox
) -> None:
    (cli.folder / "reconciler.toml").write_text(NAME)
    folder = copy_example("computed_inputs", cli.folder, sandbox.registry)
    assert cli("apply", folder.name, "--yes").code == 0
    config = folder / "config.toml"
    text = config.read_text()
    config.write_text(f'{text}\n[reconciler.env.CUSTOM.metadata]\nname = "other"\n')
    assert "orphaned" not in cli("drift", "--all").out, "its state follows the folder"
    config.write_text(text)
    assert cli("drift", "--all").code == 0
    config.write_text(f'{text}\n[reconciler.env.CUSTOM.reconciler]\nstack = "other"\n')
    assert cli("apply", folder.name, "--yes").code == 0
    config.write_text(f'{text}\n[reconciler.env.PROD.reconciler]\nstack = "third"\n')
    assert "orphaned" not in cli("drift", "--all").out, "PROD is another environment"
