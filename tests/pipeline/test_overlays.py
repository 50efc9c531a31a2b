"""`[reconciler.env.NAME]`: values for one environment, their lines, and edits of them."""

import tomllib
from pathlib import Path

from reconciler.pipeline.config import LoadedConfig, load, read
from reconciler.pipeline.load import load_pipeline
from reconciler.pipeline.toml.keyed import keyed_document, keyed_tables
from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.pipeline.version import parse

PROCESSING = """\
[metadata]
name = "cleanup"
version = "1.0"
type = "DATASET_VERSION_CREATION"

[execution]
pipeline_script = "pipeline.py"

[docker]
image_name = "team/cleanup"
image_tag = "latest"
cpu = 4
gpu = 0

[reconciler]
pin = "version"

[reconciler.env.PROD.docker]
cpu = 8          # more data there
image_name = "prod/cleanup"

[reconciler.env.PROD.reconciler]
pin = "channel"
"""
TRAINING = """\
[metadata]
name = "train"
version = "1.0"
type = "TRAINING"

[execution]
pipeline_script = "pipeline.py"

[docker]
image_name = "team/train"
image_tag = "latest"

[model_version]
origin_name = "Detector"
name = "v1"
framework = "ONNX"
"""


def seen(text: str, environment: str | None) -> LoadedConfig:
    loaded = read(text, Path("config.toml"), environment)
    assert loaded.diagnostics == ()
    return loaded


def test_an_overlay_applies_to_its_environment_only() -> None:
    prod, staging = seen(PROCESSING, "PROD").config, seen(PROCESSING, "STAGING").config
    shared = seen(PROCESSING, None).config
    assert prod and staging and shared

    assert (prod.docker.cpu, prod.docker.image_name, prod.reconciler.pin) == (8, "prod/cleanup", "channel")
    assert (staging.docker.cpu, staging.docker.image_name, staging.reconciler.pin) == (
        4,
        "team/cleanup",
        "version",
    )
    assert staging == shared
    assert prod.docker.gpu == 0, "what the overlay does not say is what all of them share"


def test_a_problem_in_an_overlay_has_the_overlays_line() -> None:
    assert seen(PROCESSING, "PROD").line_of("docker", "cpu") == 19
    assert seen(PROCESSING, "STAGING").line_of("docker", "cpu") == 12
    assert seen(PROCESSING, "PROD").line_of("docker", "gpu") == 13

    broken = PROCESSING.replace("cpu = 8 ", 'cpu = "2.5" ')
    (problem,) = read(broken, Path("config.toml"), "PROD").diagnostics
    assert problem.line == 19
    assert read(broken, Path("config.toml"), "STAGING").diagnostics == ()


def test_a_target_of_one_environment_replaces_the_shared_one() -> None:
    rows = "".join(
        f'\n[[reconciler.env.PROD.model_versions]]\norigin_name = "Live"\nname = "{name}"\n' for name in "ab"
    )
    one = seen(TRAINING + '\n[reconciler.env.STAGING.model_version]\nname = "next"\n', "STAGING").config
    many = seen(TRAINING + rows, "PROD").config
    assert one and many

    assert [
        (target.origin_name, target.name, target.fields["model-version"]["framework"])
        for target in one.targets
    ] == [("Detector", "next", "ONNX")]
    assert [(target.origin_name, target.name) for target in many.targets] == [("Live", "a"), ("Live", "b")]


def test_edits_change_the_overlay_if_it_has_the_value(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(PROCESSING)

    loaded = load(tmp_path, {("docker", "cpu"): 16, ("docker", "gpu"): 1}, "PROD")

    assert loaded.config
    assert (loaded.config.docker.cpu, loaded.config.docker.gpu) == (16, 1)
    assert loaded.text == PROCESSING.replace("cpu = 8 ", "cpu = 16 ").replace("gpu = 0", "gpu = 1")
    assert apply_edits(loaded.on_disk, loaded.edits) == loaded.text


def test_a_version_in_an_overlay_is_bumped_there_and_is_not_source(tmp_path: Path) -> None:
    text = PROCESSING + '\n[reconciler.env.PROD.metadata]\nversion = "0.9"\n'
    (tmp_path / "config.toml").write_text(text)
    pipeline, _ = load_pipeline(tmp_path, environment="PROD")
    assert pipeline is not None

    bumped = pipeline.at(parse("0.9.1"))

    assert bumped.loaded.text == text.replace('"0.9"', '"0.9.1"')
    source, other = tomllib.loads(text), tomllib.loads(text.replace("cpu = 8", "cpu = 9"))
    assert keyed_document(bumped.loaded.document) == keyed_document(source)
    assert keyed_document(other) != keyed_document(source)
    assert keyed_tables(bumped.loaded.document) == keyed_tables(source) == keyed_tables(other)
