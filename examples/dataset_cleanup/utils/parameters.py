from picsellia.types.schemas import LogDataType
from picsellia_cv_engine.core.parameters import Parameters

SMALLEST_SIDE = 64


class ProcessingParameters(Parameters):
    def __init__(self, log_data: LogDataType):
        super().__init__(log_data=log_data)
        self.datalake = self.extract_parameter(["datalake"], expected_type=str, default="default")
        self.data_tag = self.extract_parameter(["data_tag"], expected_type=str, default="cleaned")
        self.smallest_side = self.extract_parameter(
            ["smallest_side"], expected_type=int, default=SMALLEST_SIDE, range_value=(1, 10_000)
        )
        self.least_sharpness = self.extract_parameter(
            ["least_sharpness", "sharpness"], expected_type=float, default=12.5
        )
        self.drop_duplicates = self.extract_parameter(["drop_duplicates"], expected_type=bool, default=True)
