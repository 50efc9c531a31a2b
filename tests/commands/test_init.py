"""`reconciler init`: a pipeline of each type that validates, builds and is deployed as it is."""

import compileall
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from providers.enums import PROCESSING_TYPES, TRAINING
from providers.leftovers import temporary_folder
from providers.sandbox import Sandbox
from reconciler.pipeline import new_pipeline
from reconciler.pipeline.new_pipeline import TYPES
from tests.commands.terminal import terminal
from tests.commands.untouched import snapshot
from tests.conftest import Cli

MODEL = (
    *("--model", "Detector", "--model-version", "v1"),
    *("--framework", "onnx", "--inference-type", "object_detection"),
)


def options_of(kind: str, registry: str) -> list[str]:
    """Every option that a pipeline of this type needs to be built in the sandbox, without Docker."""
    image = ["--image", f"{registry}/team/{kind.lower()}", "--base", f"{registry}/base/python:3.11"]
    return ["--type", kind, *image, *(MODEL if kind == TRAINING else ())]


def test_every_type_has_a_meaning() -> None:
    assert {*TYPES} == {*PROCESSING_TYPES, TRAINING}


@pytest.mark.parametrize("kind", TYPES)
def test_a_new_pipeline_is_valid_and_deployed_as_it_is(kind: str, cli: Cli, sandbox: Sandbox) -> None:
    made = cli("init", "my_pipeline", *options_of(kind, sandbox.registry))
    assert made.code == 0, made.err
    assert sandbox.requests() == []

    checked = cli("validate", "my_pipeline", "--static-only")
    assert (checked.code, checked.err) == (0, "")
    assert compileall.compile_dir("my_pipeline", quiet=1)
    deployed = cli("deploy", "my_pipeline", "--yes")
    assert deployed.code == 0, deployed.err
    assert "Nothing to do" in cli("plan", "my_pipeline", "--exit-code").out
    if kind == TRAINING:
        (version,) = sandbox.platform.versions("Detector")
        assert (version["name"], version["framework"]) == ("v1", "ONNX")
        return
    processing = sandbox.platform.processing("my_pipeline")
    assert processing is not None
    assert (processing["type"], processing["default_parameters"]) == (kind, {"threshold": 0.5})


def test_without_a_base_the_dockerfile_is_the_builder_s(cli: Cli, home: Path) -> None:
    assert cli("init", "mine", "--type", "PRE_ANNOTATION", "--image", "user/mine").code == 0
    config = tomllib.loads(Path("mine/config.toml").read_text())
    assert "reconciler" not in config
    assert "COPY ./ mine\n" in Path("mine/Dockerfile").read_text()
    assert cli("validate", "mine").code == 0


def test_the_folder_may_be_below_another_one(cli: Cli, home: Path) -> None:
    Path("team").mkdir()
    assert cli("init", "team/mine", "--type", "PRE_ANNOTATION", "--image", "user/mine").code == 0
    assert tomllib.loads(Path("team/mine/config.toml").read_text())["metadata"]["name"] == "mine"
    ended = cli("init", "nowhere/mine", "--type", "PRE_ANNOTATION", "--image", "user/mine")
    assert (ended.code, "there is no folder nowhere" in ended.err) == (1, True)


@pytest.mark.parametrize("content", [None, "mine"])
def test_an_existing_folder_is_never_written_to(content: str | None, cli: Cli, home: Path) -> None:
    Path("mine").mkdir()
    if content:
        Path("mine/config.toml").write_text(content)
    before = snapshot(cli.folder)
    ended = cli("init", "mine", "--type", "PRE_ANNOTATION", "--image", "user/mine")
    assert (ended.code, "mine exists already" in ended.err) == (1, True)
    assert snapshot(cli.folder) == before


@pytest.mark.parametrize(
    ("name", "better"),
    [
        *(("my-pipeline", "such as my_pipeline"), ("3d", "such as pipeline_3d"), ("…", ""), (".", "")),
        *(
            ("import", "import_pipeline can be"),
            ("None", "none_pipeline can be"),
            ("nul", "nul_pipeline can be"),
        ),
    ],
)
def test_a_name_that_python_cannot_import_is_refused(name: str, better: str, cli: Cli, home: Path) -> None:
    ended = cli("init", name, "--type", "PRE_ANNOTATION", "--image", "user/mine")
    assert ended.code == 1
    assert "cannot be the name of a pipeline" in ended.err
    assert better in ended.err
    assert [*cli.folder.iterdir()] == []


def test_without_a_terminal_each_missing_value_is_reported_with_its_option(cli: Cli, home: Path) -> None:
    ended = cli("init")
    assert (ended.code, "init needs NAME and --type TYPE" in ended.err) == (2, True)
    ended = cli("init", "mine", "--type", "training")
    assert ended.code == 1
    for option in ("--image NAME", "--model NAME", "--model-version NAME", "--framework NAME"):
        assert f"Use {option}." in ended.err
    assert [*cli.folder.iterdir()] == []


def test_wrong_values_are_refused_before_anything_is_written(cli: Cli, home: Path) -> None:
    ended = cli("init", "mine", "--type", "PRE_ANNOTATION", "--image", "Not A Name")
    assert (ended.code, "is not an image name" in ended.err) == (1, True)
    ended = cli("init", "mine", "--type", "PRE_ANNOTATION", "--image", "user/mine", "--model", "M")
    assert (ended.code, "for a training pipeline" in ended.err) == (2, True)
    assert [*cli.folder.iterdir()] == []


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("problem", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_an_init_that_does_not_end_leaves_nothing(
    problem: BaseException, after: int, cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, write = 0, Path.write_text

    def failing(path: Path, *arguments: str, **options: str) -> int:
        nonlocal written
        written += 1
        if written > after:
            raise problem
        return write(path, *arguments, **options)

    monkeypatch.setattr(new_pipeline.Path, "write_text", failing)
    ended = cli("init", "mine", "--type", "PRE_ANNOTATION", "--image", "user/mine")

    assert ended.code == (130 if isinstance(problem, KeyboardInterrupt) else 1)
    assert [*cli.folder.iterdir()] == []


def test_at_a_terminal_everything_is_asked_for(cli: Cli, sandbox: Sandbox) -> None:
    with terminal("init", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("? Name")
        screen.answer("my-training")
        screen.expect("such as my_training")
        screen.answer("my_training")
        screen.expect("? Type")
        screen.expect("makes a dataset version from another one")
        screen.answer("training")
        screen.expect("? Docker image name")
        screen.answer("user/my_training")
        screen.expect("? Model to train")
        screen.answer("Detector")
        screen.expect("? Version of the model")
        screen.answer("")
        screen.expect("? Framework")
        screen.answer("onxx")
        screen.expect("framework 'ONXX' is not known")
        screen.answer("onnx")
        screen.expect("? Inference type")
        screen.answer("")
        screen.expect("Created my_training with ")
        assert screen.end() == 0
    assert tomllib.loads((cli.folder / "my_training" / "config.toml").read_text())["model_version"] == {
        "origin_name": "Detector",
        "name": "v1",
        "framework": "ONNX",
        "inference_type": "OBJECT_DETECTION",
    }


def test_a_folder_outside_of_the_workspace_is_reported(cli: Cli, home: Path) -> None:
    Path("reconciler.toml").write_text('[workspace]\npipelines = ["pipelines/**"]\n')
    ended = cli("init", "mine", "--type", "PRE_ANNOTATION", "--image", "user/mine")
    assert ended.code == 0
    assert "mine is not a pipeline of the workspace" in ended.err


PROCESSING = ("--type", "PRE_ANNOTATION", "--image", "user/other")


def test_a_name_that_another_pipeline_of_the_workspace_has_is_refused(cli: Cli, home: Path) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
    assert cli("init", "one/mine", "--type", "PRE_ANNOTATION", "--image", "user/mine").code == 0
    before = snapshot(cli.folder)
    ended = cli("init", "two/mine", *PROCESSING)
    assert ended.code == 1
    assert "the stack 'mine' is taken" in ended.err
    assert "one/mine has it" in ended.err
    assert snapshot(cli.folder) == before

    Path("reconciler.toml").write_text('[workspace]\npipelines = ["two/**"]\n')
    assert cli("init", "two/mine", *PROCESSING).code == 0  # the other one is no pipeline of the workspace


def test_the_stack_of_a_training_is_its_image(cli: Cli, home: Path) -> None:
    for folder in ("one", "two"):
        Path(folder).mkdir()
    assert cli("init", "one/mine", "--type", TRAINING, "--image", "user/mine", *MODEL).code == 0
    ended = cli("init", "other", "--type", TRAINING, "--image", "docker.io/user/mine", *MODEL)
    assert (ended.code, "the stack 'user/mine' is taken" in ended.err) == (1, True)
    assert not Path("other").exists()

    ended = cli("init", "two/mine", "--type", TRAINING, "--image", "user/other", *MODEL)
    assert ended.code == 0
    assert "the workspace has 1 other pipeline called mine" in ended.err
    assert "In one/mine." in ended.err
    assert "reconciler plan two/mine" in ended.err


def test_a_killed_init_leaves_no_pipeline_and_the_next_one_removes_the_rest(cli: Cli, home: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from reconciler.pipeline import new_pipeline\n"
        "new_pipeline.Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "new_pipeline.create(Path('mine'), {'config.toml': '[metadata]', 'utils/x.py': ''})"
    )
    for name in ("one", "two"):
        ended = subprocess.run([sys.executable, "-c", script], check=False)
        assert ended.returncode == -signal.SIGKILL
        (left,) = cli.folder.iterdir()
        assert left.name.startswith(".mine.")
        assert "there is no pipeline below" in cli("list").err
        with temporary_folder(cli.folder / "other") as used:
            assert cli("init", name, "--type", "PRE_ANNOTATION", "--image", f"user/{name}").code == 0
            assert {path.name for path in cli.folder.iterdir()} == {name, used.name}
        shutil.rmtree(name)


def test_the_folder_has_the_permissions_of_a_new_folder(cli: Cli, home: Path) -> None:
    Path("usual").mkdir()
    assert cli("init", "mine", *PROCESSING).code == 0
    assert Path("mine").stat().st_mode == Path("usual").stat().st_mode


@pytest.mark.parametrize(
    "options",
    [
        ("--framework", "YOLO"),
        ("--inference-type", "BOXES"),
        ("--image", "Not An Image"),
        ("--model", ""),
    ],
    ids=lambda options: options[0],
)
def test_a_wrong_value_is_refused_without_naming_a_file_that_was_not_made(
    options: tuple[str, str], cli: Cli
) -> None:
    given = {"--image": "user/one", "--model": "M", "--model-version": "v1", "--framework": "ONNX"}
    given |= {"--inference-type": "MASK", options[0]: options[1]}
    ended = cli("init", "one", "--type", "TRAINING", *(word for pair in given.items() for word in pair))
    assert ended.code != 0
    assert "one/config.toml" not in ended.err
    assert not (cli.folder / "one").exists()


@pytest.mark.parametrize("folder", [".", "..", "a/.."])
def test_a_folder_that_is_there_is_named(folder: str, cli: Cli) -> None:
    ended = cli("init", folder, "--type", "DATASET_VERSION_CREATION")
    assert ended.code == 1
    assert f"{folder!r} cannot be the name of a pipeline" in ended.err
    assert "init makes a new folder" in ended.err
