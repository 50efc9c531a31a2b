"""Folders are renamed between a saved plan and its apply: each stack of it is applied, or refused by name."""

import json
import re
import shutil
from itertools import product
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli
from tests.fleet import made

FOLDERS = ("pipeline_0000", "pipeline_0001", "pipeline_0002")
PLACES = (*FOLDERS, "elsewhere", None)
MOVES = [
    places
    for places in product(PLACES, repeat=3)
    if len({place for place in places if place}) == sum(place is not None for place in places)
]
"""Where each folder is in the end: at its place, at that of another, elsewhere, or nowhere."""
SAMPLE = 7


@pytest.fixture
def planned(cli: Cli, sandbox: Sandbox) -> str:
    """The digest of a saved plan with a change of each of three pipelines."""
    folders = made.pipelines(cli.folder, sandbox.registry, 3)
    made.publish(folders, sandbox)
    made.record(folders, cli.folder)
    for folder in folders:
        config = folder / "config.toml"
        config.write_text(re.sub("description = .*", 'description = "Better."', config.read_text()))
    ended = cli("plan", "--all", "--out", "plan.json", "--json")
    assert ended.code == 0, ended.err
    return str(json.loads(ended.out)["digest"])


def move(folder: Path, places: tuple[str | None, ...]) -> None:
    for name in FOLDERS:
        (folder / name).rename(folder / f"old-{name}")
    for name, place in zip(FOLDERS, places, strict=True):
        if place is None:
            shutil.rmtree(folder / f"old-{name}")
        else:
            (folder / f"old-{name}").rename(folder / place)


@pytest.mark.parametrize(
    "places",
    [
        pytest.param(places, marks=() if number % SAMPLE == 0 else (pytest.mark.full,), id=str(number))
        for number, places in enumerate(MOVES)
    ],
)
@pytest.mark.parametrize("options", [(), ("--skip-stale",)], ids=["all", "the rest"])
def test_each_stack_of_the_plan_is_applied_or_refused(
    places: tuple[str | None, ...], options: tuple[str, ...], planned: str, cli: Cli, sandbox: Sandbox
) -> None:
    move(cli.folder, places)

    ended = cli("apply", "--plan", "plan.json", "--approve", planned, "--json", "-", *options)

    document = json.loads(ended.out)
    runs = {run["stack"]["name"].rpartition("/")[2]: run["result"] for run in document["pipelines"]}
    told = " ".join(problem["summary"] for problem in document["problems"])
    refused = {name for name in FOLDERS if name in told}
    changed = {
        name
        for name in FOLDERS
        if sandbox.platform.processing(name)["description"] == "Better."  # type: ignore[index]
    }
    gone = {name for name, place in zip(FOLDERS, places, strict=True) if place is None}
    assert runs.keys() | refused == set(FOLDERS), "no stack is left out"
    assert changed == {name for name, result in runs.items() if result == "applied"}
    assert not changed & gone, "nothing is applied from files that are gone"
    assert (ended.code == 0) == (changed == set(FOLDERS)), ended.err


def test_every_way_to_move_is_tried() -> None:
    assert FOLDERS in MOVES
    assert ("pipeline_0001", "pipeline_0000", "pipeline_0002") in MOVES
    assert (None, "pipeline_0000", "pipeline_0002") in MOVES
    assert len(MOVES) > 60
