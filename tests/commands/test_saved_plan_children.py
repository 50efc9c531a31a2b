"""A saved plan deletes no child that it did not show, also where the files do not manage the children."""

import re
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    """A pipeline whose inputs the files do not manage, applied, with an input that was added outside."""
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    edit(folder, "(?m)^inputs_class.*$", "")
    (folder / "utils" / "inputs.py").unlink()
    copy_example("single_training", cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    sandbox.platform.add_input(NAME, "shown")
    return folder


def edit(folder: Path, pattern: str, text: str) -> None:
    config = folder / "config.toml"
    after, count = re.subn(pattern, text, config.read_text(), count=1)
    assert count == 1
    config.write_text(after)


WAYS = {
    "replace": ('type = "[A-Z_]*"', 'type = "DATA_AUTO_TAGGING"', ("--replace", f"processing/{NAME}")),
    "prune": (f'name = "{NAME}"', 'name = "renamed"', ("--prune",)),
}


@pytest.mark.parametrize("change", ["none", "added", "removed"])
@pytest.mark.parametrize(
    ("way", "selected"), [("replace", f"./{NAME}"), ("prune", f"./{NAME}"), ("prune", "--all")]
)
def test_a_saved_plan_deletes_no_child_that_it_did_not_show(
    way: str, selected: str, change: str, folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    pattern, text, options = WAYS[way]
    edit(folder, pattern, text)
    planned = cli("plan", selected, *options, "--out", "plan.json")
    assert planned.code == 0, planned.err
    assert f"processing/{NAME} also deletes input/{NAME}/shown" in " ".join(planned.err.split())
    if change == "added":
        sandbox.platform.add_input(NAME, "extra")
    elif change == "removed":
        sandbox.platform.delete_input(NAME, "shown")
    before = (sandbox.platform.processing(NAME), sandbox.platform.inputs(NAME))

    applied = cli("apply", "--plan", "plan.json", "--yes")

    if change == "none":
        assert applied.code == 0, applied.err
        return
    assert applied.code == 12, applied.err
    assert (sandbox.platform.processing(NAME), sandbox.platform.inputs(NAME)) == before
