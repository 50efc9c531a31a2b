"""Small pipelines to read: a valid config.toml of each kind, and a folder to put files in."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROCESSING = """\
[metadata]
name = "cleanup"
version = "1.0"
description = "Cleans."
type = "DATASET_VERSION_CREATION"

[execution]
pipeline_script = "pipeline.py"
requirements_file = "pyproject.toml"

[docker]
image_name = "team/cleanup"
image_tag = ""
cpu = "4"
gpu = 0
"""

TRAINING = """\
[metadata]
name = "detector"
version = "1.0"
type = "TRAINING"

[execution]
pipeline_script = "pipeline.py"

[docker]
image_name = "team/detector"
image_tag = ""

[model_version]
origin_name = "Detector"
name = "v1"
framework = "ONNX"
inference_type = "OBJECT_DETECTION"
"""

Files = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Files:
    """Writes files into a pipeline folder: `folder({"config.toml": ..., "utils/x.py": ...})`."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            file = tmp_path / "pipeline" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text.encode())
        return tmp_path / "pipeline"

    return write


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter without packages: it starts quickly and uses a stand-in for every official package."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin" / "python"
