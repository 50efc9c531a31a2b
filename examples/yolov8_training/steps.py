import os

from picsellia_cv_engine import Pipeline, step
from picsellia_cv_engine.core import DatasetCollection, Model, YoloDataset
from ultralytics import YOLO

from utils.data import write_data_yaml


@step()
def train(model: Model, datasets: DatasetCollection[YoloDataset]) -> None:
    """Fine-tune the pretrained weights and attach the best ones to the experiment."""
    parameters = Pipeline.get_active_context().hyperparameters
    if not model.pretrained_weights_path:
        raise FileNotFoundError("the model version has no file called 'pretrained-weights'")
    YOLO(model.pretrained_weights_path).train(
        data=write_data_yaml(datasets),
        epochs=parameters.epochs,
        imgsz=parameters.image_size,
        batch=parameters.batch_size,
        seed=parameters.seed,
        device=parameters.device,
        project=model.results_dir,
        name=model.name,
    )
    model.save_artifact_to_experiment(
        artifact_name="best-model",
        artifact_path=os.path.join(model.results_dir, model.name, "weights", "best.pt"),
    )
