"""Every way to apply moves the state of a renamed stack, and no stack gets the state of another folder."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of, training

APP, OTHER = "dataset_cleanup", "other_cleanup"
MOVES = "moves it to"


@pytest.fixture
def pipelines(cli: Cli, sandbox: Sandbox) -> Path:
    """The folder of two processings and a training, all applied."""
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    copy_example(APP, cli.folder, sandbox.registry)
    copy(cli.folder, OTHER)
    training(cli.folder / "clip", "clip", sandbox.registry)
    applied = cli("apply", "--all", "--yes")
    assert applied.code == 0, applied.err
    return cli.folder


def copy(folder: Path, name: str) -> None:
    """Another processing beside the first one, with an image of its own."""
    shutil.copytree(folder / APP, folder / name)
    config = folder / name / "config.toml"
    text = config.read_text().replace(f'name = "{APP}"', f'name = "{name}"')
    config.write_text(text.replace(f"examples/{APP}", f"team/{name}"))


def name_stack(folder: Path, name: str) -> None:
    with (folder / "config.toml").open("a") as file:
        file.write(f'\n[reconciler]\nstack = "{name}"\n')


def rename(folder: Path, before: str, after: str) -> None:
    config = folder / "config.toml"
    text = config.read_text()
    assert f'name = "{before}"' in text
    config.write_text(text.replace(f'name = "{before}"', f'name = "{after}"', 1))


def moved(cli: Cli, before: str, after: str) -> None:
    """The state of this stack gets another name, as `state move` gives it."""
    ended = cli("state", "move", stack_of(before), stack_of(after))
    assert ended.code == 0, ended.err


def by_stack(cli: Cli) -> tuple[str, str]:
    name_stack(cli.folder / APP, "renamed")
    return APP, stack_of("renamed")


def by_name(cli: Cli) -> tuple[str, str]:
    rename(cli.folder / APP, APP, "renamed")
    return APP, stack_of("renamed")


def by_image(cli: Cli) -> tuple[str, str]:
    config = cli.folder / "clip" / "config.toml"
    config.write_text(config.read_text().replace("team/training-clip", "team/clip"))
    return "clip", stack_of(f"{_registry(cli)}/team/clip")


def by_move(cli: Cli) -> tuple[str, str]:
    moved(cli, APP, "elsewhere")
    return APP, stack_of(APP)


def by_older_version(cli: Cli) -> tuple[str, str]:
    stack = stack_of(f"{_registry(cli)}/team/training-clip")
    with open_store(str(cli.folder.parent / "state.db")) as store:
        store.move(stack, stack_of("training"))
    return "clip", stack


def _registry(cli: Cli) -> str:
    config = (cli.folder / "clip" / "config.toml").read_text()
    return config.partition('image_name = "')[2].partition("/")[0]


def saved(*selection: str) -> Callable[[Cli, str], int]:
    def apply(cli: Cli, _: str) -> int:
        file = str(cli.folder.parent / "plan.json")
        assert cli("plan", *selection, "--out", file).code == 0
        return cli("apply", "--plan", file, "--yes").code

    return apply


def by_python(cli: Cli, folder: str) -> int:
    found = api.Workspace.open().select(folder, OTHER)
    return found.plan(api.Environment()).apply(approve=True).exit_code


WAYS: dict[str, Callable[[Cli, str], int]] = {
    "one": lambda cli, folder: cli("apply", folder, "--yes").code,
    "several": lambda cli, folder: cli("apply", folder, OTHER, "--yes").code,
    "all": lambda cli, _: cli("apply", "--all", "--yes").code,
    "stale": lambda cli, _: cli("apply", "--stale", "--yes").code,
    "deploy all": lambda cli, _: cli("deploy", "--all", "--yes").code,
    "saved": lambda cli, folder: saved(folder)(cli, folder),
    "saved all": saved("--all"),
    "Python": by_python,
}


@pytest.mark.parametrize("change", [by_stack, by_name, by_image, by_move, by_older_version])
@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_apply_moves_the_state(
    way: str, change: Callable[[Cli], tuple[str, str]], pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    before = set(cli("state", "list").out.split())
    folder, present = change(cli)
    left = {APP: stack_of(APP), "clip": stack_of(f"{sandbox.registry}/team/training-clip")}[folder]
    assert MOVES in one_line(cli("plan", folder).err)

    assert WAYS[way](cli, folder) == 0

    assert set(cli("state", "list").out.split()) == before - {left} | {present}
    again = cli("apply", "--all", "--yes", "--json", str(cli.folder.parent / "again.json"))
    assert (again.code, MOVES in one_line(again.err)) == (0, False), again.err
    report = json.loads((cli.folder.parent / "again.json").read_text())
    assert {run["result"] for run in report["pipelines"]} == {"unchanged"}


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_stack_that_only_moves_is_counted_and_sends_no_write(
    pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    by_stack(cli)
    sandbox.clear_requests()

    planned, applied = cli("plan", "--all", "--exit-code"), cli("apply", "--all", "--yes")

    assert (planned.code, applied.code) == (0, 0)
    assert "1 to change in the state only, 2 in sync." in applied.out
    assert "1 applied, 2 unchanged" in applied.out
    assert sandbox.writes() == []


def taken_over(cli: Cli) -> None:
    """The first pipeline's stack gets another name, and a new pipeline the name that it had."""
    copy(cli.folder, "new")
    name_stack(cli.folder / APP, "renamed")
    name_stack(cli.folder / "new", APP)


@pytest.mark.parametrize("options", [(), ("--prune",)], ids=["", "prune"])
@pytest.mark.parametrize("names", [("new",), ("new", "renamed"), ("--all",)], ids=" ".join)
def test_a_stack_does_not_get_the_state_of_a_folder_that_has_not_moved_it(
    names: tuple[str, ...], options: tuple[str, ...], pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    taken_over(cli)
    processing = sandbox.platform.processing(APP)

    refused = cli("apply", *names, *options, "--yes")

    assert refused.code == 1
    said = one_line(refused.err)
    assert f"the state of {stack_of(APP)} is that of {APP}, whose stack is now {stack_of('renamed')}" in said
    assert sandbox.platform.processing(APP) == processing
    assert sandbox.platform.processing("new") is None

    for _ in range(2):
        applied = cli("apply", "--all", *options, "--yes")
    assert applied.code == 0, applied.err
    assert sandbox.platform.processing(APP) == processing
    assert sandbox.platform.processing("new") is not None
    claims = {line.split()[0]: line.split()[1] for line in cli("state", "claims").out.splitlines()}
    assert claims[f"processing/{APP}"] == stack_of("renamed")
    assert claims["processing/new"] == stack_of(APP)
    assert cli("plan", "--all", "--exit-code").code == 0
    assert (
        APP not in cli("state", "history", stack_of(APP)).out.replace(f"apply {APP}", "").partition("\n")[2]
    )


@pytest.mark.parametrize("command", ["plan", "drift", "destroy", "adopt"])
def test_no_command_takes_that_state(command: str, pipelines: Path, cli: Cli, sandbox: Sandbox) -> None:
    taken_over(cli)
    sandbox.clear_requests()
    ended = cli(command, "new", *(["--yes"] if command == "destroy" else []))
    assert ended.code not in (0, 10, 11)
    assert f"is that of {APP}" in one_line(ended.err + ended.out)
    assert sandbox.writes() == []


def test_a_processing_keeps_the_state_that_has_it(pipelines: Path, cli: Cli, sandbox: Sandbox) -> None:
    """Its name is that of an object on the platform, whichever folder declares it."""
    rename(pipelines / APP, APP, "renamed")
    copy_example(APP, pipelines.parent, sandbox.registry).rename(pipelines / "new")
    config = pipelines / "new" / "config.toml"
    config.write_text(config.read_text().replace(f"examples/{APP}", "team/new"))
    processing = sandbox.platform.processing(APP)
    assert processing is not None

    for _ in range(2):
        applied = cli("apply", "--all", "--prune", "--yes")

    assert applied.code == 0, applied.err
    kept, renamed = sandbox.platform.processing(APP), sandbox.platform.processing("renamed")
    assert kept is not None and renamed is not None
    assert kept["id"] == processing["id"]


def test_nothing_is_deleted_that_another_selected_pipeline_declares(
    pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    """A model version goes from one training to another one."""
    training(pipelines / "dino", "dino", sandbox.registry)
    assert cli("apply", "dino", "--yes").code == 0
    before = sandbox.platform.versions("clip")
    for folder, old, new in (("clip", "clip", "unet"), ("dino", "dino", "clip")):
        config = pipelines / folder / "config.toml"
        config.write_text(config.read_text().replace(f'origin_name = "{old}"', f'origin_name = "{new}"'))

    refused = cli("apply", "--all", "--prune", "--yes")

    assert refused.code != 0
    assert "model-version/clip/v1 would be deleted, but the files of" in one_line(refused.err)
    assert sandbox.platform.versions("clip") == before


def swap(cli: Cli, one: str, other: str, key: str) -> None:
    """Swap the first value of this key in two files."""
    files = [cli.folder / name / "config.toml" for name in (one, other)]
    texts = [file.read_text() for file in files]
    values = [re.search(rf'(?m)^{key} = "(.*)"$', text) for text in texts]
    for file, text, new in zip(files, texts, reversed(values), strict=True):
        assert new is not None
        file.write_text(re.sub(rf'(?m)^{key} = ".*"$', new[0], text, count=1))


def named(cli: Cli, folder: str, key: str, value: str) -> None:
    file = cli.folder / folder / "config.toml"
    file.write_text(re.sub(rf'(?m)^{key} = ".*"$', f'{key} = "{value}"', file.read_text(), count=1))


@pytest.mark.parametrize("options", [(), ("--prune",)], ids=["", "prune"])
@pytest.mark.parametrize(
    ("folders", "key"),
    [
        ((APP, OTHER), "name"),
        ((APP, OTHER), "stack"),
        (("clip", "dino"), "image_name"),
        (("clip", "dino"), "stack"),
        ((APP, "clip"), "stack"),
    ],
)
def test_folders_that_swap_names_are_refused_with_the_reason_and_the_way_out_is_right(
    folders: tuple[str, str], key: str, options: tuple[str, ...], pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    training(pipelines / "dino", "dino", sandbox.registry)
    if key == "stack":
        for folder in folders:
            name_stack(pipelines / folder, f"{folder}-stack")
    assert cli("apply", "--all", "--yes").code == 0
    before = objects(sandbox)
    swap(cli, *folders, key)
    present = (pipelines / folders[0] / "config.toml").read_text()
    sandbox.clear_requests()

    take = [word for address in addresses(cli) for word in ("--take", address)]
    for more in ((), tuple(take)):
        for names in ((str(pipelines / folders[0]),), (str(pipelines / folders[1]),), ("--all",)):
            refused = cli("apply", *names, *options, *more, "--yes")
            assert refused.code != 0
            assert "they swapped names" in one_line(refused.err), refused.err
    assert (sandbox.writes(), objects(sandbox)) == ([], before)

    named(cli, folders[0], key, f"{sandbox.registry}/team/third" if key == "image_name" else "third")
    for number, folder in enumerate((*folders, folders[0])):
        if number == 2:
            (pipelines / folder / "config.toml").write_text(present)
        ended = cli("apply", str(pipelines / folder), *options, "--yes")
        if key == "name":  # the processing stays where it is, and the image comes along
            assert re.findall("refused: (.*?)/", ended.err) == ["image"], ended.err
            taken = re.search("--take image/.*", ended.err)
            assert taken is not None
            ended = cli("apply", str(pipelines / folder), *taken[0].split(), *options, "--yes")
        assert ended.code == 0, ended.err
    assert cli("plan", "--all", "--exit-code").code == 0
    assert before.items() <= objects(sandbox).items() or options


def addresses(cli: Cli) -> list[str]:
    return [line.split()[0] for line in cli("state", "claims").out.splitlines()[1:]]


def objects(sandbox: Sandbox) -> dict[str, str]:
    """The ids of processings and model versions by their names."""
    found = {one["name"]: one["id"] for one in sandbox.platform.processings()}
    for model in sandbox.platform.models():
        found |= {
            f"{model['name']}/{one['name']}": one["id"] for one in sandbox.platform.versions(model["name"])
        }
    return found


def copied_training(cli: Cli) -> tuple[Path, str]:
    """A copy that has another name and model version, and still the image, which names the stack."""
    shutil.copytree(cli.folder / "clip", cli.folder / "copied")
    named(cli, "copied", "name", "copied")
    config = cli.folder / "copied" / "config.toml"
    config.write_text(config.read_text().replace('name = "v1"', 'name = "v2"'))
    return config.parent, "clip"


def copied_processing(cli: Cli) -> tuple[Path, str]:
    """A copy that has another image, and still the name."""
    shutil.copytree(cli.folder / APP, cli.folder / "copied")
    config = cli.folder / "copied" / "config.toml"
    config.write_text(config.read_text().replace(f"examples/{APP}", "team/copied"))
    return config.parent, APP


def copied_stack(cli: Cli) -> tuple[Path, str]:
    """A copy that has a name and an image of its own, and the same `[reconciler] stack`."""
    name_stack(cli.folder / APP, "shared")
    assert cli("apply", APP, "--yes").code == 0
    copied_processing(cli)
    rename(cli.folder / "copied", APP, "copied")
    return cli.folder / "copied", APP


WRITING = {"apply": ("--yes",), "deploy": ("--yes", "--bump", "patch"), "destroy": ("--yes", "--prune")}


@pytest.mark.parametrize("copied", [copied_training, copied_processing, copied_stack])
@pytest.mark.parametrize(
    "command", ["plan", "drift", "status", "apply", "apply --prune", "deploy", "destroy", "adopt", "rollback"]
)
def test_no_command_gives_a_copy_the_state_of_the_folder_that_it_was_copied_from(
    command: str, copied: Callable[[Cli], tuple[Path, str]], pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    folder, first = copied(cli)
    before, claims = objects(sandbox), cli("state", "claims").out
    sandbox.clear_requests()

    name, *options = command.split()
    ended = cli(name, str(folder), *WRITING.get(name, ()), *options)

    said = one_line(ended.err + ended.out)
    assert ended.code not in (0, 10, 11), said
    assert f"is that of {first}, which has the same stack" in said
    assert (sandbox.writes(), objects(sandbox), cli("state", "claims").out) == ([], before, claims)
    assert cli("plan", str(pipelines / first), "--exit-code").code == 0


def is_a_folder(config: Path) -> None:
    config.unlink()
    config.mkdir()


BREAK: dict[str, Callable[[Path], object]] = {
    "half a line": lambda config: config.write_text(config.read_text() + '\nname = "'),
    "no UTF-8": lambda config: config.write_bytes(config.read_bytes() + b"\xff"),
    "a conflict of git": lambda config: config.write_text(f"<<<<<<< HEAD\n{config.read_text()}"),
    "empty": lambda config: config.write_text(""),
    "a folder": is_a_folder,
}


@pytest.mark.parametrize("copied", [copied_training, copied_processing, copied_stack])
@pytest.mark.parametrize("how", BREAK)
def test_a_copy_does_not_get_the_state_while_the_original_cannot_be_read(
    how: str, copied: Callable[[Cli], tuple[Path, str]], pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    folder, first = copied(cli)
    BREAK[how](pipelines / first / "config.toml")
    before = objects(sandbox)
    for command in (("apply", "--prune"), ("destroy", "--prune")):
        ended = cli(command[0], str(folder), *command[1:], "--yes")
        assert ended.code != 0, ended.out
        assert f"is that of {first}, whose config.toml cannot be read" in one_line(ended.err)
    assert objects(sandbox) == before


@pytest.mark.parametrize("copied", [copied_training, copied_processing, copied_stack])
def test_a_copy_that_replaces_its_original_keeps_the_state(
    copied: Callable[[Cli], tuple[Path, str]], pipelines: Path, cli: Cli, sandbox: Sandbox
) -> None:
    folder, first = copied(cli)
    stacks = cli("state", "list").out
    shutil.rmtree(pipelines / first)
    applied = cli("apply", str(folder), "--bump", "patch", "--yes")
    assert applied.code == 0, applied.err
    assert cli("state", "list").out == stacks


@pytest.mark.parametrize("copied", [copied_training, copied_processing])
def test_a_copy_is_refused_without_a_reconciler_toml(
    copied: Callable[[Cli], tuple[Path, str]], cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    training(cli.folder / "clip", "clip", sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    folder, first = copied(cli)
    ended = cli("apply", str(folder), "--yes")
    assert ended.code != 0
    assert f"is that of {first}, which has the same stack" in one_line(ended.err)
