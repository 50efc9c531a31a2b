from picsellia.types.enums import Framework, InferenceType, ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs


class ProcessingInputs(PipelineInputs):
    """What a person chooses when starting this processing."""

    def __init__(self):
        super().__init__()
        self.define_input(
            name="dataset",
            input_type=ProcessingInputType.DATASET_VERSION,
            inference_type_constraint=InferenceType.OBJECT_DETECTION,
        )
        self.define_input(
            name="embedding_model",
            input_type=ProcessingInputType.MODEL_VERSION,
            required=False,
            framework_constraint=Framework.ONNX,
        )
        self.define_input(name="archive", input_type=ProcessingInputType.DATALAKE, required=False)
        self.define_input(name="report_title", input_type=ProcessingInputType.TEXT, required=False)
        self.define_input(name="sample_size", input_type=ProcessingInputType.NUMBER)
