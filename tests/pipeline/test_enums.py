"""Our copies of the enum names equal those of the installed SDK."""

import json
import subprocess
import sys

import pytest

from providers import enums
from reconciler.pipeline.suggestions import did_you_mean

ASK = """
import json
from picsellia.types.enums import Framework, InferenceType, ProcessingInputType, ProcessingType
enums = (Framework, InferenceType, ProcessingInputType, ProcessingType)
print(json.dumps({enum.__name__: [member.value for member in enum] for enum in enums}))
"""


def test_our_names_equal_the_sdks() -> None:
    answer = subprocess.run([sys.executable, "-c", ASK], capture_output=True, check=True, text=True)
    assert {name: set(values) for name, values in json.loads(answer.stdout).items()} == {
        "Framework": set(enums.FRAMEWORKS),
        "InferenceType": set(enums.INFERENCE_TYPES),
        "ProcessingInputType": set(enums.INPUT_TYPES),
        "ProcessingType": set(enums.PROCESSING_TYPES),
    }


@pytest.mark.parametrize(
    ("word", "hint"),
    [("onxx", " Did you mean 'ONNX'?"), ("PYTORCH", " Did you mean 'PYTORCH'?"), ("zzz", "")],
)
def test_hints(word: str, hint: str) -> None:
    assert did_you_mean(word, enums.FRAMEWORKS) == hint


def test_reading_a_pipeline_imports_neither_the_sdk_nor_docker() -> None:
    code = (
        "import sys, reconciler.pipeline.load, reconciler.workspace.discovery; "
        "import reconciler.pipeline.toml.toml_edits; "
        + ("print(sorted({'picsellia', 'docker', 'requests', 'rich'} & set(sys.modules)))")
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert answer.stdout == "[]\n"
