"""What `deploy` asks for: the model of a training, after all that no answer solves; answers are kept."""

import io
import os
import sys
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import pytest
from rich.console import Console

from providers.sandbox import Sandbox
from reconciler.cli import prompts
from reconciler.cli.prompts import Question
from tests.commands.terminal import terminal
from tests.conftest import Cli, copy_example
from tests.official.folders import edit

EMPTY = ("origin_name", "name", "framework", "inference_type")


@pytest.fixture
def training(cli: Cli, sandbox: Sandbox) -> Path:
    """A training as `pxl-pipeline init` leaves it without a model: the table is there, and empty."""
    folder = copy_example("single_training", cli.folder, sandbox.registry)
    edit(folder, {("model_version", key): "" for key in EMPTY})
    return folder


def model_of(folder: Path) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((folder / "config.toml").read_text())["model_version"]
    return table


def test_the_model_of_a_training_with_an_empty_table_is_asked_for_and_saved(
    cli: Cli, sandbox: Sandbox, training: Path
) -> None:
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("? Model to train  its name on Picsellia; created if it does not exist")
        screen.answer(" ")
        screen.expect("origin_name is empty")
        screen.answer("Detector")
        screen.expect("? Version of the model")
        screen.expect("Enter for v1")
        screen.answer("")
        screen.expect("? Framework  TENSORFLOW, PYTORCH, ONNX")
        screen.answer("pytorch")
        screen.expect("? Inference type  CLASSIFICATION, ")
        screen.answer("segmentation")
        screen.expect("Deploy this? [Y/n]: ")
        screen.type("")
        assert screen.end() == 0
    assert model_of(training) == dict(zip(EMPTY, ("Detector", "v1", "PYTORCH", "SEGMENTATION"), strict=True))
    assert [version["name"] for version in sandbox.platform.versions("Detector")] == ["v1"]


def test_without_a_terminal_the_options_of_the_model_are_named_and_set_it(
    cli: Cli, sandbox: Sandbox, training: Path
) -> None:
    before = (training / "config.toml").read_bytes()
    ended = cli("deploy", "single_training")
    assert ended.code == 1
    for option in ("--model NAME", "--model-version NAME", "--framework NAME", "--inference-type TYPE"):
        assert (
            f"Use {option}, or set it in [model_version] or [[model_versions]] of config.toml." in ended.err
        )
    assert (training / "config.toml").read_bytes() == before
    options = ("--model", "Detector", "--model-version", "v2", "--framework", "onnx")
    ended = cli("deploy", "single_training", *options, "--inference-type", "POINT")
    assert ended.code == 0, ended.err
    assert model_of(training) == dict(zip(EMPTY, ("Detector", "v2", "ONNX", "POINT"), strict=True))


def test_a_table_with_a_name_is_complete_enough(cli: Cli, sandbox: Sandbox, training: Path) -> None:
    edit(training, {("model_version", "origin_name"): "Detector", ("model_version", "name"): "v1"})
    assert cli("deploy", "single_training").code == 0


def test_other_errors_are_reported_and_nothing_is_asked(cli: Cli, sandbox: Sandbox, training: Path) -> None:
    edit(training, {("metadata", "version"): "one"})
    ended = cli("deploy", "single_training")
    assert (ended.code, "metadata.version" in ended.err) == (1, True)
    assert "--model NAME" not in ended.err


def test_the_model_options_are_for_a_training(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    ended = cli("deploy", "dataset_cleanup", "--model", "Detector")
    assert (ended.code, "for a training pipeline" in ended.err) == (2, True)


@pytest.mark.parametrize(
    ("edits", "shown"),
    [
        ({("reconciler", "image", "base"): "SANDBOX/base/missing:1"}, "cannot be built"),
        ({("execution", "parameters_class"): "utils/missing.py:Parameters"}, "utils/missing.py"),
    ],
)
def test_what_no_answer_solves_is_reported_before_any_question(
    edits: dict[tuple[str, ...], str], shown: str, cli: Cli, sandbox: Sandbox, training: Path
) -> None:
    edit(training, {path: value.replace("SANDBOX", sandbox.registry) for path, value in edits.items()})
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect(shown)
        assert screen.end() == 1
        assert "?" not in screen.shown


def test_a_version_is_not_asked_for_if_the_image_cannot_be_built(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("deploy", "dataset_cleanup").code == 0
    (folder / "pipeline.py").write_text("print('other')\n")
    edit(folder, {("reconciler", "image", "base"): f"{sandbox.registry}/base/missing:1"})
    with terminal("deploy", "dataset_cleanup", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("the image of dataset_cleanup cannot be built")
        assert screen.end() == 1
        assert "?" not in screen.shown


def test_answers_are_suggested_again_after_a_failure_and_forgotten_after_a_success(
    cli: Cli, sandbox: Sandbox, training: Path
) -> None:
    before = (training / "config.toml").read_bytes()
    sandbox.fail("POST", "/models$", 500, times=1)
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("? Model to train")
        screen.answer("Detector")
        for _ in range(3):
            screen.answer("")
        screen.expect("Deploy this? [Y/n]: ")
        screen.type("")
        screen.expect("Not saved in config.toml, because the deploy did not succeed: ")
        assert screen.end() == 1
    assert (training / "config.toml").read_bytes() == before
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("? Model to train")
        screen.expect("Enter for Detector, your last answer")
        for _ in range(4):
            screen.answer("")
        screen.expect("Deploy this? [Y/n]: ")
        screen.type("")
        assert screen.end() == 0
    assert model_of(training)["origin_name"] == "Detector"
    edit(training, {("model_version", key): "" for key in EMPTY})
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("? Model to train")
        screen.interrupt()
        assert screen.end() == 130
        assert "your last answer" not in screen.shown


def test_answers_before_an_interruption_are_kept(cli: Cli, sandbox: Sandbox, training: Path) -> None:
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("? Model to train")
        screen.answer("Detector")
        screen.expect("? Version of the model")
        screen.interrupt()
        assert screen.end() == 130
    with terminal("deploy", "single_training", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("Enter for Detector, your last answer")
        screen.interrupt()
        assert screen.end() == 130


@pytest.mark.parametrize("command", ["apply", "deploy"])
def test_the_builder_is_checked_before_the_only_question(command: str, cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    edit(folder, {("reconciler", "image", "base"): f"{sandbox.registry}/base/missing:1"})
    before = len(sandbox.writes())
    with terminal(command, folder.name, cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("Plan: ")
        screen.expect("cannot be built, so nothing was changed")
        assert screen.end() == 1
        assert "[Y/n]" not in screen.shown
    assert len(sandbox.writes()) == before


@pytest.mark.parametrize(
    "question",
    [
        lambda err: prompts.confirm(Question.APPLY),
        lambda err: prompts.ask("Name", "", None, str, err),
        lambda err: prompts.choose("Type", {"one": "1"}, None, err),
    ],
    ids=["confirm", "ask", "choose"],
)
def test_each_question_comes_after_all_that_was_printed(
    question: Callable[[Console], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown))
    asking = io.StringIO()
    monkeypatch.setattr(asking, "write", lambda text: pytest.fail("early") if not shown.getvalue() else 0)
    monkeypatch.setattr(sys, "stderr", asking)
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\none\n"))
    print("Plan")
    with suppress(click.Abort):
        question(Console(file=asking))
    assert shown.getvalue() == b"Plan\n"
