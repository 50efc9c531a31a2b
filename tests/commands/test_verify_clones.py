"""`image --verify` in a clone that is shallow, and after the pipeline's folder was renamed."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands.test_provenance import committed, git
from tests.commands.test_statements import NAME
from tests.commands.test_verify_image import repository, temporary, verify
from tests.conftest import Cli

__all__ = ["repository", "temporary"]


def later_commit(folder: Path) -> None:
    (folder / "NOTES.md").write_text("a later commit\n")
    committed(folder)


def test_a_shallow_clone_is_told_from_a_wrong_statement_and_how_to_deepen_it(
    repository: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    assert cli("apply", NAME).code == 0
    later_commit(repository)
    git(repository, "clone", "--quiet", "--bare", ".", str(tmp_path / "origin.git"))
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{tmp_path}/origin.git", "shallow")
    shutil.rmtree(repository / ".git")
    (tmp_path / "shallow" / ".git").rename(repository / ".git")

    found = verify(cli, 13)

    assert found["result"] == "unknown-commit"
    command = shlex.split(found["way_out"].partition(": ")[2])
    assert command[:2] == ["git", "-C"] and "fetch" in command
    subprocess.run(command, cwd=repository, check=True, capture_output=True)
    assert verify(cli, 0)["result"] == "verified"


@pytest.mark.parametrize("is_committed", [False, True])
def test_a_folder_that_was_renamed_is_read_where_it_was(
    is_committed: bool, repository: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", NAME).code == 0
    git(repository, "mv", f"pipelines/{NAME}", "pipelines/renamed")
    if is_committed:
        committed(repository)

    assert verify(cli, 0)["result"] == "verified"
