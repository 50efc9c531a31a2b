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
    return _applied(cli, sandbox, cli.folder)


def _applied(cli: Cli, sandbox: Sandbox, parent: Path) -> Path:
    copy_example("computed_inputs", cli.folder, sandbox.registry)
    found = copy_example(NAME, parent, sandbox.registry)
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


def test_the_file_of_another_stack_keeps_what_it_may_declare(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    """It is the folder of another stack, but a row may have moved into it."""
    other = cli.folder / "computed_inputs" / "config.toml"
    content = other.read_text()
    other.write_text("x = [")
    shutil.rmtree(folder)

    ended = cli("destroy", "--stack", NAME, "--yes")

    assert (ended.code, sandbox.writes()) == (12, [])
    assert "Correct or delete config.toml there first" in ended.err
    other.write_text(content)
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


def _moved_out(folder: Path, to: Path) -> None:
    folder.symlink_to(folder.rename(to / "elsewhere"))


def _linked(folder: Path) -> None:
    _moved_out(folder, folder.parents[2])


def _linked_above(folder: Path) -> None:
    _moved_out(folder.parent, folder.parents[2])


def _virtual_environment(folder: Path) -> None:
    (folder / "pyvenv.cfg").touch()


def _virtual_environment_above(folder: Path) -> None:
    (folder.parent / "pyvenv.cfg").touch()


PLACES: dict[str, Callable[[Path], None]] = {
    "the folder is a link": _linked,
    "a folder above is a link": _linked_above,
    "the folder is a virtual environment": _virtual_environment,
    "a folder above is a virtual environment": _virtual_environment_above,
}
"""Ways in which a folder with a valid config.toml leaves the search for pipelines."""

ALL: dict[str, tuple[str, ...]] = {
    "list": ("list",),
    "list of a type": ("list", "--type", "PRE_ANNOTATION"),
    "list as JSON": ("list", "--json"),
    "validate": ("validate", "--all"),
    "plan": ("plan", "--all"),
    "plan with its code": ("plan", "--all", "--exit-code"),
    "plan of a glob": ("plan", "team/*", "--exit-code"),
    "plan of a name": ("plan", "dataset_*", "--exit-code"),
    "plan of a group": ("plan", "--group", "everything", "--exit-code"),
    "drift": ("drift", "--all"),
    "drift of a group": ("drift", "--group", "everything"),
    "drift as JSON": ("drift", "--all", "--json", "-"),
    "drift and unmanaged": ("drift", "--all", "--unmanaged"),
    "status": ("status", "--all"),
    "status offline": ("status", "--all", "--offline"),
    "matrix": ("status", "--all", "--matrix"),
    "bump": ("bump", "patch", "--all", "--dry-run"),
    "graph": ("graph", "--all"),
    "apply": ("apply", "--all", "--yes"),
    "deploy": ("deploy", "--all", "--yes"),
    "rollback": ("rollback", "--all", "--yes"),
    "destroy": ("destroy", "--all", "--yes"),
}


@pytest.fixture
def below(cli: Cli, sandbox: Sandbox) -> Path:
    """As `folder`, below another folder."""
    (cli.folder / "reconciler.toml").write_text(f'{WORKSPACE}[groups]\neverything = ["**"]\n')
    (cli.folder / "team").mkdir()
    return _applied(cli, sandbox, cli.folder / "team")


@pytest.mark.parametrize("command", ALL)
def test_each_command_says_what_it_says_of_a_file_that_is_no_toml(
    command: str, below: Path, cli: Cli
) -> None:
    """The state knows the folder, so its config.toml is not one of another tool."""
    file, content = below / "config.toml", (below / "config.toml").read_text()
    kept = shutil.copytree(cli.folder / "team", cli.folder.parent / "kept")

    def again() -> None:
        for place in (below, below.parent, cli.folder.parent / "elsewhere"):
            if place.is_symlink():
                place.unlink()
            elif place.exists():
                shutil.rmtree(place)
        shutil.copytree(kept, below.parent)

    foreign, places = list(FOREIGN), list(PLACES)
    if command not in ("drift", "list"):  # each command finds them alike
        foreign, places = foreign[:1], places[:1]
    file.write_text("x = [")
    expected = cli(*ALL[command]).code
    assert expected in ({0} if command.startswith("list") else {1, 13})
    restored(below, content)
    for way in foreign:
        FOREIGN[way](file)
        ended = cli(*ALL[command])
        assert ended.code == expected, (way, ended)
        assert str(file) in ended.err.replace("\n", "") or "config.toml" in ended.err, (way, ended)
        again()
    for way in places:
        PLACES[way](below)
        ended = cli(*ALL[command])
        assert ended.code == (expected or 1), (way, ended)
        said = " ".join(ended.err.split())
        assert f"team/{NAME} is not searched for pipelines: " in said, (way, ended)
        assert f"The state has {stack_of(NAME)}, which was applied from there" in said, (way, ended)
        again()


def test_a_folder_is_passed_over_for_a_stated_reason(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    """It is excluded, or no stack was applied from there."""
    file = folder / "config.toml"
    file.write_text("")
    toml = cli.folder / "reconciler.toml"
    toml.write_text(f'{WORKSPACE}exclude = ["{NAME}"]\n')
    assert cli("drift", "--all").code == 0
    toml.write_text(WORKSPACE)
    assert cli("drift", "--all").code == 13

    (cli.folder / "site").mkdir()
    (cli.folder / "site" / "config.toml").write_text('[params]\ntitle = "a"\n')
    file.unlink()
    ended = cli("drift", "--all")
    assert (ended.code, "config.toml" in ended.err) == (11, False), ended


def test_a_folder_of_a_destroyed_stack_may_be_that_of_another_tool(folder: Path, cli: Cli) -> None:
    file = folder / "config.toml"
    file.write_text(file.read_text().replace(f'protect = ["processing/{NAME}"]', ""))
    assert cli("destroy", f"./{NAME}", "--yes").code == 0
    file.write_text("")
    ended = cli("drift", "--all")
    assert (ended.code, "config.toml" in ended.err) == (0, False), ended


def test_the_only_pipeline_is_no_orphan_and_not_missing(folder: Path, cli: Cli) -> None:
    shutil.rmtree(cli.folder / "computed_inputs")
    assert cli("state", "forget", "--stack", "computed_inputs", "--yes").code == 0
    (folder / "config.toml").write_text("")
    for command in ("drift", "plan", "status", "validate"):
        ended = cli(command, "--all")
        assert ended.code in (1, 13)
        assert "[metadata] is missing" in ended.err, command
