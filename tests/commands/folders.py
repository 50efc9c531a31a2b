"""Small pipeline folders for tests. Their images build without a base image."""

from pathlib import Path

DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY . /app
ENTRYPOINT ["/bin/busybox", "cat", "/app/pipeline.py"]
"""
PARAMETERS = """\
class ProcessingParameters:
    def __init__(self, log_data):
        self.size = 640
        self.label = "cat"

    def to_dict(self):
        return {"size": self.size, "label": self.label}
"""
INPUTS = """\
from picsellia.types.enums import InferenceType, ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs


class ProcessingInputs(PipelineInputs):
    def __init__(self):
        super().__init__()
        self.define_input(
            name="dataset",
            input_type=ProcessingInputType.DATASET_VERSION,
            inference_type_constraint=InferenceType.SEGMENTATION,
        )
        self.define_input(name="title", input_type=ProcessingInputType.TEXT, required=False)
"""
METADATA = """\
# stays unchanged
[metadata]
name = "{name}"
version = "1.0"
description = "Made for a test."
type = "{type}"

[execution]
pipeline_script = "pipeline.py"
requirements_file = "requirements.txt"
parameters_class = "parameters.py:ProcessingParameters"
"""


def processing(folder: Path, image_name: str, busybox: Path | None = None) -> Path:
    """A processing pipeline at `folder`, with two inputs and two parameters."""
    _common(folder, "DATASET_VERSION_CREATION", busybox)
    (folder / "inputs.py").write_text(INPUTS)
    with (folder / "config.toml").open("a") as config:
        config.write('inputs_class = "inputs.py:ProcessingInputs"\n\n')
        config.write(f'[docker]\nimage_name = "{image_name}"\nimage_tag = ""\ncpu = "4"\ngpu = 1\n')
    return folder


def training(folder: Path, image_name: str, busybox: Path | None = None) -> Path:
    """A training pipeline at `folder`, with one deploy target."""
    _common(folder, "TRAINING", busybox)
    with (folder / "config.toml").open("a") as config:
        config.write(f'\n[docker]\nimage_name = "{image_name}"\nimage_tag = ""\n')
        config.write(
            '\n[model_version]\norigin_name = "Detector"\nname = "v1"\n'
            'framework = "ONNX"\ninference_type = "OBJECT_DETECTION"\n'
        )
    return folder


def _common(folder: Path, kind: str, busybox: Path | None) -> None:
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(METADATA.format(name=folder.name, type=kind))
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text(".venv/\n__pycache__/\n*.pyc\n")
    (folder / "pipeline.py").write_text('print("hello")\n')
    (folder / "parameters.py").write_text(PARAMETERS)
    (folder / "requirements.txt").touch()
    # Tests without busybox never build the image.
    (folder / "busybox").write_bytes(b"" if busybox is None else busybox.read_bytes())
    (folder / "busybox").chmod(0o755)
