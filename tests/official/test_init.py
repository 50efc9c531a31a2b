"""What `reconciler init` writes is a pipeline for the official CLI, and has the form of its own `init`."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from providers.enums import TRAINING
from providers.sandbox import Sandbox
from reconciler.pipeline.new_pipeline import TYPES
from tests.commands.test_init import options_of
from tests.conftest import Cli
from tests.official import folders
from tests.official.conftest import Deploy
from tests.official.installed import Official
from tests.official.test_round_trip import STEPS, Trip

pytestmark = pytest.mark.official

SAME_TYPE = {
    "DATASET_VERSION_CREATION": "dataset_version_template",
    "DATA_AUTO_TAGGING": "datalake_template",
    "MODEL_CONVERSION": "model_version_template",
    TRAINING: "simple_template",
}
"""The template of the official CLI for a pipeline of this type, with an inputs class where it has one."""

READ = """
import json
from picsellia_pipelines_cli.main import get_pipeline_type
from picsellia_pipelines_cli.utils.pipeline_config import PipelineConfig
from picsellia_pipelines_cli.utils.pipeline_types import (
    is_processing_pipeline_type, is_training_pipeline_type,
)
kind = get_pipeline_type("mine")
config = PipelineConfig("mine")
known = is_processing_pipeline_type(kind) or is_training_pipeline_type(kind)
script = config.get_script_path("pipeline_script").is_file()
print(json.dumps([kind, known, script, config.extract_default_parameters(), config.extract_default_inputs()]))
"""


@pytest.mark.parametrize("kind", TYPES)
def test_the_official_cli_reads_type_script_and_classes(
    kind: str, cli: Cli, sandbox: Sandbox, official: Official, cv_engine: Path, home: Path
) -> None:
    assert cli("init", "mine", *options_of(kind, sandbox.registry)).code == 0

    environment = {"HOME": str(home), "PYTHONPATH": str(cv_engine)}
    printed = official.code(READ, cwd=cli.folder, environment=environment)

    parameters = {"epochs": 3, "batch_size": 8} if kind == TRAINING else {"threshold": 0.5}
    optional = {"required": False, "inference_type_constraint": None, "framework_constraint": None}
    inputs = None if kind == TRAINING else [{"name": "title", "input_type": "TEXT", **optional}]
    assert json.loads(printed.splitlines()[-1]) == [kind, True, True, parameters, inputs]


@pytest.mark.parametrize("kind", SAME_TYPE)
def test_the_folder_has_the_form_of_the_official_one(
    kind: str, cli: Cli, sandbox: Sandbox, templates: Path
) -> None:
    assert cli("init", "mine", *options_of(kind, sandbox.registry)).code == 0
    theirs = templates / SAME_TYPE[kind]

    assert files(cli.folder / "mine") == files(theirs)
    assert keys(cli.folder / "mine" / "config.toml", "reconciler", "cpu", "gpu") == keys(
        theirs / "config.toml"
    )
    ours, official = (read(folder / "config.toml")["execution"] for folder in (cli.folder / "mine", theirs))
    assert ours == official
    run = "runs/run_config.toml"
    assert {*read(cli.folder / "mine" / run)} == {*read(theirs / run)}


def files(folder: Path) -> set[str]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts}


def read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text())


def keys(file: Path, *without: str) -> set[tuple[str, str]]:
    """Each table with each of its keys."""
    tables = read(file).items()
    return {
        (table, key) for table, row in tables if table not in without for key in row if key not in without
    }


@pytest.mark.docker
@pytest.mark.parametrize("kind", ["PRE_ANNOTATION", TRAINING])
def test_a_new_pipeline_there_and_back(
    kind: str, cli: Cli, sandbox: Sandbox, official_deploy: Deploy
) -> None:
    """Through both tools in turn, with a Dockerfile that needs no base image."""
    made = cli("init", "mine", *options_of(kind, sandbox.registry))
    assert made.code == 0, made.err
    (cli.folder / "mine" / "Dockerfile").write_text(folders.DOCKERFILE.format(name="mine"))
    trip = Trip(cli.folder / "mine", cli, sandbox, official_deploy)
    for step in STEPS:
        step(trip)
