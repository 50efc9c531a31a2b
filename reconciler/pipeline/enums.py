"""The enum names that config.toml and an inputs class may use.

Copied from the public SDK 6.37 (`picsellia.types.enums`), which takes a second to import; a test keeps both
equal. Used only to reject a wrong name before anything is built.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final

TRAINING: Final = "TRAINING"
NOT_CONFIGURED: Final = "NOT_CONFIGURED"

FRAMEWORKS: Final = ("TENSORFLOW", "PYTORCH", "ONNX", NOT_CONFIGURED)

# The training example in the official documentation uses YOLOV8, which no SDK lists.
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` Did you mean 'x'?` with its leading space, or "" if no known name is similar. Ignores case."""
    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""
