"""Each row of the official documentation of `deploy`, kept by ours: expected values are that document's."""

import os
import re
import tomllib
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from reconciler.credentials import saved
from reconciler.credentials.saved import Login
from reconciler.credentials.target import resolve
from reconciler.pipeline.toml.edits import Edits
from tests.commands.terminal import Terminal, terminal
from tests.commands.untouched import snapshot
from tests.conftest import Cli, copy_example
from tests.official.folders import edit

NAME = "dataset_cleanup"
TRAINING_FLAGS = ["--gpus all", "--ipc host", "--name training"]
AtTerminal = Callable[..., AbstractContextManager[Terminal]]


@pytest.fixture
def pipeline(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(NAME, cli.folder, sandbox.registry)


@pytest.fixture
def training(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example("single_training", cli.folder, sandbox.registry)


@pytest.fixture
def at_terminal(cli: Cli, sandbox: Sandbox) -> AtTerminal:
    """`reconciler deploy` with these arguments, as somebody in the folder of pipelines runs it."""
    return lambda *arguments: terminal("deploy", *arguments, cwd=cli.folder, environment=os.environ)


def config(pipeline: Path) -> dict[str, Any]:
    return tomllib.loads((pipeline / "config.toml").read_text())


def without(pipeline: Path, *keys: str) -> None:
    """The user has not answered these yet: as `init` leaves them, empty or absent."""
    file = pipeline / "config.toml"
    text = file.read_text()
    for key in keys:
        text = re.sub(rf"^{key} = .*\n", f'{key} = ""\n' if key == "image_name" else "", text, flags=re.M)
    file.write_text(text)


def tags(pipeline: Path) -> dict[str, str | None]:
    """What each tag of the image names, in the registry."""
    with RegistryClient(config(pipeline)["docker"]["image_name"]) as client:
        return {tag: client.digest(tag) for tag in ("1.0.0", "1.0.1", "1.0.1-rc", "latest", "test")}


def test_row_1_type_and_description_are_read_and_shown(cli: Cli, pipeline: Path) -> None:
    shown = cli("deploy", NAME).out
    assert f"{NAME}  DATASET_VERSION_CREATION  1.0.0\n" in shown
    assert "  Copies a dataset version without blurred and duplicated images.\n" in shown


def test_row_2_the_image_name_is_asked_for_when_empty_and_saved(
    pipeline: Path, sandbox: Sandbox, at_terminal: AtTerminal
) -> None:
    without(pipeline, "image_name")
    short, name = f"{sandbox.registry}/cleanup", f"{sandbox.registry}/my-project/cleanup"
    with at_terminal(NAME) as screen:
        screen.expect("Docker image name  user/pipeline_name, or registry/project/pipeline_name")
        screen.answer("Not A Name")
        screen.expect("Error: docker.image_name 'Not A Name' is not an image name")
        screen.answer(short)
        screen.expect(f"many registries require a project in it: {sandbox.registry}/project/cleanup")
        screen.expect(f"Enter for {short}, as you typed it")
        screen.answer(name)
        screen.expect("Deploy this? [Y/n]: ")
        screen.type("")
        assert screen.end() == 0
    assert config(pipeline)["docker"]["image_name"] == name
    assert tags(pipeline)["1.0.0"] is not None


def test_row_3_the_bump_is_asked_for_only_when_one_is_needed(
    cli: Cli, pipeline: Path, at_terminal: AtTerminal
) -> None:
    assert "no new version: 1.0.0 is new, so it needs no bump" in cli("deploy", NAME).err
    again = cli("deploy", NAME)
    assert "no new version: 1.0.0 is published from this source" in again.err
    assert "Nothing to do" in again.out
    (pipeline / "pipeline.py").write_text("print('other')\n")
    with at_terminal(NAME) as screen:
        screen.expect("(pipeline.py changed)")
        screen.expect("? Version bump")
        for kind, version in (("patch", "1.0.1"), ("minor", "1.1.0"), ("major", "2.0.0"), ("rc", "1.0.1-rc")):
            screen.expect(kind)
            screen.expect(f"1.0.0 -> {version}")
        screen.expect("Enter for patch, the smallest bump")
        screen.answer("huge")
        screen.expect("Error: 'huge' is not one of")
        screen.answer("")
        screen.expect("Deploy this? [Y/n]: ")
        screen.type("")
        assert screen.end() == 0
    assert config(pipeline)["metadata"]["version"] == "1.0.1"
    assert config(pipeline)["docker"]["image_tag"] == "latest"


@pytest.mark.parametrize(
    ("start", "kind", "version", "tag"),
    [
        ("1.0", "patch", "1.0.1", "latest"),
        ("1.0", "minor", "1.1.0", "latest"),
        ("1.0", "major", "2.0.0", "latest"),
        ("1.0", "rc", "1.0.1-rc", "test"),
        ("1.0.1-rc", "final", "1.0.1", "latest"),
    ],
)
def test_row_3_the_bump_is_an_option_and_gives_version_and_tag(
    cli: Cli, pipeline: Path, start: str, kind: str, version: str, tag: str
) -> None:
    edit(pipeline, {("metadata", "version"): start})
    assert cli("deploy", NAME, "--bump", kind).code == 0
    assert (config(pipeline)["metadata"]["version"], config(pipeline)["docker"]["image_tag"]) == (
        version,
        tag,
    )


def test_row_4_cpu_and_gpu_are_asked_for_when_missing_and_saved_as_integers(
    pipeline: Path, at_terminal: AtTerminal
) -> None:
    without(pipeline, "cpu", "gpu")
    with at_terminal(NAME) as screen:
        screen.expect("? CPU cores")
        screen.expect("Enter for 4, ")
        for wrong in ("2.5", "-1", "many"):
            screen.answer(wrong)
            screen.expect("Error: docker.cpu must be a whole number from 0")
        screen.answer("")
        screen.expect("? GPUs")
        screen.expect("Enter for 0, no GPU; a higher number adds the flags --gpus=all and --ipc=host")
        screen.answer("2")
        screen.expect("Deploy this? [Y/n]: ")
        screen.type("")
        assert screen.end() == 0
    docker = config(pipeline)["docker"]
    assert (docker["cpu"], docker["gpu"]) == (4, 2)
    assert {type(docker["cpu"]), type(docker["gpu"])} == {int}


def test_row_5_the_new_version_and_latest_are_pushed_or_test_for_an_rc(cli: Cli, pipeline: Path) -> None:
    assert cli("deploy", NAME).code == 0
    first = tags(pipeline)
    assert first["1.0.0"] == first["latest"] is not None
    assert first["test"] is None
    (pipeline / "pipeline.py").write_text("print('other')\n")
    assert cli("deploy", NAME, "--bump", "rc").code == 0
    second = tags(pipeline)
    assert second["1.0.1-rc"] == second["test"] is not None
    assert second["latest"] == first["latest"] != second["test"]


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ("PROD", "https://app.picsellia.com"),
        ("STAGING", "https://staging.picsellia.com"),
        ("LOCAL", "http://localhost:8000"),
    ],
)
def test_row_6_an_environment_is_a_host(home: Path, environment: str, host: str) -> None:
    saved.save(Login("my-org", environment), "saved-token")
    for used in (resolve("my-org", environment), resolve(None, None)):  # the saved context names both
        assert (used.organization, used.host, used.token) == ("my-org", host, "saved-token")


def test_row_6_token_and_organization_from_what_the_official_login_saves(
    cli: Cli, pipeline: Path, sandbox: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV", "PICSELLIA_CUSTOM_ENV"):
        monkeypatch.delenv(name)
    assert cli("deploy", NAME, "--organization", sandbox.organization, "--env", "CUSTOM").code == 1
    saved.save(Login(sandbox.organization, "CUSTOM"), sandbox.token, sandbox.url)
    assert cli("deploy", NAME).code == 0


def test_row_7_the_processing_is_created_then_updated_with_image_and_resources(
    cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    def registered() -> tuple[Any, ...]:
        found = sandbox.platform.processing(NAME)
        assert found is not None
        return tuple(found[key] for key in ("docker_image", "docker_tag", "default_cpu", "default_gpu"))

    image = f"{sandbox.registry}/examples/{NAME}"
    assert cli("deploy", NAME).code == 0
    assert registered() == (image, "latest", 4, 0)
    edit(pipeline, {("docker", "cpu"): 8, ("docker", "gpu"): 1})
    assert cli("deploy", NAME, "--bump", "rc").code == 0
    assert registered() == (image, "test", 8, 1)
    assert len(sandbox.platform.processings()) == 1


def test_row_8_new_inputs_are_added_existing_updated_undeclared_removed(
    cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    assert cli("deploy", NAME).code == 0
    before = {found["name"]: found for found in sandbox.platform.inputs(NAME)}
    inputs = pipeline / "utils" / "inputs.py"
    text = inputs.read_text().replace('"archive"', '"storage"')
    inputs.write_text(text.replace("ProcessingInputType.TEXT, required=False", "ProcessingInputType.TEXT"))
    assert cli("deploy", NAME, "--bump", "patch").code == 0
    after = {found["name"]: found for found in sandbox.platform.inputs(NAME)}
    assert before.keys() - after.keys() == {"archive"}
    assert after.keys() - before.keys() == {"storage"}
    assert (before["report_title"]["required"], after["report_title"]["required"]) == (False, True)
    assert all(after[name] == before[name] for name in before.keys() & after.keys() - {"report_title"})


def test_row_training_a_target_gets_image_tag_parameters_and_flags(
    cli: Cli, training: Path, sandbox: Sandbox
) -> None:
    assert sandbox.platform.model("DefectClassifier") is None
    ended = cli("deploy", "single_training")
    assert ended.code == 0
    version = sandbox.platform.version("DefectClassifier", "v1")
    assert version is not None
    assert (version["docker_image"], version["docker_tag"]) == (
        f"{sandbox.registry}/examples/single_training",
        "latest",
    )
    assert (version["framework"], version["type"]) == ("PYTORCH", "CLASSIFICATION")
    assert version["docker_flags"] == TRAINING_FLAGS
    assert version["parameters"]["epochs"] == 3
    assert f"{sandbox.url}/model/version/{version['id']}" in ended.out
    assert sandbox.platform.processings() == [], "a training has no processing"


def test_row_training_a_target_that_exists_is_updated_and_not_made_again(
    cli: Cli, training: Path, sandbox: Sandbox
) -> None:
    sandbox.platform.create_model("DefectClassifier")
    made = sandbox.platform.create_version("DefectClassifier", "v1", docker_image="old/image")
    assert cli("deploy", "single_training").code == 0
    [version] = sandbox.platform.versions("DefectClassifier")
    assert version["id"] == made["id"]
    assert version["docker_image"] == f"{sandbox.registry}/examples/single_training"


def test_row_training_several_targets_get_one_image_and_the_last_of_a_pair_wins(
    cli: Cli, sandbox: Sandbox
) -> None:
    copy_example("multi_training", cli.folder, sandbox.registry)
    assert cli("deploy", "multi_training").code == 0
    versions = {found["name"]: found for found in sandbox.platform.versions("SiteDetector")}
    assert versions.keys() == {"lyon", "lille"}
    assert {found["docker_image"] for found in versions.values()} == {
        f"{sandbox.registry}/examples/multi_training"
    }
    assert versions["lyon"]["framework"] == "ONNX"


def test_row_training_framework_and_type_are_not_configured_by_default(
    cli: Cli, training: Path, sandbox: Sandbox
) -> None:
    without(training, "framework", "inference_type")
    assert cli("deploy", "single_training").code == 0
    version = sandbox.platform.version("DefectClassifier", "v1")
    assert version is not None
    assert (version["framework"], version["type"]) == ("NOT_CONFIGURED", "NOT_CONFIGURED")


@pytest.mark.parametrize(
    ("targets", "told"),
    [
        ('[model_version]\nid = "018f"\n', ["origin_name", "name", "framework", "inference_type"]),
        ("", ["[model_version]", "[[model_versions]]"]),
        (
            '[model_version]\norigin_name = "A"\nname = "1"\n'
            '[[model_versions]]\norigin_name = "B"\nname = "1"\n',
            ["[model_version]", "[[model_versions]]"],
        ),
    ],
    ids=["only an id", "none", "both"],
)
def test_row_training_exactly_one_of_two_and_what_is_missing_is_named(
    cli: Cli, training: Path, sandbox: Sandbox, targets: str, told: list[str]
) -> None:
    file = training / "config.toml"
    before, rest = file.read_text().split("[model_version]")
    file.write_text(f"{before}{targets}\n{rest[rest.index('[reconciler.image]') :]}")
    ended = cli("deploy", "single_training")
    assert ended.code == 1
    assert "single_training/config.toml" in ended.err
    assert [word for word in told if word not in ended.err] == []
    assert sandbox.writes() == []


def test_row_training_run_config_is_never_used(cli: Cli, training: Path, sandbox: Sandbox) -> None:
    run_config = training / "runs" / "run1" / "run_config.toml"
    run_config.parent.mkdir(parents=True, exist_ok=True)
    run_config.write_text('[input.model_version]\nid = "00000000-0000-0000-0000-000000000000"\n')
    assert cli("deploy", "single_training").code == 0
    assert [model["name"] for model in sandbox.platform.models()] == ["DefectClassifier"]


@pytest.mark.parametrize("question", ["image", "bump", "go on"])
def test_ctrl_c_at_a_question_leaves_everything_untouched(
    question: str, cli: Cli, pipeline: Path, sandbox: Sandbox, at_terminal: AtTerminal
) -> None:
    if question == "image":
        without(pipeline, "image_name")
    if question == "bump":
        assert cli("deploy", NAME).code == 0
        (pipeline / "pipeline.py").write_text("print('other')\n")
    before = snapshot(cli.folder)
    sandbox.clear_requests()
    asked = {"image": "? Docker image name", "bump": "? Version bump", "go on": "Deploy this? [Y/n]: "}
    with at_terminal(NAME) as screen:
        screen.expect(asked[question])
        if question != "go on":
            screen.expect("> ")
        screen.interrupt()
        assert screen.end() == 130
    assert "Traceback" not in screen.shown
    assert snapshot(cli.folder) == before
    assert sandbox.writes() == []
    assert cli("deploy", NAME, "--image", f"{sandbox.registry}/a/b", "--bump", "patch").code == 0, (
        "no lock is left behind"
    )


def test_without_a_terminal_all_that_is_missing_is_told_with_its_option(
    cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    without(pipeline, "image_name", "cpu", "gpu")
    before = snapshot(cli.folder)
    ended = cli("deploy", NAME)
    assert ended.code == 1
    assert [o for o in ("--image NAME", "--cpu NUMBER", "--gpu NUMBER") if o not in ended.err] == []
    assert snapshot(cli.folder) == before
    options = ("--image", f"{sandbox.registry}/my-project/cleanup", "--cpu", "2", "--gpu", "0")
    assert cli("deploy", NAME, *options).code == 0


def test_an_answer_goes_where_the_environment_has_the_value(
    cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    overlay: Edits = {("reconciler", "env", "CUSTOM", "docker", "image_name"): ""}
    edit(pipeline, overlay)
    shared = config(pipeline)["docker"]["image_name"]
    name = f"{sandbox.registry}/custom/cleanup"
    ended = cli("deploy", NAME, "--image", name)
    assert ended.code == 0, ended.err
    written = config(pipeline)
    assert written["docker"]["image_name"] == shared
    assert written["reconciler"]["env"]["CUSTOM"]["docker"]["image_name"] == name
    processing = sandbox.platform.processing(NAME)
    assert processing is not None and processing["docker_image"] == name


def test_an_answer_that_was_not_saved_is_told(cli: Cli, pipeline: Path, sandbox: Sandbox) -> None:
    assert cli("deploy", NAME).code == 0
    sandbox.platform.edit_processing(NAME, default_cpu=32)
    ended = cli("deploy", NAME, "--cpu", "8", "--bump", "patch")
    assert ended.code == 12
    assert "conflict: processing/dataset_cleanup" in ended.err
    assert "Not saved in config.toml, because nothing was applied: cpu 8\n" in ended.err
    assert config(pipeline)["docker"]["cpu"] == "4"


def test_help_answers_what_a_user_of_the_official_one_asks(cli: Cli) -> None:
    helped = cli("deploy", "--help").out
    for option in ("--organization", "--env", "--bump", "--image", "--cpu", "--gpu", "--yes"):
        assert option in helped
    assert "PROD|STAGING|LOCAL|CUSTOM" in helped
    assert "patch|minor|major|rc|final" in helped
