"""Every command selects pipelines with the same arguments, and `list` shows what they select."""

import json
import os
from pathlib import Path

import pytest
import requests.adapters

from reconciler.cli.reference import every_command
from tests.commands.untouched import snapshot
from tests.conftest import Cli

WORKSPACE = """
[groups]
sam = ["pipelines/SAM*"]
clip = ["clip/**"]
none = ["legacy/**"]
"""


@pytest.fixture
def root(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository of two processings and two trainings; one of each uses a GPU."""
    pipeline(cli.folder / "pipelines" / "SAM", "sam")
    pipeline(cli.folder / "pipelines" / "SAM2", "sam-2", gpu=1)
    pipeline(cli.folder / "clip" / "training", "training", kind="TRAINING", gpu=2)
    pipeline(cli.folder / "clip" / "small", "training", kind="TRAINING")
    (cli.folder / "reconciler.toml").write_text(WORKSPACE)
    return cli.folder


def pipeline(folder: Path, name: str, *, kind: str = "PRE_ANNOTATION", gpu: int = 0) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[metadata]\nname = "{name}"\nversion = "1.0.0"\ntype = "{kind}"\n\n[execution]\n\n'
        f'[docker]\nimage_name = "team/{folder.name.lower()}"\nimage_tag = "latest"\ngpu = {gpu}\n'
    )
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . .\n")


def listed(cli: Cli, *arguments: str) -> dict[str, list[str]]:
    """The folder of each selected pipeline, with the reasons."""
    ended = cli("list", *arguments, "--json")
    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    assert (document["format"], document["version"]) == ("reconciler/list", 1)
    return {row["folder"]: row["why"] for row in document["pipelines"]}


SAM, SAM2, CLIP, SMALL = "pipelines/SAM", "pipelines/SAM2", "clip/training", "clip/small"
SELECTIONS: dict[str, tuple[str, ...]] = {
    "": (SMALL, CLIP, SAM, SAM2),
    "--all": (SMALL, CLIP, SAM, SAM2),
    "sam": (SAM,),
    "SAM2 sam": (SAM2, SAM),
    "./pipelines/SAM SAM": (SAM,),
    "pipelines/*": (SAM, SAM2),
    "sam*": (SAM, SAM2),
    "SAM?": (SAM2,),
    "**/tr*": (SMALL, CLIP),
    "team/[st]*": (SMALL, CLIP),
    "--group sam": (SAM, SAM2),
    "--group sam --group clip": (SAM, SAM2, SMALL, CLIP),
    "--group sam small": (SMALL, SAM, SAM2),
    "--type training": (SMALL, CLIP),
    "--type TRAINING --type PRE_ANNOTATION": (SMALL, CLIP, SAM, SAM2),
    "--gpu": (CLIP, SAM2),
    "--no-gpu": (SMALL, SAM),
    "--all --gpu --type TRAINING": (CLIP,),
    "--group clip --no-gpu": (SMALL,),
    "pipelines/* --gpu": (SAM2,),
    "--group none --allow-empty": (),
    "--gpu --type MODEL_CONVERSION --allow-empty": (),
    "x* --allow-empty": (),
}


@pytest.mark.parametrize("arguments", SELECTIONS)
def test_the_arguments_select(cli: Cli, root: Path, arguments: str) -> None:
    found = listed(cli, *arguments.split())
    assert sorted(found) == sorted(SELECTIONS[arguments])
    assert all(found.values()), "each has a reason"


def test_the_reasons_are_explained(cli: Cli, root: Path) -> None:
    assert listed(cli, "--group", "sam", "sam-2", "--gpu") == {
        SAM2: ["named sam-2", "in the group sam", "with 1 GPU"]
    }
    shown = cli("list", "--type", "TRAINING", "--explain").out
    assert "why" in shown.splitlines()[0]
    assert shown.count("type TRAINING") == 2


def test_a_group_selects_from_the_whole_workspace(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root / "clip")
    assert sorted(listed(cli, "--group", "sam")) == [str(root / SAM), str(root / SAM2)]
    assert sorted(listed(cli, "--all")) == ["small", "training"], "--all selects below the current folder"


def test_the_values_of_the_environment_count(cli: Cli, root: Path) -> None:
    with (root / SAM / "config.toml").open("a") as file:
        file.write("\n[reconciler.env.PROD.docker]\ngpu = 4\n")
    assert SAM in listed(cli, "--gpu", "--env", "PROD")
    assert SAM not in listed(cli, "--gpu", "--env", "STAGING")


NOTHING: dict[str, tuple[str, ...]] = {
    "x*": ("no pipeline matches x*", "pipelines/SAM2"),
    "../x*": ("the glob ../x* leads out of the workspace",),
    "--group sma": ("there is no group sma", "sam, clip, none", "Did you mean 'sam'?"),
    "--group none": ("the group none has no pipeline", "reconciler.toml:5", "legacy/**", "pipelines/SAM2"),
    "--type MODEL_CONVERSION": ("selected by --type MODEL_CONVERSION", "1 TRAINING with 2 GPUs"),
    "--gpu small": ("no pipeline is selected by --gpu", "1 TRAINING without GPU"),
    "missing --allow-empty": ("no pipeline is called missing", "SAM2"),
}


@pytest.mark.parametrize("command", ["list", "plan", "validate"])
@pytest.mark.parametrize("arguments", NOTHING)
def test_a_selection_without_a_pipeline_lists_what_there_is(
    cli: Cli, root: Path, command: str, arguments: str
) -> None:
    ended = cli(command, *arguments.split())
    assert ended.code == 1
    for text in NOTHING[arguments]:
        assert text in ended.err


@pytest.mark.parametrize("command", ["list", "plan", "apply", "validate", "drift", "status --offline"])
def test_an_empty_selection_can_be_allowed(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", "my-org")
    monkeypatch.setenv("PICSELLIA_TOKEN", "none-is-sent")
    ended = cli(*command.split(), "--gpu", "--type", "MODEL_CONVERSION", "--allow-empty")
    assert (ended.code, ended.err.splitlines()[-1]) == (0, "no pipeline is selected")


@pytest.mark.parametrize("arguments", ["--all sam", "--all --group sam"])
def test_all_and_names_contradict_each_other(cli: Cli, root: Path, arguments: str) -> None:
    assert cli("list", *arguments.split()).code == 2


def test_an_unreadable_file_is_never_left_out(cli: Cli, root: Path) -> None:
    """A filter must not hide a broken pipeline: the command has to report it."""
    (root / SAM / "config.toml").write_text("[metadata")
    found = listed(cli, "--type", "TRAINING")
    assert found[SAM] == ["its config.toml cannot be read"]
    assert "validate" in cli("list").err
    assert cli("validate", "--type", "TRAINING").code == 1


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_a_folder_may_look_like_a_glob(cli: Cli, root: Path) -> None:
    pipeline(root / "[x]", "brackets")
    assert listed(cli, "[x]") == {"[x]": ["named [x]"]}


@pytest.mark.parametrize("name", ["*", "s*", "s[23]", "s?", "**", "team [v2]", "?"])
def test_the_name_of_a_pipeline_may_look_like_a_glob(cli: Cli, name: str) -> None:
    """The one with exactly this name is meant, so a suggested command never changes another one."""
    for folder, called in {"one": name, "s2": "s2", "other": "team v2"}.items():
        (cli.folder / folder).mkdir()
        (cli.folder / folder / "config.toml").write_text(
            f'[metadata]\nname = "{called}"\nversion = "1.0.0"\ntype = "PRE_ANNOTATION"\n'
            f'[execution]\n[docker]\nimage_name = "team/{folder}"\n'
        )
    ended = cli("list", name, "--json")
    assert [one["folder"] for one in json.loads(ended.out)["pipelines"]] == ["one"], ended.out


def test_a_matrix_has_a_job_for_each_pipeline(cli: Cli, root: Path) -> None:
    ended = cli("list", "--gpu", "--github-matrix")
    assert ended.out.count("\n") == 1, "one line, for GITHUB_OUTPUT"
    assert json.loads(ended.out) == {
        "include": [
            {
                "folder": CLIP,
                "name": "training",
                "stack": "team/training",
                "type": "TRAINING",
                "version": "1.0.0",
                "gpu": 2,
            },
            {
                "folder": SAM2,
                "name": "sam-2",
                "stack": "sam-2",
                "type": "PRE_ANNOTATION",
                "version": "1.0.0",
                "gpu": 1,
            },
        ]
    }


def test_a_matrix_is_no_longer_than_github_allows(cli: Cli, root: Path) -> None:
    for number in range(253):
        pipeline(root / "many" / str(number), f"p{number}")
    ended = cli("list", "--github-matrix")
    assert (ended.code, ended.out) == (1, "")
    assert "at most 256 jobs, and 257 pipelines are selected" in ended.err


WRITING = (
    "apply --yes",
    "deploy --yes",
    "destroy --yes",
    "promote --from STAGING --to PROD --yes",
    "rollback --yes",
    "bump patch",
    "plan --out ../plan.json",
    "drift --write-baseline known.toml",
)
SLIPS = {
    "sam missing": "no pipeline is called missing",
    "missing sam": "no pipeline is called missing",
    "sam x*": "no pipeline matches x*",
    "sam training": "clip/small",  # two of them
    "sam ./missing": "missing",
    "--group sam missing": "no pipeline is called missing",
    "--group sam --group sma": "there is no group sma",
    "sam --group sma": "there is no group sma",
    "x*": "no pipeline matches x*",
    "sam missing --allow-empty": "no pipeline is called missing",
}


def test_the_table_has_every_command_that_writes_to_a_selection() -> None:
    """Except those that only write the report that was asked for."""
    reading = {"list", "validate", "status", "graph", "image"}
    named = {words.split()[0] for words in WRITING}
    selecting = {
        str(context.info_name)
        for context in every_command()
        if {"names", "everything"} <= {one.name for one in context.command.params}
    }
    assert selecting - reading == named


@pytest.mark.parametrize("slip", SLIPS)
@pytest.mark.parametrize("command", WRITING)
def test_a_slip_in_one_name_stops_a_write_before_it_starts(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch, command: str, slip: str
) -> None:
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", "my-org")
    monkeypatch.setenv("PICSELLIA_TOKEN", "none-is-sent")
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", None)
    before = snapshot(root.parent)
    verb, *options = command.split()
    kind = options[:1] if verb == "bump" else []
    ended = cli(verb, *kind, *slip.split(), *options[len(kind) :])
    assert ended.code == 1
    assert SLIPS[slip] in ended.err
    assert "same command" not in ended.err
    assert snapshot(root.parent) == before


@pytest.mark.parametrize("command", ["list", "validate", "status --offline", "graph"])
def test_a_slip_in_one_name_hides_no_other_pipeline_from_a_read(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PICSELLIA_ORGANIZATION", "my-org")
    monkeypatch.setenv("PICSELLIA_TOKEN", "none-is-sent")
    ended = cli(*command.split(), "sam", "missing")
    assert (ended.code != 0, "sam" in ended.out) == (True, True), ended
    assert "no pipeline is called missing" in ended.err
    assert "same command" not in ended.err


ONE = dict.fromkeys(("image", "deploy", "rollback", "destroy", "bump patch"), "config.toml:1")
ONE["adopt"] = "no organization is selected"  # it signs in first


@pytest.mark.parametrize("command", ONE)
def test_a_command_without_a_name_takes_the_current_folder(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    ended = cli(*command.split())
    assert (ended.code, "run the command in its folder" in ended.err) == (2, True)

    monkeypatch.chdir(root / SAM)
    (root / SAM / "config.toml").write_text("[metadata")
    ended = cli(*command.split())
    assert ended.code == 1
    assert ONE[command] in ended.err, "it reads this folder's file"
