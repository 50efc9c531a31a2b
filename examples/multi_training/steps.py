import os

from picsellia_cv_engine import Pipeline, step
from picsellia_cv_engine.core import CocoDataset, DatasetCollection, Model

from utils.data import annotated_images


@step()
def train(model: Model, datasets: DatasetCollection[CocoDataset]) -> None:
    """Train on the annotated images and attach the weights to the experiment."""
    parameters = Pipeline.get_active_context().hyperparameters
    images = annotated_images(datasets["train"].coco_data)
    for epoch in range(parameters.epochs):
        batches = -(-len(images) // parameters.batch_size)
        print(f"epoch {epoch + 1}/{parameters.epochs}: {batches} batches of {parameters.batch_size}")
    model.save_artifact_to_experiment(
        artifact_name="best-model", artifact_path=os.path.join(model.results_dir, "best.pt")
    )
