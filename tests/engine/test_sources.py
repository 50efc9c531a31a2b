"""The workspace and the folder that a stack is applied from, as the register keeps them."""

import subprocess
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.system.git import Repository, remote_name
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/org/repository",
        "https://github.com/org/repository.git",
        "https://github.com/org/repository.git/",
        "https://github.com:443/org/repository",
        "https://user:ghp_0123@GitHub.com/org/repository.git",
        "https://x-access-token:ghp_0123@github.com/org/repository?token=1#main",
        "git@github.com:org/repository.git",
        "github.com:org/repository",
        "ssh://git@github.com/org/repository.git",
        "ssh://git@github.com:22/org/repository.git",
        "git://github.com/org/repository",
        "  https://github.com/org/repository\n",
    ],
)
def test_a_remote_has_one_name_for_all_protocols_and_logins(url: str) -> None:
    assert remote_name(url) == "github.com/org/repository"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://git.example.com:8443/org/repository", "git.example.com:8443/org/repository"),
        ("https://github.com/Org/Repository", "github.com/Org/Repository"),
        ("/srv/git/repository.git", "/srv/git/repository"),
        ("file:///srv/git/repository.git", "/srv/git/repository"),
        ("../repository", "../repository"),
        ("C:/repository", "C:/repository"),
        ("", ""),
    ],
)
def test_what_differs_has_another_name(url: str, name: str) -> None:
    assert remote_name(url) == name


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_the_remote_is_origin_or_else_the_first_one(tmp_path: Path) -> None:
    git(tmp_path, "init")
    repository = Repository(tmp_path)
    assert repository.remote() == ""
    git(tmp_path, "remote", "add", "upstream", "https://example.com/upstream.git")
    assert repository.remote() == "example.com/upstream"
    git(tmp_path, "remote", "add", "origin", "git@example.com:origin.git")
    assert repository.remote() == "example.com/origin"
    git(tmp_path, "config", "url.https://elsewhere.example.com/.insteadOf", "git@example.com:")
    assert repository.remote() == "example.com/origin"


@pytest.mark.parametrize(
    ("toml", "workspace", "folder"),
    [
        (None, "example.com/team/repository", "pipelines/dataset_cleanup"),
        ('[workspace]\nname = "vision"\n', "vision", "dataset_cleanup"),
    ],
)
def test_an_apply_records_where_the_stack_comes_from(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, toml: str | None, workspace: str, folder: str
) -> None:
    """From the root of the workspace: the folder of reconciler.toml, or of the repository."""
    git(cli.folder, "init")
    git(cli.folder, "remote", "add", "origin", "https://user:secret@example.com/team/repository.git")
    (cli.folder / "pipelines").mkdir()
    if toml is not None:
        (cli.folder / "pipelines" / "reconciler.toml").write_text(toml)
    copy_example("dataset_cleanup", cli.folder / "pipelines", sandbox.registry)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cli.folder / "pipelines")
        assert cli("apply", "dataset_cleanup", "--yes").code == 0
    with open_store(str(tmp_path / "state.db")) as store:
        register = store.load_register(stack_of("").rstrip("/"))
    assert register is not None
    (source,) = register.stacks.values()
    assert (source.workspace, source.folder) == (workspace, folder)
