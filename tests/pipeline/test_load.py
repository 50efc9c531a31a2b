"""From a folder to a pipeline: the order of both readers, and the errors for unreadable classes."""

import os
import re
import sys
from pathlib import Path

import pytest

from providers.regular_files import MAX_BYTES
from reconciler.core.diagnostics import Severity
from reconciler.core.values import Address
from reconciler.pipeline.classes.evaluate import evaluate
from reconciler.pipeline.compile import desired_graph
from reconciler.pipeline.config import load, read
from reconciler.pipeline.load import load_pipeline
from tests.pipeline import sources
from tests.pipeline.conftest import PROCESSING, TRAINING, Files

EXAMPLES = Path(__file__).parents[2] / "examples"
LOOP = "for n in 'ab':\n    self.define_input(n, ProcessingInputType.TEXT)"
WITH_CLASSES = PROCESSING.replace(
    "\n[docker]",
    'inputs_class = "utils/inputs.py:Inputs"\nparameters_class = "utils/parameters.py:Params"\n\n[docker]',
)


def files(inputs: str, parameters: str) -> dict[str, str]:
    return {"config.toml": WITH_CLASSES, "utils/inputs.py": inputs, "utils/parameters.py": parameters}


def test_classes_in_the_usual_form_run_no_code(folder: Files) -> None:
    where = folder(
        files(
            sources.inputs('self.define_input("a", ProcessingInputType.TEXT)'),
            sources.parameters('self.x = self.extract_parameter(["x"], int, 1)'),
        )
    )
    result = evaluate(load(where), python=Path("/no/python/here"))
    assert result.readers == {"inputs": "static", "parameters": "static"}
    assert result.inputs is not None
    assert [one.name for one in result.inputs] == ["a"]
    assert result.parameters == {"x": 1}
    assert result.diagnostics == ()


def test_only_classes_that_need_it_are_run(folder: Files, bare: Path) -> None:
    where = folder(files(sources.inputs(LOOP), sources.parameters("self.x = 1")))
    result = evaluate(load(where), python=bare)
    assert result.readers == {"inputs": "subprocess", "parameters": "static"}
    assert result.inputs is not None
    assert [one.name for one in result.inputs] == ["a", "b"]
    assert result.stand_ins == ("picsellia", "picsellia_pipelines_cli")
    (remark,) = result.diagnostics
    assert remark.severity is Severity.INFO
    assert str(bare) in remark.summary


def test_static_only_refuses_classes_that_need_code(folder: Files) -> None:
    where = folder(files(sources.inputs(LOOP), sources.parameters("self.x = 1", "self.y = abs(print())")))
    pipeline, diagnostics = load_pipeline(where, static_only=True, python=Path("/no/python/here"))
    assert pipeline is None
    assert [(d.summary, d.line) for d in diagnostics] == [
        ("Inputs needs code to run: `for n in 'ab':` in __init__", 8),
        ("Params needs code to run: print() is computed", 8),
    ]


def test_a_pipeline_without_classes_manages_neither(folder: Files) -> None:
    pipeline, diagnostics = load_pipeline(folder({"config.toml": PROCESSING}))
    assert pipeline is not None
    assert (pipeline.name, pipeline.inputs, pipeline.parameters) == ("cleanup", None, None)
    assert diagnostics == ()


@pytest.mark.parametrize(
    ("line", "replacement"),
    [
        ('name = "cleanup"', "name = 7"),
        ('version = "1.0"', 'version = "one"'),
        ("gpu = 0", "gpu = -1"),
        ("[docker]", '[reconciler]\npinn = "version"\n\n[docker]'),
    ],
)
def test_a_missing_image_is_reported_beside_every_other_error(
    folder: Files, line: str, replacement: str
) -> None:
    text = re.sub(r"image_name = .*", 'image_name = ""', PROCESSING)
    assert line in text
    where = folder({"config.toml": text.replace(line, replacement)})
    pipeline, diagnostics = load_pipeline(where)
    assert pipeline is None
    (missing,) = [found for found in diagnostics if found.summary == "docker.image_name is empty"]
    assert missing.line == load(where).line_of("docker", "image_name")
    assert len(diagnostics) == 2


def test_an_empty_inputs_class_differs_from_none(folder: Files) -> None:
    where = folder(files(sources.inputs("pass"), sources.parameters("pass")))
    pipeline, _ = load_pipeline(where)
    assert pipeline is not None
    assert (pipeline.inputs, pipeline.parameters) == ((), {})


def test_a_training_pipeline_does_not_read_inputs(folder: Files) -> None:
    text = TRAINING.replace("[docker]", 'inputs_class = "missing.py:Inputs"\n[docker]')
    pipeline, diagnostics = load_pipeline(folder({"config.toml": text}))
    assert pipeline is not None
    assert pipeline.is_training
    assert [d.severity for d in diagnostics] == [Severity.WARNING]


def test_a_missing_class_file_is_reported_on_its_line_of_config(folder: Files) -> None:
    pipeline, diagnostics = load_pipeline(folder({"config.toml": WITH_CLASSES}))
    assert pipeline is None
    assert [(d.summary, d.line) for d in diagnostics] == [
        ("execution.inputs_class: there is no file utils/inputs.py", 10),
        ("execution.parameters_class: there is no file utils/parameters.py", 11),
    ]


def test_problems_of_both_classes_are_reported_at_once(folder: Files, bare: Path) -> None:
    where = folder(
        files(sources.inputs("1 / 0"), sources.parameters('self.x = self.extract_parameter(["x"], int)'))
    )
    pipeline, diagnostics = load_pipeline(where, python=bare)
    assert pipeline is None
    problems = [(d.file.name if d.file else "", d.line) for d in diagnostics if d.severity is Severity.ERROR]
    assert problems == [("inputs.py", 8), ("parameters.py", 7)]


def test_a_broken_config_is_reported_before_any_class_is_read(folder: Files) -> None:
    where = folder({"config.toml": WITH_CLASSES.replace('"1.0"', '"x"')})
    pipeline, diagnostics = load_pipeline(where)
    assert pipeline is None
    assert [d.summary for d in diagnostics] == ["metadata.version cannot be read"]
    with pytest.raises(ValueError, match="has errors"):
        evaluate(load(where))


def test_a_pipeline_has_the_lines_of_its_keys(folder: Files) -> None:
    pipeline, _ = load_pipeline(folder({"config.toml": PROCESSING}))
    assert pipeline is not None
    assert pipeline.loaded.line_of("docker", "cpu") == 14
    assert pipeline.loaded.text == PROCESSING


# The examples


@pytest.mark.parametrize("name", ["dataset_cleanup", "single_training", "multi_training", "yolov8_training"])
def test_an_example_is_read_without_running_its_code(name: str) -> None:
    pipeline, diagnostics = load_pipeline(EXAMPLES / name, static_only=True)
    assert pipeline is not None, diagnostics
    assert pipeline.name == name
    assert pipeline.config.docker.image_name == f"localhost:8000/examples/{name}"


def test_the_examples_match_their_page() -> None:
    cleanup, _ = load_pipeline(EXAMPLES / "dataset_cleanup")
    assert cleanup is not None
    assert cleanup.inputs is not None
    assert len({one.input_type for one in cleanup.inputs}) == 5
    multi, diagnostics = load_pipeline(EXAMPLES / "multi_training")
    assert multi is not None
    assert [(t.name, t.fields["model-version"]["framework"]) for t in multi.config.targets] == [
        ("lyon", "ONNX"),
        ("lille", "ONNX"),
    ]
    assert [d.severity for d in diagnostics] == [Severity.WARNING]
    yolo, diagnostics = load_pipeline(EXAMPLES / "yolov8_training")
    assert yolo is not None
    assert yolo.config.targets[0].fields["model-version"]["framework"] == "YOLOV8"
    assert yolo.parameters is not None
    assert (yolo.parameters["epochs"], yolo.parameters["device"]) == (3, "cuda:0")
    assert [d.severity for d in diagnostics] == [Severity.WARNING]


def test_the_computed_example_must_be_run(bare: Path) -> None:
    refused, diagnostics = load_pipeline(EXAMPLES / "computed_inputs", static_only=True)
    assert refused is None
    assert all("needs code to run" in d.summary for d in diagnostics)
    pipeline, _ = load_pipeline(EXAMPLES / "computed_inputs", python=bare)
    assert pipeline is not None
    assert pipeline.inputs is not None
    assert [(one.name, one.required) for one in pipeline.inputs] == [
        ("dataset", True),
        ("model_1", True),
        ("model_2", False),
        ("model_3", False),
    ]
    assert pipeline.parameters == {"thresholds": {"model_1": 0.5, "model_2": 0.5, "model_3": 0.5}, "votes": 2}


@pytest.mark.parametrize(
    "file", sorted(EXAMPLES.rglob("*.py")), ids=lambda file: str(file.relative_to(EXAMPLES))
)
def test_every_file_of_the_examples_is_valid_code(file: Path) -> None:
    compile(file.read_text(), str(file), "exec", dont_inherit=True)


def test_our_own_interpreter_is_the_last_choice(folder: Files) -> None:
    where = folder(
        files(sources.inputs("pass"), sources.parameters("self.path = sys.prefix", top="import sys\n"))
    )
    result = evaluate(load(where))
    assert result.parameters == {"path": sys.prefix}


def test_reading_text_and_reading_a_folder_agree(folder: Files) -> None:
    where = folder({"config.toml": PROCESSING})
    assert read(PROCESSING, where / "config.toml") == load(where)


TARGETS = """
[[model_versions]]
origin_name = "Detector"
name = "kept"

[docker.other]

[[model_versions]]
origin_name = "Detector"
name = "cleared"
framework = ""
inference_type = ""
"""


def test_missing_keys_of_a_target_are_not_managed(folder: Files) -> None:
    text = TRAINING[: TRAINING.index("\n[model_version]")] + TARGETS
    pipeline, diagnostics = load_pipeline(folder({"config.toml": text}))
    assert pipeline is not None, diagnostics
    graph = desired_graph(pipeline, "key")
    kept, cleared = (graph.get(Address.of("model-version", "Detector", name)) for name in ("kept", "cleared"))
    assert kept is not None and cleared is not None
    assert not {"framework", "type"} & set(kept.fields)
    assert not {"framework", "type"} & set(kept.origins)
    assert (cleared.fields["framework"], cleared.fields["type"]) == ("NOT_CONFIGURED", "NOT_CONFIGURED")
    row = text[: text.index('name = "cleared"')].count("\n") + 1
    lines = text.splitlines()
    for field, key in (("framework", "framework"), ("type", "inference_type")):
        line = cleared.origins[field].line
        assert line and line > row
        assert lines[line - 1].startswith(key)


@pytest.mark.parametrize(
    ("large", "reason"),
    [
        ("utils/inputs.py", "inputs.py has more than 256 MiB"),
        ("utils/shared.py", "it imports utils.shared, where shared.py has more than 256 MiB"),
        ("utils/__init__.py", "it imports utils.shared, where __init__.py has more than 256 MiB"),
    ],
)
def test_a_file_that_is_too_large_is_refused_by_name_and_never_run(
    folder: Files, large: str, reason: str
) -> None:
    inputs = sources.inputs(
        "self.define_input(NAME, ProcessingInputType.TEXT)", top="from utils.shared import NAME"
    )
    where = folder(
        {
            **files(inputs, sources.parameters("self.x = 1")),
            "utils/__init__.py": "",
            "utils/shared.py": 'NAME = "a"\n',
        }
    )
    assert evaluate(load(where), python=Path("/no/python/here")).diagnostics == ()
    os.truncate(where / large, MAX_BYTES + 1)  # sparse
    result = evaluate(load(where), python=Path("/no/python/here"))
    assert result.inputs is None
    (problem,) = result.diagnostics
    assert (problem.severity, problem.file) == (Severity.ERROR, where / "utils/inputs.py")
    assert problem.summary == f"Inputs cannot be read: {reason}"
