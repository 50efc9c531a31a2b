from picsellia.types.enums import InferenceType, ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs

MOST_MODELS = 3


class ProcessingInputs(PipelineInputs):
    """One dataset and up to three models; only the first model is required."""

    def __init__(self):
        super().__init__()
        self.define_input(name="dataset", input_type=ProcessingInputType.DATASET_VERSION)
        for number in range(1, MOST_MODELS + 1):
            self.define_input(
                name=f"model_{number}",
                input_type=ProcessingInputType.MODEL_VERSION,
                required=number == 1,
                inference_type_constraint=InferenceType.OBJECT_DETECTION,
            )
