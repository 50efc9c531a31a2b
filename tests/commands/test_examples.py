"""Every example can be planned and applied, is then in sync, and needs no second apply."""

import json
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import EXAMPLES, Cli, copy_example, stack_of

NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/config.toml"))


def serial_of(state: Path, name: str) -> int:
    with open_store(str(state)) as store:
        snapshot = store.load(stack_of(name))
    assert snapshot is not None
    return snapshot.serial


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("echo", ["all", "certain"])
def test_an_example_converges_and_then_needs_nothing(
    name: str, echo: str, cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.switch(echo=echo)
    copy_example(name, cli.folder, sandbox.registry)

    applied = cli("apply", name)
    assert applied.code == 0, applied.err

    sandbox.clear_requests()
    planned = cli("plan", name, "--json", "--exit-code")
    assert planned.code == 0, planned.err
    document = json.loads(planned.out)
    assert {step["action"] for step in document["steps"]} == {"noop"}
    assert sandbox.requests() != []
    assert sandbox.writes() == []

    serial = serial_of(tmp_path / "state.db", name)
    assert cli("apply", name).code == 0
    assert serial_of(tmp_path / "state.db", name) == serial
    assert sandbox.writes() == []


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_without_state_adopts_an_example_without_writing(
    name: str, cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", name).code == 0
    (tmp_path / "state.db").unlink()
    sandbox.clear_requests()

    document = json.loads(cli("plan", name, "--json").out)
    assert {step["action"] for step in document["steps"]} == {"adopt"}
    assert cli("plan", name, "--exit-code").code == 0
    assert cli("apply", name).code == 0
    assert sandbox.writes() == []
    assert {step["action"] for step in json.loads(cli("plan", name, "--json").out)["steps"]} == {"noop"}


def test_the_documented_training_example_reaches_the_platform_as_written(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("yolov8_training", cli.folder, sandbox.registry)

    applied = cli("apply", "yolov8_training")

    assert applied.code == 0
    assert "YOLOV8" in applied.err, "the SDK does not list it, which is worth a warning"
    version = sandbox.platform.version("MyModel", "v1")
    assert version is not None
    assert version["framework"] == "YOLOV8"
    assert version["type"] == "OBJECT_DETECTION"
    assert version["docker_flags"] == ["--gpus all", "--ipc host", "--name training"]
    assert version["docker_tag"] == "latest"
    assert version["parameters"]["epochs"] > 0


def test_a_repeated_deploy_target_is_deployed_once_from_its_last_row(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("multi_training", cli.folder, sandbox.registry)

    assert cli("apply", "multi_training").code == 0

    rows = [
        (model["name"], version["name"], version["framework"])
        for model in sandbox.platform.models()
        for version in sandbox.platform.versions(model["name"])
    ]
    assert len(rows) == 2
    config = (EXAMPLES / "multi_training" / "config.toml").read_text()
    last = config.rpartition("[[model_versions]]")[2]
    assert any(f'framework = "{framework}"' in last and f'"{name}"' in last for _, name, framework in rows)


def test_a_registration_that_fails_is_finished_by_the_next_apply_without_a_build(
    cli: Cli, sandbox: Sandbox
) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    config = (folder / "config.toml").read_bytes()
    sandbox.fail("POST", "/processings$", 500)

    failed = cli("apply", "dataset_cleanup", "--bump", "minor")

    assert failed.code == 1
    assert "processing/dataset_cleanup" in failed.err
    assert "blocked: input/dataset_cleanup/dataset" in failed.err
    assert (folder / "config.toml").read_bytes() == config, "nothing is written after a failure"
    assert sandbox.platform.processing("dataset_cleanup") is None

    sandbox.clear_requests()
    again = cli("apply", "dataset_cleanup", "--bump", "minor")

    assert again.code == 0, again.err
    assert sandbox.writes(service="registry") == [], "the image was published by the first run"
    assert 'version = "1.1.0"' in (folder / "config.toml").read_text()
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 0
