import os

import yaml
from picsellia_cv_engine.core import DatasetCollection, YoloDataset


def write_data_yaml(datasets: DatasetCollection[YoloDataset]) -> str:
    """Describe the splits the way ultralytics reads them; returns the file's path."""
    names = list(datasets["train"].labelmap)
    description = {
        split: os.path.join(datasets.dataset_path, "images", split) for split in ("train", "val", "test")
    }
    path = os.path.join(datasets.dataset_path, "data.yaml")
    with open(path, "w") as file:
        yaml.safe_dump({**description, "nc": len(names), "names": names}, file)
    return path
