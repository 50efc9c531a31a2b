"""Nothing is deleted that the files of another pipeline of the workspace declare, or may declare."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from reconciler.workspace.discovery import documents_in
from reconciler.workspace.schema import Workspace
from tests.conftest import Cli, copy_example, training

ROW = """
[[model_versions]]
origin_name = "clip"
name = "{}"
framework = "PYTORCH"
inference_type = "CLASSIFICATION"
"""


def row(folder: Path, *versions: str) -> None:
    """Give a training these versions of the model `clip`, and no others."""
    config = folder / "config.toml"
    parts = re.split(r"(?m)^(?=\[)", config.read_text())
    others = [part for part in parts if not part.startswith(("[model_version", "[[model_versions"))]
    config.write_text("".join([*others, *map(ROW.format, versions)]))


def one_line(text: str) -> str:
    return " ".join(text.split())


def write(text: str) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda _: text)


def replace(before: str, after: str) -> Callable[[Path], None]:
    return lambda folder: change(folder, lambda text: text.replace(before, after))


def change(folder: Path, edit: Callable[[str], str]) -> None:
    config = folder / "config.toml"
    text = config.read_text()
    assert edit(text) != text
    config.write_text(edit(text))


def no_class(folder: Path) -> None:
    shutil.rmtree(folder / "utils")


def no_file_but_a_folder(folder: Path) -> None:
    (folder / "config.toml").unlink()
    (folder / "config.toml").mkdir()


def no_file_but_a_broken_link(folder: Path) -> None:
    (folder / "config.toml").unlink()
    (folder / "config.toml").symlink_to("nowhere")


DECLARING: dict[str, Callable[[Path], None]] = {
    "valid": lambda _: None,
    "class missing": no_class,
    "version": replace('version = "1.0"', 'version = "abc"'),
    "name of the pipeline": replace('name = "training"', "name = 3"),
    "image": replace("image_name", "image_nane"),
    "row of another field": replace('framework = "PYTORCH"', 'framework = "NONE"'),
    "unknown table": lambda folder: change(folder, lambda text: text + "[reconciler]\nfoo = 1\n"),
}
"""What may be wrong with a file that says what it declares."""
UNKNOWN: dict[str, Callable[[Path], None]] = {
    "conflict": lambda folder: change(folder, lambda text: "<<<<<<< HEAD\n" + text),
    "empty": write(""),
    "comment": write("# later\n"),
    "no metadata": lambda folder: change(folder, lambda text: text[text.index("[execution]") :]),
    "type": replace('type = "TRAINING"', 'type = "TRAINNG"'),
    "no rows": lambda folder: change(folder, lambda text: text.replace("[[model_versions]]", "[[versions]]")),
    "a nameless row": replace('name = "v2"', 'nmae = "v2"'),
    "own table only": write("[reconciler]\n"),
    "folder": no_file_but_a_folder,
    "broken link": no_file_but_a_broken_link,
}
"""What may be wrong with a file that does not say what it declares."""


@pytest.fixture
def moved(cli: Cli, sandbox: Sandbox) -> Path:
    """The folder of the second training, which a model version of the first one moved to."""
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    for name, versions in (("one", ("v1", "v2")), ("two", ("w",))):
        row(training(cli.folder / name, name, sandbox.registry), *versions)
        applied = cli("apply", f"./{name}", "--yes")
        assert applied.code == 0, applied.err
    row(cli.folder / "one", "v1")
    row(cli.folder / "two", "w", "v2")
    return cli.folder / "two"


def versions(sandbox: Sandbox) -> dict[str, str]:
    return {one["name"]: one["id"] for one in sandbox.platform.versions("clip")}


@pytest.mark.parametrize("way", [*DECLARING, *UNKNOWN])
def test_nothing_is_deleted_that_any_file_of_the_workspace_may_declare(
    moved: Path, cli: Cli, sandbox: Sandbox, way: str
) -> None:
    before = versions(sandbox)
    (DECLARING | UNKNOWN)[way](moved)

    refused = cli("apply", "./one", "--prune", "--yes")

    assert refused.code != 0
    assert versions(sandbox) == before
    declares = "would be deleted, but the files of two declare it"
    may = "would be deleted, but two may declare it: its config.toml does not say"
    assert (declares if way in DECLARING else may) in one_line(refused.err)
    assert "two/config.toml" in one_line(refused.err)


COMMANDS: dict[str, list[tuple[str, ...]]] = {
    "all": [("apply", "--all", "--prune", "--yes")],
    "deploy": [("deploy", "./one", "--prune", "--yes")],
    "shards": [("apply", "--all", "--shard", f"{number}/2", "--prune", "--yes") for number in (1, 2)],
    "waves": [("apply", "--all", "--waves", "1,1", "--prune", "--yes")],
    "limit": [("apply", "--all", "--max-failures", "5", "--prune", "--yes")],
    "destroy": [("destroy", "./one", "--prune", "--yes")],
    "destroy all": [("destroy", "--all", "--prune", "--yes")],
}


@pytest.mark.parametrize("way", ["valid", "class missing", "conflict", "empty"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_deletes_what_another_pipeline_may_declare(
    moved: Path, cli: Cli, sandbox: Sandbox, command: str, way: str
) -> None:
    before = versions(sandbox)
    (DECLARING | UNKNOWN)[way](moved)

    for arguments in COMMANDS[command]:
        cli(*arguments)

    after = versions(sandbox)
    assert after.get("v2") == before["v2"]


def test_a_saved_plan_is_compared_with_the_files_of_now(moved: Path, cli: Cli, sandbox: Sandbox) -> None:
    before = versions(sandbox)
    row(moved, "w")
    plan = str(cli.folder.parent / "plan.json")
    assert cli("plan", "--all", "--prune", "--out", plan).code == 0
    row(moved, "w", "v2")

    refused = cli("apply", "--plan", plan, "--yes")

    assert refused.code != 0
    assert "the files of two declare it" in one_line(refused.err)
    assert versions(sandbox) == before


@pytest.mark.parametrize("way", ["valid", "class missing", "conflict"])
def test_a_stack_without_a_folder_keeps_what_the_files_declare(
    moved: Path, cli: Cli, sandbox: Sandbox, way: str
) -> None:
    before = versions(sandbox)
    (DECLARING | UNKNOWN)[way](moved)
    shutil.rmtree(cli.folder / "one")
    stack = next(line for line in cli("state", "list").out.split() if line.endswith("training-one"))

    refused = cli("destroy", "--stack", stack, "--prune", "--yes")

    assert refused.code != 0
    assert versions(sandbox) == before


@pytest.mark.parametrize(("environment", "is_kept"), [("CUSTOM", True), ("CUSTM", True), ("PROD", False)])
def test_a_file_declares_what_it_has_for_the_environment(
    moved: Path, cli: Cli, sandbox: Sandbox, environment: str, is_kept: bool
) -> None:
    """The overlay of an environment that does not exist may be meant for this one."""
    row(moved, "w")
    overlay = ROW.format("v2").replace("model_versions", f"reconciler.env.{environment}.model_versions")
    change(moved, lambda text: text + overlay)

    ended = cli("apply", "./one", "--prune", "--yes")

    assert (ended.code != 0) == is_kept, ended.err
    assert ("v2" in versions(sandbox)) == is_kept


def test_what_the_workspace_excludes_declares_nothing(moved: Path, cli: Cli, sandbox: Sandbox) -> None:
    UNKNOWN["conflict"](moved)
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\nexclude = ["two"]\n')

    applied = cli("apply", "./one", "--prune", "--yes")

    assert applied.code == 0, applied.err
    assert "v2" not in versions(sandbox)


def test_the_file_of_another_tool_declares_nothing(moved: Path, cli: Cli, sandbox: Sandbox) -> None:
    row(moved, "w")
    (cli.folder / "site").mkdir()
    (cli.folder / "site" / "config.toml").write_text('baseURL = "https://example.org"\n')

    applied = cli("apply", "./one", "--prune", "--yes")

    assert applied.code == 0, applied.err
    assert "v2" not in versions(sandbox)


def test_a_pipeline_whose_files_declare_all_it_has_is_destroyed_beside_a_broken_one(
    moved: Path, cli: Cli, sandbox: Sandbox
) -> None:
    row(cli.folder / "one", "v1", "v2")
    row(moved, "w")
    UNKNOWN["conflict"](moved)

    destroyed = cli("destroy", "./one", "--prune", "--yes")

    assert destroyed.code == 0, destroyed.err
    assert [*versions(sandbox)] == ["w"]


def test_the_reads_of_a_workspace_do_not_grow_with_the_states_that_follow_their_folders(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read once for the plans, and once more before they are applied."""
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    folders = [
        copy_example(name, cli.folder, sandbox.registry)
        for name in ("dataset_cleanup", "computed_inputs", "single_training")
    ]
    assert cli("apply", "--all", "--yes").code == 0
    for folder in folders:
        change(folder, lambda text: f'{text}\n[reconciler]\nstack = "new-{folder.name}"\n')  # noqa: B023
    searched: list[Path] = []

    def counted(workspace: Workspace) -> dict[Path, dict[str, Any] | None]:
        searched.append(workspace.root)
        return documents_in(workspace)

    monkeypatch.setattr("reconciler.workspace.documents.documents_in", counted)

    assert cli("apply", "--all", "--yes").code == 0

    assert len(searched) == 2
    assert re.findall("new-[a-z_]+", cli("state", "list").out) == [
        "new-computed_inputs",
        "new-dataset_cleanup",
        "new-single_training",
    ]


@pytest.mark.parametrize("way", ["conflict", "empty", "no metadata", "folder", "broken link"])
@pytest.mark.parametrize("options", [(), ("--prune",)], ids=["", "prune"])
def test_no_state_follows_a_folder_while_another_one_may_have_the_stack(
    cli: Cli, sandbox: Sandbox, way: str, options: tuple[str, ...]
) -> None:
    """A processing moves to another folder, and another one gets its place."""
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    old = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    before = sandbox.platform.processing("dataset_cleanup")
    shutil.copytree(old, cli.folder / "new")
    change(old, lambda text: text.replace('name = "dataset_cleanup"', 'name = "other"'))
    UNKNOWN[way](cli.folder / "new")

    refused = cli("apply", "./dataset_cleanup", "--yes", *options)

    assert refused.code != 0
    assert "new may still have the stack" in one_line(refused.err)
    assert "new/config.toml" in one_line(refused.err)
    assert sandbox.platform.processing("dataset_cleanup") == before
    assert cli("state", "list").out.strip().endswith("/dataset_cleanup")
