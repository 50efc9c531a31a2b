"""The nine unchanged templates of the official `pxl-pipeline init`, read by our readers."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.pipeline.classes import runner
from reconciler.pipeline.classes.declarations import ClassReference, ClassValue
from reconciler.pipeline.classes.static import read_inputs, read_parameters
from reconciler.pipeline.classes.static_module import NotStatic
from reconciler.pipeline.config import load
from tests.official.installed import TEMPLATES, TRAININGS, Official

pytestmark = pytest.mark.official

NEED_CODE = {"data_auto_tagging_template"}  # its parameters class computes a list


def references(folder: Path) -> tuple[ClassReference | None, ClassReference]:
    """The inputs class and the parameters class in the template's config.toml."""
    named = tomllib.loads((folder / "config.toml").read_text())["execution"]
    inputs = ClassReference.parse(folder, named["inputs_class"]) if "inputs_class" in named else None
    return inputs, ClassReference.parse(folder, named["parameters_class"])


def value(result: ClassValue[Any] | NotStatic | None) -> Any:
    assert isinstance(result, ClassValue)
    assert result.diagnostics == ()
    if isinstance(result.value, tuple):
        return [replace(one, line=None) for one in result.value]
    assert isinstance(result.value, dict)
    return list(result.value.items())


def test_there_are_nine_templates(templates: Path) -> None:
    assert sorted(folder.name for folder in templates.iterdir()) == sorted(TEMPLATES)


def test_their_config_is_accepted_except_for_values_that_init_leaves_empty(templates: Path) -> None:
    for folder in sorted(templates.iterdir()):
        found = load(folder)
        if folder.name in TRAININGS:
            (problem,) = found.diagnostics
            assert "origin_name, name, framework, inference_type are empty" in problem.summary
        else:
            assert found.diagnostics == ()
            assert found.config is not None
            assert found.config.docker.image_name == ""


def test_all_readers_agree(templates: Path, official: Official, bare: Path) -> None:
    for folder in sorted(templates.iterdir()):
        inputs, parameters = references(folder)
        theirs = runner.run(folder, inputs=inputs, parameters=parameters, python=official.python, timeout=60)
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


def test_the_official_base_class_and_our_stand_in_agree(
    official: Official, bare: Path, tmp_path: Path
) -> None:
    (tmp_path / "inputs.py").write_text(SPECIAL)
    reference = ClassReference.parse(tmp_path, "inputs.py:Inputs")
    theirs, ours = (
        runner.run(tmp_path, inputs=reference, parameters=None, python=python, timeout=60).inputs
        for python in (official.python, bare)
    )
    assert value(theirs) == value(ours)
    assert len(value(ours)) == 3
