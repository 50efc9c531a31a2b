from copy import deepcopy

from picsellia_cv_engine.core import CocoDataset
from picsellia_cv_engine.decorators.pipeline_decorator import Pipeline
from picsellia_cv_engine.decorators.step_decorator import step

from utils.voting import agreed


@step
def process(input_dataset: CocoDataset, output_dataset: CocoDataset) -> CocoDataset:
    """Keep the proposals that enough of the models agree on."""
    parameters = Pipeline.get_active_context().processing_parameters
    coco = deepcopy(input_dataset.coco_data)
    coco["annotations"] = agreed(coco["annotations"], parameters.votes, parameters.thresholds)
    output_dataset.coco_data = coco
    return output_dataset
