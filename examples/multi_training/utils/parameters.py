from picsellia.types.schemas import LogDataType
from picsellia_cv_engine.core.parameters import Parameters


class TrainingHyperParameters(Parameters):
    def __init__(self, log_data: LogDataType):
        super().__init__(log_data=log_data)
        self.epochs = self.extract_parameter(["epochs"], expected_type=int, default=50)
        self.batch_size = self.extract_parameter(["batch_size"], expected_type=int, default=16)
        self.image_size = self.extract_parameter(["image_size"], expected_type=int, default=640)
        self.anchors = self.extract_parameter(["anchors"], expected_type=list, default=[0.5, 1.0, 2.0])
