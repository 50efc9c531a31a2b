"""A folder whose config.toml is there, and cannot be read as that of a pipeline, is not gone."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example, stack_of

NAME = "dataset_cleanup"
WORKSPACE = '[workspace]\nname = "shop"\n'


def _with(change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda file: (file.write_text(change(file.read_text())), None)[1]


def _instead(put: Callable[[Path], object]) -> Callable[[Path], None]:
    return lambda file: (file.unlink(), put(file), None)[2]


FOREIGN: dict[str, Callable[[Path], None]] = {
    "empty": _with(lambda _: ""),
    "spaces": _with(lambda _: "\n \n"),
    "comments": _with(lambda _: "# nothing\n"),
    "tables of another tool": _with(lambda _: '[params]\ntitle = "a"\n'),
    "only our own table": _with(lambda _: '[reconciler]\npin = "version"\n'),
    "misspelt tables": _with(
        lambda text: (
            text.replace("[metadata]", "[metadat]")
            .replace("[docker]", "[dockr]")
            .replace("[execution]", "[exec]")
        )
    ),
    "a folder": _instead(Path.mkdir),
}
"""What the search for pipelines passes over, unless the folder is known: it may be of another tool."""

UNREADABLE: dict[str, Callable[[Path], None]] = {
    **FOREIGN,
    "zeros": _with(lambda _: "\0\0\0"),
    "conflict": _with(lambda text: f"<<<<<<< HEAD\n{text}"),
    "half": _with(lambda text: text[: len(text) // 2] + '\nx = "'),
    "no metadata": _with(lambda text: text.replace("[metadata]", "[metadat]")),
    "no name": _with(lambda text: text.replace("\nname = ", "\nnam = ")),
    "no type": _with(lambda text: text.replace("\ntype = ", "\ntyp = ")),
    "a misspelt type": _with(lambda text: text.replace('\ntype = "', '\ntype = "X')),
    "UTF-16": lambda file: (file.write_text(file.read_text(), encoding="utf-16"), None)[1],
    "a link to nothing": _instead(lambda file: file.symlink_to("nothing")),
    "a link to itself": _instead(lambda file: file.symlink_to(file.name)),
    "a pipe": _instead(os.mkfifo),
}


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    """The folder of an applied pipeline that protects its processing, beside another pipeline."""
    (cli.folder / "reconciler.toml").write_text(WORKSPACE)
    copy_example("computed_inputs", cli.folder, sandbox.registry)
    found = copy_example(NAME, cli.folder, sandbox.registry)
    file = found / "config.toml"
    file.write_text(f'[reconciler]\nprotect = ["processing/{NAME}"]\n\n{file.read_text()}')
    applied = cli("apply", "--all", "--yes")
    assert applied.code == 0, applied.err
    sandbox.clear_requests()
    return found


BY_STACK = {
    "destroy": ("destroy", "--stack", NAME, "--yes"),
    "destroy by full name": ("destroy", "--stack", "FULL", "--yes"),
    "dry run": ("destroy", "--stack", NAME, "--dry-run"),
    "prune": ("destroy", "--stack", NAME, "--prune", "--yes"),
    "forget": ("state", "forget", "--stack", NAME, "--yes"),
}


def restored(folder: Path, content: str) -> None:
    """Write the files of a config.toml again, whatever is in its place."""
    file = folder / "config.toml"
    if file.is_dir():
        file.rmdir()
    file.unlink(missing_ok=True)
    file.write_text(content)


@pytest.mark.parametrize("command", BY_STACK)
def test_a_stack_is_not_without_a_folder_if_its_file_cannot_be_read(
    command: str, folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    file = folder / "config.toml"
    content = file.read_text()
    arguments = [stack_of(NAME) if word == "FULL" else word for word in BY_STACK[command]]
    for way, spoil in UNREADABLE.items():
        spoil(file)
        ended = cli(*arguments)
        assert (ended.code, sandbox.writes()) == (1, []), (way, ended)
        said = " ".join(ended.err.split())
        may = f"{NAME} may declare {stack_of(NAME)}, but its config.toml does not tell: it "
        assert may in said, way
        assert "remove its folder, and repeat the command" in said
        restored(folder, content)
    shutil.rmtree(folder)
    assert cli(*BY_STACK["forget"]).code == 0, "the way out"


def test_a_file_that_cannot_be_read_may_be_that_of_a_folder_that_moved(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    moved = folder.rename(folder.with_name("moved"))
    content = (moved / "config.toml").read_text()
    for way in UNREADABLE.keys() - FOREIGN.keys():
        UNREADABLE[way](moved / "config.toml")
        ended = cli("destroy", "--stack", NAME, "--yes")
        assert (ended.code, sandbox.writes()) == (1, []), (way, ended)
        assert f"moved may declare {stack_of(NAME)}" in " ".join(ended.err.split()), way
        restored(moved, content)


def test_the_file_of_another_stack_is_not_in_the_way(folder: Path, cli: Cli) -> None:
    (cli.folder / "computed_inputs" / "config.toml").write_text("x = [")
    shutil.rmtree(folder)
    assert cli("destroy", "--stack", NAME, "--yes").code == 0


@pytest.mark.parametrize("where", [".hidden", "node_modules/app"])
def test_a_folder_that_is_not_searched_is_not_gone(where: str, folder: Path, cli: Cli) -> None:
    place = cli.folder / where
    shutil.copytree(folder, place)
    shutil.rmtree(folder)
    assert cli("apply", f"./{where}", "--yes").code == 0
    ended = cli("destroy", "--stack", NAME, "--yes")
    assert (ended.code, f"has a folder: {where}" in ended.err) == (1, True), ended


def test_what_the_workspace_protects_is_protected_without_a_folder(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    toml = cli.folder / "reconciler.toml"
    toml.write_text(f'{WORKSPACE}[defaults]\nprotect = ["processing/{NAME}"]\n')
    shutil.rmtree(folder)
    for command in ("destroy", "destroy by full name", "dry run", "prune"):
        arguments = [stack_of(NAME) if word == "FULL" else word for word in BY_STACK[command]]
        ended = cli(*arguments)
        assert sandbox.writes() == []
        assert ended.code == (0 if command == "dry run" else 12), ended
        said = " ".join(f"{ended.out} {ended.err}".split())
        assert "delete it, but it is protected" in said
        assert "or in [defaults] of reconciler.toml" in said

    toml.write_text(WORKSPACE)
    assert cli(*BY_STACK["destroy"]).code == 0
