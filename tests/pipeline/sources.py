"""Sources of inputs and parameters classes for the tests of the two readers."""

INPUTS_HEAD = """\
from picsellia.types.enums import Framework, InferenceType, ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs
"""

PARAMETERS_HEAD = """\
from picsellia_cv_engine.core.parameters import ExportParameters, HyperParameters, Parameters
"""


def inputs(*statements: str, top: str = "") -> str:
    """An inputs class called `Inputs`; its first statement is on line 8 plus the lines of `top`."""
    body = "".join(f"        {line}\n" for statement in statements for line in statement.split("\n"))
    return (
        f"{INPUTS_HEAD}{top}\n\nclass Inputs(PipelineInputs):\n    def __init__(self):\n"
        f"        super().__init__()\n{body}"
    )


def parameters(*statements: str, top: str = "", base: str = "Parameters") -> str:
    """A parameters class called `Params`; its first statement is on line 7 plus the lines of `top`."""
    body = "".join(f"        {line}\n" for statement in statements for line in statement.split("\n"))
    return (
        f"{PARAMETERS_HEAD}{top}\n\nclass Params({base}):\n    def __init__(self, log_data):\n"
        f"        super().__init__(log_data=log_data)\n{body}"
    )
