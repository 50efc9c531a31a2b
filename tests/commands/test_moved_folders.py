"""Wherever folders go, no stack gets the state of a pipeline that still has the same stack."""

import shutil
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, training

FIRST, SECOND, ELSEWHERE = "first", "second", "elsewhere"


def processing(target: Path, name: str, registry: str) -> Path:
    folder = copy_example("dataset_cleanup", target.parent, registry).rename(target)
    change(folder, 'name = "dataset_cleanup"', f'name = "{name}"')
    change(folder, "examples/dataset_cleanup", f"team/{name}")
    return folder


def change(folder: Path, before: str, after: str) -> None:
    config = folder / "config.toml"
    assert before in config.read_text()
    config.write_text(config.read_text().replace(before, after))


Make = Callable[[Path, str, str], Path]
KINDS: dict[str, tuple[Make, str, str]] = {
    "processing": (processing, 'name = "one"', 'name = "two"'),
    "training": (training, "team/training-one", "team/training-two"),
}
"""What makes a pipeline, and the values that name the stacks of the two pipelines."""


def moved(root: Path, *_: object) -> None:
    (root / FIRST).rename(root / ELSEWHERE)


def replaced(root: Path, registry: str, make: Make, *_: object) -> None:
    """Another pipeline is made in the folder that it had."""
    moved(root)
    make(root / FIRST, "new", registry)


def replaced_by_the_other(root: Path, *_: object) -> None:
    moved(root)
    (root / SECOND).rename(root / FIRST)


def swapped(root: Path, *_: object) -> None:
    replaced_by_the_other(root)
    (root / ELSEWHERE).rename(root / SECOND)


def copied(root: Path, *_: object) -> None:
    shutil.copytree(root / FIRST, root / ELSEWHERE)


def renamed(root: Path, _: str, __: object, one: str, ___: str) -> None:
    change(root / FIRST, one, one.replace("one", "three"))


def renamed_and_moved(root: Path, *others: object) -> None:
    renamed(root, *others)  # type: ignore[arg-type]
    moved(root)


def renamed_and_followed(root: Path, registry: str, make: Make, one: str, two: str) -> None:
    """The other one gets the name that it had."""
    renamed(root, registry, make, one, two)
    change(root / SECOND, two, one)


LAYOUTS = (
    moved,
    replaced,
    replaced_by_the_other,
    swapped,
    copied,
    renamed,
    renamed_and_moved,
    renamed_and_followed,
)
CASES = list(product(KINDS, LAYOUTS, ("named", "unnamed"), (FIRST, SECOND, ELSEWHERE)))
SOME = [case for number, case in enumerate(CASES) if number % 5 == 0 or case[1] is replaced]
Case = tuple[str, Callable[..., None], str, str]


def named(case: Case) -> str:
    return f"{case[0]} {case[1].__name__} {case[2]} {case[3]}"


@pytest.mark.parametrize("case", SOME, ids=named)
def test_no_stack_gets_the_state_of_a_pipeline_that_still_has_the_same_stack(
    case: Case, cli: Cli, sandbox: Sandbox
) -> None:
    check(cli, sandbox, *case)


@pytest.mark.full
@pytest.mark.parametrize("case", [case for case in CASES if case not in SOME], ids=named)
def test_no_state_is_taken_in_any_other_case(case: Case, cli: Cli, sandbox: Sandbox) -> None:
    check(cli, sandbox, *case)


def check(
    cli: Cli, sandbox: Sandbox, kind: str, layout: Callable[..., None], workspace: str, before_others: str
) -> None:
    make, *names = KINDS[kind]
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n' * (workspace == "named"))
    for folder, name in ((FIRST, "one"), (SECOND, "two")):
        make(cli.folder / folder, name, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    applied = {file.read_text() for file in cli.folder.glob("*/config.toml")}
    lineages, ids = lineages_of(cli), objects(sandbox)

    layout(cli.folder, sandbox.registry, make, *names)
    folders = sorted(cli.folder.glob("*/config.toml"), key=lambda file: file.parent.name != before_others)
    for file in folders:
        cli("apply", f"./{file.parent.name}", "--yes", "--prune")

    left = lineages_of(cli)
    assert set(lineages.values()) <= set(left.values()), "no state is lost"
    assert len(set(left.values())) == len(left), "no state has two names"
    assert ids.items() <= objects(sandbox).items() or not all_declared(cli, ids), "what is declared is kept"
    unchanged = [file for file in folders if file.read_text() in applied]
    for file in unchanged:
        plan = cli("plan", f"./{file.parent.name}", "--exit-code")
        is_copy = layout is copied and file.parent.name == ELSEWHERE
        assert plan.code == (1 if is_copy else 0), plan.err
    if len({file.read_text() for file in unchanged}) == len(applied):
        assert lineages.items() <= left.items(), "each stack has its own state"


def all_declared(cli: Cli, ids: dict[str, str]) -> bool:
    text = "".join(file.read_text() for file in cli.folder.glob("*/config.toml"))
    return all(f'name = "{name.partition("/")[0]}"' in text for name in ids)


def lineages_of(cli: Cli) -> dict[str, str]:
    """The lineage of each state by its name."""
    with open_store(str(cli.folder.parent / "state.db")) as store:
        states = {name: store.load(name) for name in store.stacks()}
    return {name: state.lineage for name, state in states.items() if state is not None}


def objects(sandbox: Sandbox) -> dict[str, str]:
    """The id of each object of the platform by its name."""
    found = {one["name"]: one["id"] for one in sandbox.platform.processings()}
    for model in sandbox.platform.models():
        versions = sandbox.platform.versions(model["name"])
        found |= {f"{model['name']}/{one['name']}": one["id"] for one in versions}
    return found


def test_a_training_that_moved_keeps_its_model_when_another_one_has_its_folder(
    cli: Cli, sandbox: Sandbox
) -> None:
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    training(cli.folder / "clip", "clip", sandbox.registry)
    assert cli("apply", "clip", "--yes").code == 0
    before = objects(sandbox)
    (cli.folder / "clip").rename(cli.folder / "vision")
    training(cli.folder / "clip", "dino", sandbox.registry)

    applied = cli("apply", "./clip", "--yes", "--prune")

    assert applied.code == 0, applied.err
    assert objects(sandbox).items() > before.items()
    assert cli("plan", "--all", "--exit-code").code == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_that_has_nothing_of_a_state_does_not_get_it(kind: str, cli: Cli, sandbox: Sandbox) -> None:
    """The pipeline that was here may be on another branch. Its stack is an orphan here."""
    make, *_ = KINDS[kind]
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    make(cli.folder / FIRST, "one", sandbox.registry)
    assert cli("apply", FIRST, "--yes").code == 0
    before = objects(sandbox)
    shutil.rmtree(cli.folder / FIRST)
    make(cli.folder / FIRST, "new", sandbox.registry)

    applied = cli("apply", FIRST, "--yes", "--prune")

    assert applied.code == 0, applied.err
    assert objects(sandbox).items() > before.items()
    assert cli("drift", "--all").code == 11


def test_without_a_name_of_the_workspace_the_command_that_moves_the_state_is_suggested(
    cli: Cli, sandbox: Sandbox
) -> None:
    for folder, name in ((FIRST, "one"), (SECOND, "two")):
        training(cli.folder / folder, name, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    renamed_and_followed(cli.folder, "", training, *KINDS["training"][1:])

    refused = cli("apply", SECOND, "--yes")

    assert refused.code == 1
    assert "first, which moves it" not in refused.err
    command = refused.err.partition("reconciler state move ")[2].split()[:2]
    assert cli("state", "move", *command).code == 0
    for folder, options in ((FIRST, ()), (SECOND, ("--take", "model-version/two/v1"))):
        applied = cli("apply", folder, "--yes", *options)
        assert applied.code == 0, applied.err
    assert cli("plan", "--all", "--exit-code").code == 0
