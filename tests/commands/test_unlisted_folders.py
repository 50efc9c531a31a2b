"""A folder that this user may not list hides no pipeline: whoever asks for all pipelines is told."""

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
    assert cli("apply", "--all", "--yes").code == 0
    sandbox.clear_requests()
    return cli.folder / "other"


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_all_pipelines_need_every_folder(
    command: tuple[str, ...], hidden: Path, cli: Cli, sandbox: Sandbox
) -> None:
    with unlisted(hidden):
        ended = cli(*command)

    assert ended.code == 1, ended
    assert f"{hidden} cannot be searched for pipelines: Permission denied" in ended.err
    assert '[workspace] exclude = ["other/**"]' in ended.err
    assert sandbox.writes() == []


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
