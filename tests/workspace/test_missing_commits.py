"""The advice for a missing commit: a command that is advised makes the same command succeed."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.workspace.test_changed import committed, git, pipeline

CLONES = {
    "shallow": ("--depth", "1"),
    "shallow of a branch": ("--depth", "1", "--branch", "topic"),
    "single branch": ("--single-branch", "--branch", "topic"),
    "full": (),
    "full without tags": ("--no-tags",),
}
HASH = "the first commit"
SHORT = "its short hash"
NEW = "0" * 40
REFERENCES = {
    "": "the remote has it",  # the merge base with the default branch
    "trunk": "the remote has it",
    "topic": "the remote has it",
    "origin/topic": "the remote has it",
    "origin/trunk": "the remote has it",
    "trunk~2": "the remote has it",
    "tagged": "the remote has it",
    "signed": "the remote has it",
    HASH: "the remote has it",
    SHORT: "whole hash",
    "HEAD^": "the remote has it",
    "HEAD~2": "the remote has it",
    "HEAD~50": "Name another commit",
    NEW: "Write --changed without a value",
    "unknown": "If the remote has the commit",
    "a b": "is written so",
    "topic..trunk": "is written so",
}
"""Value of `--changed` -> whether a clone can have it, else what the error says."""


@pytest.fixture(scope="module")
def remote(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two branches, tags, and a default branch of an unusual name."""
    folder = tmp_path_factory.mktemp("remote").resolve()
    git(folder, "init", "--quiet", "-b", "trunk")
    pipeline(folder / "app")
    for number in range(4):
        (folder / "app" / "pipeline.py").write_text(f"print({number})\n")
        committed(folder)
        if number == 1:
            git(folder, "tag", "tagged")
            git(folder, "tag", "--annotate", "--message", "signed", "signed")
    git(folder, "switch", "--quiet", "--create", "topic", "trunk~1")
    for number in range(2):
        (folder / "app" / "topic.py").write_text(f"print({number})\n")
        committed(folder)
    git(folder, "switch", "--quiet", "trunk")
    return folder


@pytest.mark.parametrize("has_head", [True, False], ids=["with origin/HEAD", "without"])
@pytest.mark.parametrize("clone", CLONES)
def test_an_advised_command_makes_the_same_command_succeed(
    clone: str, has_head: bool, remote: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = git(remote, "rev-parse", "trunk~3")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    for number, (reference, expected) in enumerate(REFERENCES.items()):
        value = {HASH: first, SHORT: first[:8]}.get(reference, reference)
        folder = tmp_path / f"clone {number}"
        git(tmp_path, "clone", "--quiet", *CLONES[clone], f"file://{remote}", str(folder))
        if not has_head:
            subprocess.run(["git", "remote", "set-head", "origin", "--delete"], cwd=folder, check=False)
        monkeypatch.chdir(folder)
        arguments = ("list", "--allow-empty", f"--changed={value}" if value else "--changed")
        ended = cli(*arguments)
        if ended.code == 0:
            assert expected in ("the remote has it", "whole hash"), (reference, ended)
            continue
        text = " ".join(ended.err.split())
        found = re.search(r"run: +(git .*?)(?: In GitHub Actions.*)?$", text, re.IGNORECASE)
        assert ended.code == 1 and (found is not None or expected in text), (reference, text)
        if found is None:
            assert expected != "the remote has it", (reference, text)
            continue
        ran = subprocess.run(found[1], shell=True, cwd=folder, capture_output=True, text=True, check=False)
        again = cli(*arguments)
        if expected == "the remote has it":
            assert (ran.returncode, again.code) == (0, 0), (reference, found[1], ran.stderr, again.err)
        else:
            assert re.search("If the (remote|history)", text), (reference, text)
            assert again.code == 1


def test_without_a_remote_no_command_is_advised(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    git(cli.folder, "init", "--quiet", "-b", "trunk")
    pipeline(cli.folder / "app")
    for reference in ("HEAD", "main", ""):
        assert "git " not in cli("list", f"--changed={reference}" if reference else "--changed").err
    committed(cli.folder)
    for reference in ("main", "", "HEAD^", "0123456789" * 4):
        ended = cli("list", f"--changed={reference}" if reference else "--changed")
        assert (ended.code, "git fetch" in ended.err, "git remote" in ended.err) == (1, False, False), ended
