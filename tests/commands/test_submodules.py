"""A folder that git has and that is not checked out is no orphan, in every sort of checkout."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = '[workspace]\nname = "shop"\n'
OWN = "computed_inputs"


def git(where: Path, *arguments: str) -> None:
    settings = ("protocol.file.allow=always", "user.name=ada", "user.email=ada@example.com")
    options = [word for setting in settings for word in ("-c", setting)]
    subprocess.run(["git", *options, *arguments], cwd=where, check=True, capture_output=True)


def clone(source: Path, target: Path) -> None:
    git(source.parent, "clone", str(source), str(target))


def worktree(source: Path, target: Path) -> None:
    git(source, "worktree", "add", "--detach", str(target))


def sparse(source: Path, target: Path) -> None:
    git(source.parent, "clone", "--no-checkout", str(source), str(target))
    git(target, "sparse-checkout", "set", OWN)
    git(target, "checkout")


def sparse_and_removed(source: Path, target: Path) -> None:
    sparse(source, target)
    shutil.rmtree(target / "lib", ignore_errors=True)


def nested(source: Path, target: Path) -> None:
    """The submodule is checked out, and the one in it is not."""
    clone(source, target)
    git(target, "submodule", "update", "--init")


def with_submodule(folder: Path, pipeline: str, registry: str, *, below: Path | None = None) -> Path:
    """A repository with a pipeline, and with the repository `below` as a submodule."""
    folder.mkdir()
    git(folder, "init")
    config = copy_example(OWN, folder, registry).rename(folder / pipeline) / "config.toml"
    config.write_text(config.read_text().replace(OWN, pipeline))
    if below is not None:
        git(folder, "submodule", "add", str(below), "lib/sub")
        git(folder, "submodule", "update", "--init", "--recursive")
    git(folder, "add", ".")
    git(folder, "commit", "-m", "Add a pipeline")
    return folder


@pytest.fixture
def origin(cli: Cli, sandbox: Sandbox) -> Path:
    """A workspace with a pipeline of its own, one in a submodule, and one in a submodule of that."""
    where = cli.folder.parent
    inner = with_submodule(where / "inner", "inner_inputs", sandbox.registry)
    middle = with_submodule(where / "middle", "middle_inputs", sandbox.registry, below=inner)
    top = with_submodule(where / "top", OWN, sandbox.registry, below=middle)
    (top / "reconciler.toml").write_text(NAME)
    git(top, "add", ".")
    git(top, "commit", "-m", "Name the workspace")
    return top


@pytest.mark.parametrize("checkout", [clone, worktree, sparse, sparse_and_removed, nested])
def test_a_submodule_that_is_not_checked_out_has_no_orphans(
    cli: Cli, origin: Path, checkout: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(origin)
    applied = cli("apply", "--all", "--yes")
    assert (applied.code, "3 applied" in applied.out) == (0, True), applied.err
    target = origin.parent / "elsewhere"
    assert callable(checkout)
    checkout(origin, target)
    monkeypatch.chdir(target)
    assert not os.path.lexists(target / "lib" / "sub" / "lib" / "sub" / "inner_inputs")
    for arguments in (("drift", "--all"), ("status", "--all", "--offline"), ("plan", "--all")):
        ended = cli(*arguments)
        assert (ended.code, "orphan" in ended.out, "no longer" in ended.err) == (0, False, False), ended
        submodule = "lib/sub/lib/sub" if checkout is nested else "lib/sub"
        says = f"git submodule update --init {submodule}\n" in ended.err
        assert says == (checkout in (clone, worktree, nested)), ended.err


def test_a_submodule_that_is_removed_has_orphans(
    cli: Cli, origin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(origin)
    assert cli("apply", "--all", "--yes").code == 0
    git(origin, "rm", "-f", "lib/sub")
    shutil.rmtree(origin / "lib", ignore_errors=True)
    ended = cli("drift", "--all")
    assert (ended.code, ended.out.count("is gone")) == (11, 2), ended


@pytest.mark.parametrize("command", ["plan", "apply", "drift", "destroy"])
@pytest.mark.parametrize("checkout", [clone, worktree, sparse, sparse_and_removed])
def test_a_folder_that_is_not_checked_out_keeps_its_state(
    cli: Cli, sandbox: Sandbox, origin: Path, checkout: object, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another folder that has the name of its stack now does not get it."""
    monkeypatch.chdir(origin)
    assert cli("apply", "--all", "--yes").code == 0
    target = origin.parent / "elsewhere"
    assert callable(checkout)
    checkout(origin, target)
    monkeypatch.chdir(target)
    with (target / OWN / "config.toml").open("a") as file:
        file.write('\n[reconciler]\nstack = "middle_inputs"\n')
    sandbox.clear_requests()

    ended = cli(command, OWN, *(["--yes"] if command in ("apply", "destroy") else []))

    assert ended.code not in (0, 10, 11)
    assert "is that of lib/sub/middle_inputs, which is not checked out" in " ".join(ended.err.split())
    assert sandbox.writes() == []
