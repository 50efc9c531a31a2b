"""Writes the vendor's repository of pipelines into a folder.

`repository.json` has the facts of its config.toml files. The classes, scripts and Dockerfiles are made up.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PIPELINES: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("repository.json").read_text(encoding="utf-8")
)["pipelines"]

WITHOUT_TARGET = (
    *("pipelines/clip/training", "pipelines/paddle_ocr", "pipelines/sam2/training"),
    *("pipelines/training_grounding_dino", "pipelines/yolov8/fast_training"),
)
WITHOUT_IMAGE = ("pipelines/YOLOv8_OBB", "pipelines/sam2/training", "pipelines/training_grounding_dino")
UPPER_CASE = "pipelines/polygons_to_RLE_mask"
ONE_IMAGE = ("pipelines/bounding_box_cropper", "pipelines/shapes-cropper")
ONE_TRAINING = ("pipelines/YOLOv8_OBB", "pipelines/YOLOv8_OBB/training")

DOCKERFILE = """\
FROM picsellia/cpu:python3.10
WORKDIR /experiment
COPY ./ {name}
ENV PYTHONPATH="/experiment"
ENTRYPOINT ["run", "python3.10", "{name}/pipeline.py"]
"""
PARAMETERS = """\
from picsellia_cv_engine.core.parameters import Parameters


class {name}(Parameters):
    def __init__(self, log_data):
        super().__init__(log_data=log_data)
        self.epochs = self.extract_parameter(["epochs"], expected_type=int, default={number})
"""
INPUTS = """\
from picsellia.types.enums import ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs


class {name}(PipelineInputs):
    def __init__(self):
        super().__init__()
        self.define_input(name="dataset", input_type=ProcessingInputType.DATASET_VERSION)
"""


def write_repository(root: Path, pipelines: Iterable[Mapping[str, Any]] = PIPELINES) -> None:
    """Write these pipelines, each into its folder below `root`."""
    for number, pipeline in enumerate(pipelines, 1):
        folder = root / pipeline["folder"]
        _write(folder / "config.toml", config(pipeline))
        name = folder.name
        _write(folder / "Dockerfile", DOCKERFILE.format(name=name))
        _write(folder / "pipeline.py", f'print("{pipeline["folder"]}")\n')
        _write(folder / "requirements.txt", "picsellia-cv-engine\n")
        _write(folder / ".dockerignore", "training\n")
        for key, text in (("parameters_class", PARAMETERS), ("inputs_class", INPUTS)):
            if pipeline[key] is not None:
                file, _, class_name = pipeline[key].partition(":")
                _write(folder / file, text.format(name=class_name, number=number))


def mended(registry: str) -> list[dict[str, Any]]:
    """The pipelines without their faults, with images in this registry."""
    pipelines = []
    for given in PIPELINES:
        pipeline = dict(given)
        folder = pipeline["folder"]
        if folder == ONE_TRAINING[0]:
            continue
        if folder in WITHOUT_TARGET:
            pipeline["model_version"] = {
                "name": "v1",
                "origin_name": folder.split("/")[1],
                "framework": "PYTORCH",
                "inference_type": "OBJECT_DETECTION",
            }
        if folder in WITHOUT_IMAGE or folder == ONE_IMAGE[1]:
            pipeline["image_name"] = "picsellia/" + folder.removeprefix("pipelines/").replace("/", "-")
        pipeline["image_name"] = f"{registry}/{pipeline['image_name'].lower()}"
        pipelines.append(pipeline)
    return pipelines


def write_mended(root: Path, registry: str) -> list[str]:
    """Write the repository without its faults, with defaults for its images. Returns the folders."""
    pipelines = mended(registry)
    write_repository(root, pipelines)
    with (root / "reconciler.toml").open("a") as file:
        file.write(DEFAULTS.format(registry=registry))
    return [pipeline["folder"] for pipeline in pipelines]


DEFAULTS = """
[defaults.image]
builder = "append"
base = "{registry}/base/python:3.11"
workdir = "/experiment"
entrypoint = ["python", "pipeline.py"]
"""


def config(pipeline: Mapping[str, Any]) -> str:
    """The config.toml of a pipeline, in the form that the official CLI writes."""
    lines = ["[metadata]"]
    lines += _pairs(pipeline, "name", "version")
    lines += ['description = ""', *_pairs(pipeline, "type"), "", "[execution]"]
    lines += ['pipeline_script = "pipeline.py"', 'requirements_file = "requirements.txt"']
    lines += _pairs(pipeline, "parameters_class", "inputs_class")
    lines += ["", "[docker]", *_pairs(pipeline, "image_name", "image_tag", "cpu", "gpu")]
    if pipeline["model_version"] is not None:
        target = pipeline["model_version"]
        lines += ["", "[model_version]", *_pairs(target, *target)]
    return "\n".join(lines) + "\n"


def _pairs(table: Mapping[str, Any], *keys: str) -> list[str]:
    return [f"{key} = {json.dumps(table[key])}" for key in keys if table[key] is not None]


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
