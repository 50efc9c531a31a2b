from picsellia.types.schemas import LogDataType
from picsellia_cv_engine.core.parameters import Parameters

from utils.inputs import MOST_MODELS


class ProcessingParameters(Parameters):
    def __init__(self, log_data: LogDataType):
        super().__init__(log_data=log_data)
        self.votes = self.extract_parameter(["votes"], expected_type=int, default=MOST_MODELS // 2 + 1)
        self.thresholds = {
            f"model_{number}": self.extract_parameter(
                [f"threshold_{number}"], expected_type=float, default=0.5
            )
            for number in range(1, MOST_MODELS + 1)
        }
