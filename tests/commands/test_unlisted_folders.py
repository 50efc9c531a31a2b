"""A folder that this user may not list hides no pipeline: a command for all pipelines names it."""

import json
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.readonly import unlisted

ALL = [
    *(("list",), ("list", "--stale"), ("validate", "--all"), ("plan", "--all", "--exit-code")),
    *(
        ("drift", "--all"),
        ("drift", "--all", "--json", "-"),
        ("status", "--all"),
        ("apply", "--all", "--yes"),
    ),
    *(("deploy", "--all", "--yes"), ("destroy", "--all", "--yes")),
    *(("bump", "patch", "--all"), ("rollback", "--all", "--yes"), ("plan", "team/*")),
]


@pytest.fixture
def hidden(cli: Cli, sandbox: Sandbox) -> Path:
    """A folder with a pipeline, beside another one."""
    copy_example("dataset_cleanup", cli.folder / "team", sandbox.registry)
    copy_example("single_training", cli.folder / "other", sandbox.registry)
    (cli.folder / "reconciler.toml").write_text("[workspace]\nname = 'ours'\n")
    assert cli("apply", "--all", "--yes").code == 0
    sandbox.clear_requests()
    return cli.folder / "other"


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_all_pipelines_need_every_folder(
    command: tuple[str, ...], hidden: Path, cli: Cli, sandbox: Sandbox
) -> None:
    with unlisted(hidden):
        ended = cli(*command)

    assert ended.code in (1, 13), ended
    assert f"{hidden} cannot be searched for pipelines: Permission denied" in ended.err
    assert '[workspace] exclude = ["other/**"]' in ended.err
    assert sandbox.writes() == []


def test_a_pipeline_with_a_folder_that_cannot_be_listed_is_one_that_is_not_checked(
    hidden: Path, cli: Cli
) -> None:
    with unlisted(hidden / "single_training" / "utils"):
        ended = cli("drift", "--all")
    assert ended.code == 13, ended
    said = " ".join(ended.out.split())
    assert "1 pipeline in sync. 1 not checked. Not checked beside pipelines: 1 folder." in said


@pytest.mark.parametrize("count", [1, 2])
def test_each_pipeline_without_its_state_is_counted_once(
    count: int, hidden: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_STATE", str(hidden))
    ended = cli("drift", *(("--all",) if count == 2 else ("./other/single_training",)))
    assert ended.code == 13, ended
    said = " ".join(ended.out.split())
    assert f"0 pipelines in sync. {count} not checked." in said
    assert ("Not checked beside pipelines: the stacks without a folder." in said) == (count == 2)


BY_NAME = ("dataset_cleanup", "./other/single_training")
SELECTED = [("--all",), ("--group", "everything"), ("*", "team/*"), BY_NAME]
READS = {("drift",): 13, ("plan", "--exit-code"): 13, ("plan",): 1, ("status",): 1, ("list",): 1}


@pytest.mark.parametrize(
    ("place", "rights"), [("other", 0o000), ("other", 0o111), ("other/single_training", 0o444)]
)
@pytest.mark.parametrize("selected", SELECTED, ids=" ".join)
@pytest.mark.parametrize("command", READS, ids=" ".join)
def test_a_command_that_reads_reports_the_other_pipelines(
    command: tuple[str, ...], selected: tuple[str, ...], place: str, rights: int, hidden: Path, cli: Cli
) -> None:
    groups = "[groups]\neverything = ['**']\n"
    (cli.folder / "reconciler.toml").write_text(f"[workspace]\nname = 'ours'\n{groups}")
    with unlisted(cli.folder / place, rights):
        ended = cli(*command, *selected)

    assert "dataset_cleanup" in ended.out or "in sync" in ended.out
    if selected == BY_NAME and rights == 0o111:  # a path leads to the file, although nothing can be listed
        assert ended.code == 0, ended
        return
    assert ended.code == READS[command], ended
    searched = f"{cli.folder / place} cannot be searched for pipelines: Permission denied"
    read = "./other/single_training cannot be read: Permission denied"
    assert (read if selected == BY_NAME else searched) in ended.err


@pytest.mark.parametrize("globs", ["['team/**']", "['team/*']", "['*/data*']"])
def test_a_group_needs_only_the_folders_that_its_globs_may_match(globs: str, hidden: Path, cli: Cli) -> None:
    (cli.folder / "reconciler.toml").write_text(f"[workspace]\nname = 'ours'\n[groups]\nsome = {globs}\n")
    with unlisted(hidden):
        ended = cli("list", "--group", "some")
    assert ended.code == ("*/" in globs), ended
    assert "dataset_cleanup" in ended.out


def test_a_report_has_the_others_and_the_folder(hidden: Path, cli: Cli) -> None:
    with unlisted(hidden):
        ended = cli("drift", "--all", "--json", "-")
    report = json.loads(ended.out)
    assert [stack["stack"]["pipeline"] for stack in report["stacks"]] == ["dataset_cleanup"]
    assert list(report["failed"]) == ["the folder other"]


def test_the_stack_of_an_excluded_folder_is_no_orphan(hidden: Path, cli: Cli) -> None:
    (cli.folder / "reconciler.toml").write_text("[workspace]\nname = 'ours'\nexclude = ['other/**']\n")
    with unlisted(hidden):
        for command in (("drift", "--all"), ("plan", "--all"), ("status", "--all")):
            ended = cli(*command)
            assert ended.code == 0, ended
            assert "orphan" not in ended.out
        assert "not looked at, as other cannot be searched" in cli("drift", "--all").err


@pytest.mark.parametrize("name", ["nox/p3", "N" * 300, "./" + "N" * 300, "N" * 5000, "a/" * 3000], ids=len)
def test_a_name_that_cannot_be_read_hides_no_other(name: str, hidden: Path, cli: Cli) -> None:
    (cli.folder / "nox" / "p3").mkdir(parents=True)
    with unlisted(cli.folder / "nox"):
        ended = cli("drift", "dataset_cleanup", name)
    assert ended.code == 13, ended
    assert "1 pipeline in sync" in ended.out
    assert "the operating system reports" not in ended.err
    assert name[:40] in ended.err


@pytest.mark.parametrize(
    "rule", ['exclude = ["other/**"]', 'pipelines = ["team/**"]', 'exclude = ["**/other/**"]']
)
def test_one_that_the_workspace_excludes_does_not_matter(rule: str, hidden: Path, cli: Cli) -> None:
    (cli.folder / "reconciler.toml").write_text(f"[workspace]\nname = 'ours'\n{rule}\n")
    with unlisted(hidden):
        assert cli("list").code == 0
        assert cli("plan", "--all").code == 0
        assert cli("validate", "--all").code == 0


@pytest.mark.parametrize("rule", ['exclude = ["other"]', 'exclude = ["other/*"]', 'pipelines = ["*/*"]'])
def test_a_rule_for_other_folders_does_not_exclude_it(rule: str, hidden: Path, cli: Cli) -> None:
    (cli.folder / "reconciler.toml").write_text(f"[workspace]\nname = 'ours'\n{rule}\n")
    with unlisted(hidden):
        assert "cannot be searched for pipelines" in cli("list").err


def test_a_named_pipeline_needs_no_other_folder(hidden: Path, cli: Cli) -> None:
    with unlisted(hidden):
        assert cli("plan", "dataset_cleanup", "--exit-code").code == 0
        assert cli("drift", "team/dataset_cleanup").code == 0
