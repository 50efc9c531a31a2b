"""The nine templates of the official `pxl-pipeline init`, as it writes them, read by our readers.

Needs an environment with the official CLI: its interpreter in RECONCILER_OFFICIAL_PYTHON.
"""

import os
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.pipeline import runner
from reconciler.pipeline.classes import ClassReference, ClassValue
from reconciler.pipeline.config import load
from reconciler.pipeline.static import NotStatic, read_inputs, read_parameters

pytestmark = pytest.mark.official

WRITE_ALL = """
import importlib, inspect, pkgutil, sys
from picsellia_pipelines_cli.utils.base_template import BaseTemplate
for package in ("processing", "training"):
    templates = importlib.import_module(f"picsellia_pipelines_cli.commands.{package}.templates")
    for found in pkgutil.iter_modules(templates.__path__):
        module = importlib.import_module(f"{templates.__name__}.{found.name}")
        for name, template in inspect.getmembers(module, inspect.isclass):
            if issubclass(template, BaseTemplate) and template is not BaseTemplate:
                template(pipeline_name=found.name, output_dir=sys.argv[1]).write_all_files()
"""
TRAININGS = {"simple_template", "yolov8_template"}
NEED_CODE = {"data_auto_tagging_template"}  # its parameters class computes a list


@pytest.fixture(scope="module")
def official() -> Path:
    given = os.environ.get("RECONCILER_OFFICIAL_PYTHON")
    if given is None and os.environ.get("CI") == "true":
        pytest.fail("RECONCILER_OFFICIAL_PYTHON is not set")
    if given is None:
        pytest.skip("RECONCILER_OFFICIAL_PYTHON is not set")
    return Path(given)


@pytest.fixture(scope="module")
def templates(official: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("templates")
    subprocess.run([str(official), "-c", WRITE_ALL, str(root)], check=True, cwd=root)
    return sorted(root.iterdir())


def references(folder: Path) -> tuple[ClassReference | None, ClassReference]:
    """The inputs class and the parameters class that the template's config.toml names."""
    named = tomllib.loads((folder / "config.toml").read_text())["execution"]
    inputs = ClassReference.parse(folder, named["inputs_class"]) if "inputs_class" in named else None
    return inputs, ClassReference.parse(folder, named["parameters_class"])


def value(said: ClassValue[Any] | NotStatic | None) -> Any:
    assert isinstance(said, ClassValue)
    assert said.diagnostics == ()
    if isinstance(said.value, tuple):
        return [replace(one, line=None) for one in said.value]
    assert isinstance(said.value, dict)
    return list(said.value.items())


def test_there_are_nine(templates: list[Path]) -> None:
    assert len(templates) == 9


def test_their_config_is_accepted_up_to_the_values_that_init_leaves_empty(templates: list[Path]) -> None:
    for folder in templates:
        found = load(folder)
        if folder.name in TRAININGS:
            (problem,) = found.diagnostics
            assert "origin_name, name, framework, inference_type are empty" in problem.summary
        else:
            assert found.diagnostics == ()
            assert found.config is not None
            assert found.config.docker.image_name == ""


def test_all_readers_say_the_same(templates: list[Path], official: Path, bare: Path) -> None:
    for folder in templates:
        inputs, parameters = references(folder)
        theirs = runner.run(folder, inputs=inputs, parameters=parameters, python=official, timeout=60)
        ours = runner.run(folder, inputs=inputs, parameters=parameters, python=bare, timeout=60)
        assert "picsellia_pipelines_cli" not in theirs.stand_ins
        assert value(theirs.parameters) == value(ours.parameters)
        read = read_parameters(parameters)
        assert isinstance(read, NotStatic) == (folder.name in NEED_CODE)
        if not isinstance(read, NotStatic):
            assert value(read) == value(ours.parameters)
        if inputs is not None:
            assert value(theirs.inputs) == value(ours.inputs) == value(read_inputs(inputs))


SPECIAL = """\
from picsellia.types.enums import Framework, InferenceType, ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs


class Inputs(PipelineInputs):
    def __init__(self):
        super().__init__()
        for required in (True, False):
            name = f"m{required}"
            self.define_input(name, ProcessingInputType.MODEL, required, InferenceType.MULTI, Framework.ONNX)
        self.count = len(self.inputs)
        self.define_input(str(self.count), list(ProcessingInputType)[0])
"""


def test_the_official_base_class_and_our_stand_in_say_the_same(
    official: Path, bare: Path, tmp_path: Path
) -> None:
    (tmp_path / "inputs.py").write_text(SPECIAL)
    reference = ClassReference.parse(tmp_path, "inputs.py:Inputs")
    theirs, ours = (
        runner.run(tmp_path, inputs=reference, parameters=None, python=python, timeout=60).inputs
        for python in (official, bare)
    )
    assert value(theirs) == value(ours)
    assert len(value(ours)) == 3
