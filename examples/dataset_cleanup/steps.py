from copy import deepcopy

from picsellia_cv_engine.core import CocoDataset
from picsellia_cv_engine.decorators.pipeline_decorator import Pipeline
from picsellia_cv_engine.decorators.step_decorator import step

from utils.cleaning import copy_kept_images, images_to_keep


@step
def process(input_dataset: CocoDataset, output_dataset: CocoDataset) -> CocoDataset:
    """Copy the images worth keeping, with their annotations, to the output dataset."""
    parameters = Pipeline.get_active_context().processing_parameters
    kept = images_to_keep(
        input_dataset.images_dir,
        input_dataset.coco_data["images"],
        smallest_side=parameters.smallest_side,
        least_sharpness=parameters.least_sharpness,
        drop_duplicates=parameters.drop_duplicates,
    )
    identifiers = {image["id"] for image in kept}
    coco = deepcopy(input_dataset.coco_data)
    coco["images"] = kept
    coco["annotations"] = [a for a in coco["annotations"] if a["image_id"] in identifiers]
    copy_kept_images(kept, input_dataset.images_dir, output_dataset.images_dir)
    output_dataset.coco_data = coco
    print(f"kept {len(kept)} of {len(input_dataset.coco_data['images'])} images")
    return output_dataset
