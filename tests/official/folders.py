"""The official templates as their user would have them before a deploy: named, and with targets to train.

What `init` leaves empty is filled in. Picsellia's base images, and the network that their Dockerfiles install
from, are out of reach here: our own builder appends to the sandbox's base image, and a Dockerfile for the
official CLI holds the folder and nothing else.
"""

import re
import shutil
from pathlib import Path

from providers.sandbox import Sandbox
from reconciler.pipeline.toml.edits import Edits
from reconciler.pipeline.toml.toml_edits import apply_edits
from tests.conftest import copy_example
from tests.official.installed import TRAININGS

DOCKERFILE = """\
FROM scratch
COPY ./ /experiment/{name}
ENV PYTHONPATH="/experiment"
ENTRYPOINT ["run", "python3.10", "{name}/pipeline.py"]
"""


def ready(template: Path, folder: Path, sandbox: Sandbox) -> Path:
    """The template in a folder of its own name below `folder`, ready to be deployed to the sandbox."""
    name = template.name
    pipeline = folder / name
    shutil.copytree(template, pipeline)
    (pipeline / "Dockerfile").write_text(DOCKERFILE.format(name=name))
    edit(
        pipeline,
        {
            ("docker", "image_name"): f"{sandbox.registry}/templates/{name}",
            ("docker", "cpu"): 4,
            ("docker", "gpu"): 1,
            ("reconciler", "image", "builder"): "append",
            ("reconciler", "image", "base"): f"{sandbox.registry}/base/python:3.11",
            ("reconciler", "image", "workdir"): f"/experiment/{name}",
            ("reconciler", "image", "entrypoint"): ["python3.10", "pipeline.py"],
        },
    )
    if name in TRAININGS:
        target = {
            "origin_name": name,
            "name": "v1",
            "framework": "ONNX",
            "inference_type": "OBJECT_DETECTION",
        }
        edit(pipeline, {("model_version", key): value for key, value in target.items()})
    return pipeline


def example(name: str, folder: Path, sandbox: Sandbox) -> Path:
    """One of our examples, with a Dockerfile that needs no base image."""
    pipeline = copy_example(name, folder, sandbox.registry)
    (pipeline / "Dockerfile").write_text(DOCKERFILE.format(name=name))
    return pipeline


def older(pipeline: Path) -> None:
    """Make its config.toml one of the older form: other names for scripts, numbers as text, no inputs."""
    config = pipeline / "config.toml"
    text = config.read_text()
    text = text.replace(
        "\npipeline_script =", '\nlocal_pipeline_script = "pipeline.py"\npicsellia_pipeline_script ='
    )
    text = re.sub(r"^inputs_class.*\n", "", text, flags=re.MULTILINE)
    config.write_text(text)
    edit(pipeline, {("docker", "cpu"): "4", ("docker", "gpu"): "1"})


def edit(pipeline: Path, edits: Edits) -> None:
    """The user edits config.toml."""
    config = pipeline / "config.toml"
    config.write_text(apply_edits(config.read_text(), edits))
