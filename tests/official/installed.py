"""The official CLI in an environment of its own, as `make .venv-official/.ready` makes it, and its templates.

Fixtures for all tests; the root conftest takes them in.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

WRITE_TEMPLATES = """
import importlib, inspect, pkgutil
from picsellia_pipelines_cli.utils.base_template import BaseTemplate
for package in ("processing", "training"):
    templates = importlib.import_module(f"picsellia_pipelines_cli.commands.{package}.templates")
    for found in pkgutil.iter_modules(templates.__path__):
        module = importlib.import_module(f"{templates.__name__}.{found.name}")
        for name, template in inspect.getmembers(module, inspect.isclass):
            if issubclass(template, BaseTemplate) and template is not BaseTemplate:
                template(found.name, output_dir=".").write_all_files()
"""
"""What `pxl-pipeline init` writes, each template under its own name, but for the environment made by uv."""

TEMPLATES = (
    *("data_auto_tagging_template", "datalake_template", "dataset_version_creation_template"),
    *("dataset_version_template", "model_conversion_template", "model_version_template"),
    *("pre_annotation_template", "simple_template", "yolov8_template"),
)
TRAININGS = {"simple_template", "yolov8_template"}


@dataclass(frozen=True, slots=True)
class Official:
    """The official CLI.

    Attributes:
        python: the interpreter of its environment.
    """

    python: Path

    def cli(self, *arguments: str, cwd: Path, environment: Mapping[str, str], answers: str = "") -> str:
        """What `pxl-pipeline` prints, all of it; it has to end with 0."""
        return self._run([str(self.python.parent / "pxl-pipeline"), *arguments], cwd, environment, answers)

    def code(self, code: str, *, cwd: Path, environment: Mapping[str, str]) -> str:
        """What this code prints, which may import the official CLI's own functions."""
        return self._run([str(self.python), "-c", code], cwd, environment)

    def _run(self, command: list[str], cwd: Path, environment: Mapping[str, str], answers: str = "") -> str:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **environment},
            input=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout


@pytest.fixture(scope="session")
def official() -> Official:
    python = os.environ.get("RECONCILER_OFFICIAL_PYTHON")
    if not python:
        pytest.skip("RECONCILER_OFFICIAL_PYTHON names no interpreter with the official CLI (make test does)")
    return Official(Path(python))


@pytest.fixture(scope="session")
def cv_engine(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `small_cv_engine`."""
    return small_cv_engine(official, tmp_path_factory.mktemp("cv_engine"))


def small_cv_engine(official: Official, folder: Path) -> Path:
    """The folder, to import picsellia-cv-engine from: only its parameters, as the rest takes pandas and more.

    The official CLI imports a pipeline's classes itself, and so needs what they are made from.
    """
    installed = official.python.parent.parent / "engine" / "picsellia_cv_engine" / "core"
    core = folder / "picsellia_cv_engine" / "core"
    for name in ("parameters", "logging"):
        shutil.copytree(installed / name, core / name)
    (core / "__init__.py").write_text("from .logging.colors import Colors\n")
    (core.parent / "__init__.py").touch()
    return folder


@pytest.fixture(scope="session")
def templates(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the nine templates, each in a folder of its name."""
    root = tmp_path_factory.mktemp("templates")
    home = tmp_path_factory.mktemp("home")
    official.code(WRITE_TEMPLATES, cwd=root, environment={"HOME": str(home)})
    return root
