"""The resources that several pipelines declare, and the environments that run the same images."""

from pathlib import Path

import pytest

from reconciler.core.values import Address
from reconciler.pipeline.config import load
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.sharing import channels, shared_resources
from tests.pipeline.test_channels import PAIRS, environments, pipeline

TRAINING = """\
[metadata]
name = "training"
version = "1.0.0"
description = ""
type = "TRAINING"
[execution]
pipeline_script = "pipeline.py"
requirements_file = "requirements.txt"
[docker]
image_name = "{image}"
image_tag = ""
[model_version]
origin_name = "{model}"
name = "{version}"
framework = "PYTORCH"
inference_type = "CLASSIFICATION"
"""


def training(folder: Path, image: str, model: str, version: str) -> Pipeline:
    folder.mkdir()
    (folder / "config.toml").write_text(TRAINING.format(image=image, model=model, version=version))
    loaded = load(folder)
    assert loaded.config is not None, loaded.diagnostics
    return Pipeline(folder, "training", loaded.config, loaded, None, None)


def shared(*pipelines: Pipeline) -> dict[str, tuple[list[str], bool]]:
    return {
        str(one.address): ([user.folder.name for user in one.pipelines], one.is_exclusive)
        for one in shared_resources(pipelines)
    }


def test_a_model_with_a_version_of_each_pipeline_is_shared(tmp_path: Path) -> None:
    a = training(tmp_path / "a", "team/a", "Detector", "a")
    b = training(tmp_path / "b", "team/b", "Detector", "b")
    other = training(tmp_path / "c", "team/c", "Classifier", "a")
    assert shared(a, b, other) == {"model/Detector": (["a", "b"], False)}


def test_what_belongs_to_one_pipeline_is_named_without_its_model(tmp_path: Path) -> None:
    a = training(tmp_path / "a", "team/same", "Detector", "v1")
    b = training(tmp_path / "b", "team/same", "Detector", "v1")
    assert shared(a, b) == {
        "image/team/same": (["a", "b"], True),
        "model-version/Detector/v1": (["a", "b"], True),
    }
    third = training(tmp_path / "c", "team/c", "Detector", "v2")
    assert shared(a, b, third)["model/Detector"] == (["a", "b", "c"], False)


def test_two_processings_with_one_name_are_named_once(tmp_path: Path) -> None:
    one = pipeline(tmp_path, "")
    assert [one.address for one in shared_resources([one, one])] == sorted(
        [Address("image", tuple(one.config.docker.image_name.split("/"))), Address.of("processing", one.name)]
    )


def test_pipelines_without_common_resources_share_nothing(tmp_path: Path) -> None:
    assert (
        shared(training(tmp_path / "a", "team/a", "A", "v1"), training(tmp_path / "b", "t/b", "B", "v1"))
        == {}
    )
    assert shared() == {}


@pytest.mark.parametrize(("staging", "prod"), PAIRS)
def test_an_environment_is_led_by_the_one_whose_tag_it_registers(
    tmp_path: Path, staging: str, prod: str
) -> None:
    tags = {"nothing": "latest", 'channel = "one"': "one", 'channel = "other"': "other"}
    ours = tags.get(staging)
    theirs = ours if "follows" in prod and ours else tags.get(prod)
    keys = {"nothing": ""}

    found = channels(
        [pipeline(tmp_path, environments(STAGING=keys.get(staging, staging), PROD=keys.get(prod, prod)))]
    )

    assert [one.environment for one in found] == ["STAGING", "PROD"]
    assert found[0].tags == ((ours,) if ours else ())
    assert found[0].leaders == {}
    together = ours is not None and ours == theirs
    assert found[1].leaders == ({"STAGING": (ours,)} if together else {})
    assert found[1].is_declared == (not together or "follows" in prod)


def test_an_environment_comes_after_those_that_it_follows(tmp_path: Path) -> None:
    tables = environments(EU='host = "https://eu.example.com"\nfollows = "PROD"', PROD='channel = "live"')
    found = channels([pipeline(tmp_path, tables)])
    assert [(one.environment, list(one.leaders)) for one in found] == [("PROD", []), ("EU", ["PROD"])]


def test_without_environments_and_without_pipelines_there_are_no_channels(tmp_path: Path) -> None:
    assert channels([pipeline(tmp_path, "")]) == []
    assert channels([]) == []
