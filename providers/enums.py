"""The names of the platform's enums, for the checks of files and for the sandbox.

Copied from the public SDK 6.37 (`picsellia.types.enums`), which takes a second to import; a test keeps both
equal.
"""

from typing import Final

TRAINING: Final = "TRAINING"
NOT_CONFIGURED: Final = "NOT_CONFIGURED"

FRAMEWORKS: Final = ("TENSORFLOW", "PYTORCH", "ONNX", NOT_CONFIGURED)

# The training example in the official documentation uses YOLOV8, which no SDK lists: that the platform
# accepts it is an assumption.
DOCUMENTED_FRAMEWORKS: Final = ("YOLOV8",)

INFERENCE_TYPES: Final = (
    NOT_CONFIGURED,
    "CLASSIFICATION",
    "OBJECT_DETECTION",
    "SEGMENTATION",
    "POINT",
    "KEYPOINT",
    "LINE",
    "MASK",
    "MULTI",
)

PROCESSING_TYPES: Final = (
    "PRE_ANNOTATION",
    "DATA_AUGMENTATION",
    "DATASET_VERSION_CREATION",
    "AUTO_TAGGING",
    "AUTO_ANNOTATION",
    "DATA_AUTO_TAGGING",
    "MODEL_COMPRESSION",
    "MODEL_CONVERSION",
)

INPUT_TYPES: Final = ("TEXT", "NUMBER", "DATASET_VERSION", "MODEL_VERSION", "MODEL", "DATALAKE", "DATASET")
